"""What may happen to a mailbox. Rule: acknowledgements and Done may be refused, but mail never is: a full or closed mailbox bounces it."""

from collections.abc import Collection

from domain.aggregate import Deciders
from domain.errors import Invalid, UnknownMessage
from domain.event import Event
from domain.events.home import MessageBounced, MessageDone, MessageErased, MessageExpired, MessageQueued, MessagesDelivered, ReceiptQueued
from domain.mailbox.commands import Acknowledge, Expire, MarkDone, QueueMessage, QueueReceipt, Resume
from domain.mailbox.state import DONE, MAX_WAITING, MailboxState, WaitingMessage


def queue_message(mailbox: MailboxState, command: QueueMessage, now: float) -> list[Event]:
    """Let a popup wait. A full or a closed mailbox bounces it, and so does a time to live that is over."""
    if mailbox.closed or command.too_late or mailbox.messages >= MAX_WAITING:
        why = "closed" if mailbox.closed else "expired" if command.too_late else "mailbox_full"
        return [MessageBounced(at=now, cause=command.cause, id=command.id, uid=command.sender, home=command.sender_home, why=why)]
    return [
        MessageQueued(
            at=now,
            cause=command.cause,
            seq=mailbox.last_seq + 1,
            id=command.id,
            uid=command.sender,
            home=command.sender_home,
            handle=command.handle,
            name=command.name,
            text=command.text,
            sent_at=command.sent_at,
            in_reply_to=command.in_reply_to,
            urgent=command.urgent,
        )
    ]


def queue_receipt(mailbox: MailboxState, command: QueueReceipt, now: float) -> list[Event]:
    """Let a receipt wait. Nothing happens when the mailbox is closed, because nobody will read it."""
    if mailbox.closed:
        return []
    return [
        ReceiptQueued(
            at=now,
            cause=command.cause,
            seq=mailbox.last_seq + 1,
            id=command.id,
            to=command.to,
            state=command.state,
            why=command.why,
            settled_at=command.settled_at,
        )
    ]


def acknowledge(mailbox: MailboxState, command: Acknowledge, now: float) -> list[Event]:
    """Take out everything that a client has. A repeat changes nothing. Raises `Invalid` for a number that was never given."""
    if command.upto > mailbox.last_seq:
        raise Invalid("upto", f"a number up to {mailbox.last_seq}, the last one sent")
    return _delivered(mailbox, command.upto, command.session, command.cause, now)


def resume(mailbox: MailboxState, command: Resume, now: float) -> list[Event]:
    """Take out everything that the client has, and every message that has lost its text because its sender was erased. A number that was
    never given belongs to a mailbox that was lost, so it says nothing about this one; the session's verdict will be `gap`."""
    gone: list[Event] = [
        MessageErased(at=now, cause=command.cause, seq=waiting.seq, id=waiting.id, uid=waiting.uid, home=waiting.home)
        for waiting in mailbox.waiting.values()
        if isinstance(waiting, WaitingMessage) and waiting.erased
    ]
    seqs = {event.seq for event in gone if isinstance(event, MessageErased)}
    seen = command.seen if command.seen <= mailbox.last_seq else 0
    return gone + _delivered(mailbox, seen, command.session, command.cause, now, seqs)


def _delivered(mailbox: MailboxState, upto: int, session: str, cause: str, now: float, gone: Collection[int] = ()) -> list[Event]:
    done = []
    for seq, waiting in mailbox.waiting.items():
        if seq > upto:
            break
        if seq not in gone:
            done.append(waiting)
    if not done:
        return []
    messages = [(each.id, each.uid, each.home) for each in done if isinstance(each, WaitingMessage)]
    return [MessagesDelivered(at=now, cause=cause, upto=upto, session=session, messages=messages)]


def mark_done(mailbox: MailboxState, command: MarkDone, now: float) -> list[Event]:
    """Close a message. A repeat changes nothing. Raises `UnknownMessage` unless it is one of the last thousand that were received."""
    found = [mailbox.open.numbers(place) for place in mailbox.open.places(command.id)]
    known = [(sender, home) for sender, home in found if command.sender in (None, sender)]
    if not known and not command.reply:
        raise UnknownMessage(id=command.id)
    still_open = [(sender, mailbox.homes[home]) for sender, home in known if home != DONE]
    return [MessageDone(at=now, cause=command.cause, id=command.id, uid=sender, home=home) for sender, home in still_open]


def expire(mailbox: MailboxState, command: Expire, now: float) -> list[Event]:
    """Take out messages that waited too long; their senders are told."""
    return [
        MessageExpired(at=now, cause=waiting.id, seq=seq, id=waiting.id, uid=waiting.uid, home=waiting.home)
        for seq, waiting in mailbox.waiting.items()
        if isinstance(waiting, WaitingMessage) and waiting.at < command.before
    ]


DECIDERS: Deciders = {
    QueueMessage: queue_message,
    QueueReceipt: queue_receipt,
    Acknowledge: acknowledge,
    Resume: resume,
    MarkDone: mark_done,
    Expire: expire,
}
