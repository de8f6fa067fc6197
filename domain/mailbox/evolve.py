"""How a mailbox's events change `MailboxState`. Rule: an event never fails to apply."""

from sys import intern

from domain.aggregate import Folds, Places, unchanged
from domain.events import home as events
from domain.mailbox.state import DONE, MAX_RECEIPTS, OPEN_MESSAGES, MailboxState, WaitingMessage, WaitingReceipt


def _message_queued(mailbox: MailboxState, event: events.MessageQueued) -> None:
    seq, id, uid, home = event.seq, event.id, event.uid, intern(event.home)
    mailbox.last_seq = seq
    mailbox.waiting[seq] = WaitingMessage(seq, event.originator_version, id, uid, home, event.at, not event.text)
    mailbox.messages += 1
    place = mailbox.place_in_open(id, uid)
    if place is None:
        mailbox.open.add(id, uid, mailbox.place_of(home))
    else:
        mailbox.open.put(place, uid, mailbox.place_of(home))
    if len(mailbox.open) > OPEN_MESSAGES + mailbox.messages:
        mailbox.open.forget_oldest()


def _receipt_queued(mailbox: MailboxState, event: events.ReceiptQueued) -> None:
    mailbox.last_seq = event.seq
    mailbox.waiting[event.seq] = WaitingReceipt(event.seq, event.originator_version)
    if len(mailbox.waiting) - mailbox.messages > MAX_RECEIPTS:
        oldest = next(seq for seq, waiting in mailbox.waiting.items() if isinstance(waiting, WaitingReceipt))
        del mailbox.waiting[oldest]


def _delivered(mailbox: MailboxState, event: events.MessagesDelivered) -> None:
    mailbox.messages -= len(event.messages)
    while mailbox.waiting:
        seq = next(iter(mailbox.waiting))
        if seq > event.upto:
            break
        del mailbox.waiting[seq]


def _done(mailbox: MailboxState, event: events.MessageDone) -> None:
    place = mailbox.place_in_open(event.id, event.uid)
    if place is not None:
        mailbox.open.put(place, event.uid, DONE)


def _taken_out(mailbox: MailboxState, event: events.MessageExpired | events.MessageErased) -> None:
    if mailbox.waiting.pop(event.seq, None) is not None:
        mailbox.messages -= 1
    place = mailbox.place_in_open(event.id, event.uid)
    if place is not None:
        mailbox.open.remove(place)


def _closed(mailbox: MailboxState, event: events.MailboxClosed) -> None:
    mailbox.closed = True
    mailbox.messages = 0
    mailbox.waiting.clear()
    mailbox.open.clear()
    mailbox.homes.clear()


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


def _placed(mailbox: MailboxState, event: events.MessageQueued | events.ReceiptQueued, position: int, size: int) -> None:
    waiting = mailbox.waiting.get(event.seq)
    if waiting is not None:
        waiting.position, waiting.size = position, size


PLACES: Places = {events.MessageQueued: _placed, events.ReceiptQueued: _placed}
