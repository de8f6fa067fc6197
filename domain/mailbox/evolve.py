"""How a mailbox's events change `MailboxState`. Rule: an event never fails to apply."""

from domain.aggregate import Folds, unchanged
from domain.events import home as events
from domain.mailbox.state import MAX_RECEIPTS, OPEN_MESSAGES, MailboxState


def _message_queued(mailbox: MailboxState, event: events.MessageQueued) -> None:
    mailbox.last_seq = event.seq
    mailbox.waiting[event.seq] = event
    mailbox.messages += 1
    mailbox.open[event.id, event.uid] = event.home
    if len(mailbox.open) > OPEN_MESSAGES + mailbox.messages:
        del mailbox.open[next(iter(mailbox.open))]


def _receipt_queued(mailbox: MailboxState, event: events.ReceiptQueued) -> None:
    mailbox.last_seq = event.seq
    mailbox.waiting[event.seq] = event
    if len(mailbox.waiting) - mailbox.messages > MAX_RECEIPTS:
        oldest = next(seq for seq, waiting in mailbox.waiting.items() if isinstance(waiting, events.ReceiptQueued))
        del mailbox.waiting[oldest]


def _delivered(mailbox: MailboxState, event: events.MessagesDelivered) -> None:
    mailbox.messages -= len(event.messages)
    while mailbox.waiting:
        seq = next(iter(mailbox.waiting))
        if seq > event.upto:
            break
        del mailbox.waiting[seq]


def _done(mailbox: MailboxState, event: events.MessageDone) -> None:
    if (event.id, event.uid) in mailbox.open:
        mailbox.open[event.id, event.uid] = None


def _taken_out(mailbox: MailboxState, event: events.MessageExpired | events.MessageErased) -> None:
    if mailbox.waiting.pop(event.seq, None) is not None:
        mailbox.messages -= 1
    mailbox.open.pop((event.id, event.uid), None)


def _closed(mailbox: MailboxState, event: events.MailboxClosed) -> None:
    mailbox.closed = True
    mailbox.messages = 0
    mailbox.waiting.clear()
    mailbox.open.clear()


FOLDS: Folds = {
    events.MessageQueued: _message_queued,
    events.ReceiptQueued: _receipt_queued,
    events.MessagesDelivered: _delivered,
    events.MessageDone: _done,
    events.MessageExpired: _taken_out,
    events.MessageErased: _taken_out,
    events.MailboxClosed: _closed,
    events.MessageBounced: unchanged,  # its sender is told; a message that waited is taken out when the mailbox closes
}
