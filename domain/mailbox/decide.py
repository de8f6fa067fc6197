"""A user's mailbox: what waits, numbered by `seq`, until a client acknowledges it. Rule: only acks are refused, never mail.

The state keeps the waiting events themselves; they are what a session will show.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from domain.errors import Invalid, UnknownMessage
from domain.event import Event, stream_uid
from domain.events.home import MessageBounced, MessageDone, MessageErased, MessageExpired, MessageQueued, MessagesDelivered, ReceiptQueued
from domain.personal import dump_event

MAX_WAITING = 1_000  # unacked messages; past that the sender gets a `bounced` receipt
MAX_RECEIPTS = 1_000  # unacked receipts; past that the oldest is forgotten: a client that never acks must not grow the mailbox
OPEN_MESSAGES = 1_000  # delivered messages that can still be marked done

Waiting = MessageQueued | ReceiptQueued


class MailboxState:
    """What a mailbox's events fold into. `waiting` is ordered by `seq`; `open`: (id, sender) -> the sender's home, None once the
    message is done: ids are unique per sender."""

    __slots__ = ("closed", "last_seq", "messages", "open", "stream", "uid", "version", "waiting")

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.version = 0
        self.uid = stream_uid(stream)
        self.closed = False  # for good
        self.last_seq = 0
        self.waiting: dict[int, Waiting] = {}
        self.messages = 0  # how many of `waiting` are messages
        self.open: dict[tuple[str, int], str | None] = {}

    def dump(self) -> dict[str, Any]:
        """Plain data for a snapshot, and `Personal`."""
        return {
            "last_seq": self.last_seq,
            "messages": self.messages,
            "closed": self.closed,
            "waiting": [[isinstance(e, MessageQueued), dump_event(e)] for e in self.waiting.values()],
            "open": [[id_, sender, home or "", home is None] for (id_, sender), home in self.open.items()],
        }

    def load(self, data: dict[str, Any]) -> None:
        """The reverse of `dump`."""
        self.last_seq, self.messages = data["last_seq"], data["messages"]
        self.closed = data.get("closed", False)
        self.open = {(id_, sender): None if done else home for id_, sender, home, done in data["open"]}
        for message, fields in data["waiting"]:
            event = (MessageQueued if message else ReceiptQueued)(**fields)
            self.waiting[event.seq] = event


@dataclass(slots=True, kw_only=True)
class MailboxCommand:
    """A wish concerning one mailbox."""

    uid: int
    cause: str

    @property
    def stream(self) -> str:
        """The stream whose state decides."""
        return f"mailbox-{self.uid}"


@dataclass(slots=True, kw_only=True)
class QueueMessage(MailboxCommand):
    """A popup arrived for the user."""

    id: str
    sender: int
    sender_home: str
    handle: str
    name: str
    text: str
    sent_at: float
    in_reply_to: str | None
    urgent: bool


@dataclass(slots=True, kw_only=True)
class QueueReceipt(MailboxCommand):
    """News arrived of a message that the user sent."""

    id: str
    to: int
    state: str
    why: str | None
    settled_at: float


@dataclass(slots=True, kw_only=True)
class Acknowledge(MailboxCommand):
    """A session has everything up to `upto`."""

    session: str
    upto: int


@dataclass(slots=True, kw_only=True)
class Resume(MailboxCommand):
    """A session begins, by a client that has everything up to `seen` (0: it does not say)."""

    session: str
    seen: int


@dataclass(slots=True, kw_only=True)
class MarkDone(MailboxCommand):
    """The user is done with a message; `reply`: because of an answer to it, which is no error when it is unknown."""

    id: str
    sender: int | None = None  # None: whoever sent a message with this id
    reply: bool = False


@dataclass(slots=True, kw_only=True)
class Expire(MailboxCommand):
    """Take out what waits since before `before`."""

    before: float


def queue_message(mailbox: MailboxState, command: QueueMessage, now: float) -> list[Event]:
    """Let a popup wait; a full mailbox bounces it, and so does a closed one."""
    if mailbox.closed or mailbox.messages >= MAX_WAITING:
        why = "closed" if mailbox.closed else "mailbox_full"
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
    """Let a receipt wait; there is nobody to read it in a closed mailbox."""
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
    """Take out what a client has. Raises `Invalid` for a number never given. A repeat changes nothing."""
    if command.upto > mailbox.last_seq:
        raise Invalid("upto", f"a number up to {mailbox.last_seq}, the last one sent")
    return _delivered(mailbox, command.upto, command.session, command.cause, now)


def resume(mailbox: MailboxState, command: Resume, now: float) -> list[Event]:
    """Take out what the client has, and what has no text any more because its sender was erased. A number never given is of a mailbox
    that was lost and says nothing of this one: the verdict will be `gap`."""
    gone: list[Event] = [
        MessageErased(at=now, cause=command.cause, seq=event.seq, id=event.id, uid=event.uid, home=event.home)
        for event in mailbox.waiting.values()
        if isinstance(event, MessageQueued) and not event.text
    ]
    seqs = {event.seq for event in gone if isinstance(event, MessageErased)}
    seen = command.seen if command.seen <= mailbox.last_seq else 0
    return gone + _delivered(mailbox, seen, command.session, command.cause, now, seqs)


def _delivered(mailbox: MailboxState, upto: int, session: str, cause: str, now: float, gone: Collection[int] = ()) -> list[Event]:
    done: list[Waiting] = []
    for seq, event in mailbox.waiting.items():
        if seq > upto:
            break
        if seq not in gone:
            done.append(event)
    if not done:
        return []
    messages = [[e.id, e.uid, e.home] for e in done if isinstance(e, MessageQueued)]
    return [MessagesDelivered(at=now, cause=cause, upto=upto, session=session, messages=messages)]


def mark_done(mailbox: MailboxState, command: MarkDone, now: float) -> list[Event]:
    """Close a message. Raises `UnknownMessage` unless it is one of the last thousand received. A repeat changes nothing."""
    known = [(sender, home) for (id_, sender), home in mailbox.open.items() if id_ == command.id and command.sender in (None, sender)]
    if not known and not command.reply:
        raise UnknownMessage(id=command.id)
    return [MessageDone(at=now, cause=command.cause, id=command.id, uid=sender, home=home) for sender, home in known if home is not None]


def expire(mailbox: MailboxState, command: Expire, now: float) -> list[Event]:
    """Give up on messages that waited too long; their senders are told."""
    return [
        MessageExpired(at=now, cause=event.id, seq=seq, id=event.id, uid=event.uid, home=event.home)
        for seq, event in mailbox.waiting.items()
        if isinstance(event, MessageQueued) and event.at < command.before
    ]


DECIDERS: dict[type, Callable[[MailboxState, Any, float], list[Event]]] = {
    QueueMessage: queue_message,
    QueueReceipt: queue_receipt,
    Acknowledge: acknowledge,
    Resume: resume,
    MarkDone: mark_done,
    Expire: expire,
}
