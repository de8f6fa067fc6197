"""The values that go into the audit and come out of it. Rule: plain and frozen; times are seconds since 1970, UTC.

An entry's `id` is its place in the history: the offset of its message in the stream, and its number in that message. So ids are the same
in every store that is fed from the same stream, and an export can continue after any of them. When the stream was begun anew, ids go on
above those of the eras before, from the era's `base`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from domain.event import Event
from domain.events.home import UserClosed
from domain.mailbox.state import MailboxState
from domain.user.state import UserState

ENTRIES_PER_OFFSET = 1 << 17  # more than the events an envelope may hold (`broker.envelope.MAX_EVENTS`)

Order = Literal["newest", "oldest", "arrival"]  # the first two by time, the last in the order of the history


class Record(Protocol):
    """A stored event as it travels (`broker.envelope.EventRecord`)."""

    @property
    def position(self) -> int: ...
    @property
    def stream(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def time(self) -> float: ...
    @property
    def data(self) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries are wanted; None stands for all. `user`: entries of that user's own streams (account, audit, handle, user, mailbox);
    `source`: the server that stored them, `h1` or `global`; `topics`: one of these; `since` <= time < `until`; `message`: about a popup
    with this id; `cause`: with exactly this cause."""

    user: int | None = None
    source: str | None = None
    topics: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    message: str | None = None
    cause: str | None = None


class AuditRow(NamedTuple):
    """One event. `source` and `position`: the server that stored it, and its place in that server's log; `time`: the moment that counts;
    `uid` and `handle`: the user whose stream it is, None for a stream of a server; `data`: the stored bytes; `told`: the event's own time
    where it is another, because it runs backwards; `home`: where the user lives, None where nobody knows; `era`: of the stream, 0 where it
    is not known, and `base`, at which its ids begin."""

    id: int
    source: str
    position: int
    stream: str
    version: int
    topic: str
    time: float
    uid: int | None
    handle: str | None
    cause: str
    data: bytes
    told: float | None = None
    home: str | None = None
    era: int = 0
    base: int = 0

    @property
    def foreign(self) -> bool:
        """Whether this server has no right to the stream: the user lives elsewhere. Every home notes that somebody left."""
        kind = self.stream.partition("-")[0]
        return kind in ("user", "mailbox") and self.home not in (None, self.source) and self.topic != UserClosed.TOPIC

    @property
    def offset(self) -> int:
        """The offset of its message in the history stream of its era."""
        return (self.id - self.base) // ENTRIES_PER_OFFSET


class Page(NamedTuple):
    """A page of the log. `next`: the cursor of the following page; None when there is none."""

    rows: tuple[AuditRow, ...]
    next: str | None


class Person(NamedTuple):
    """A user as the history names them. `home` is "" until the history has told it."""

    uid: int
    handle: str
    home: str


class Step(NamedTuple):
    """One step of a popup. `name`: `sent queued delivered done bounced expired`, or `receipt delivered` and the like for a receipt that
    waits for the sender; `took_s`: the time since its cause, negative when two servers' clocks differ, None when the history does not have
    the cause."""

    name: str
    row: AuditRow
    took_s: float | None


class Life(NamedTuple):
    """Everything that the history knows of one popup. `to` is None when the history does not have its `MessageSent`."""

    message: str
    sender: int
    to: int | None
    steps: tuple[Step, ...]


class StateAt(NamedTuple):
    """A user at a moment, folded by the domain's own folds. `complete`: no event of the two streams is missing from the history. `waiting`:
    the events that waited in the mailbox."""

    person: Person
    at: float
    user: UserState
    mailbox: MailboxState
    complete: bool
    waiting: Sequence[Event] = ()


class Shown(NamedTuple):
    """One line of a contact window. `status`: `online away dnd offline unknown`; `doubtful`: the contact's home may have been out of reach,
    in which case the window showed `unknown`."""

    uid: int
    handle: str
    name: str
    alias: str | None
    notify: bool
    home: str
    status: str
    since: float | None
    note: str
    doubtful: bool


class Doubt(NamedTuple):
    """Where a server's times are doubtful: `events` events from position `first` to `last` run backwards. `accepted`: ops say at that
    position that its clock was put right."""

    source: str
    first: int
    last: int
    events: int
    accepted: bool


class Online(NamedTuple):
    """Somebody who was online. `status`: `online away dnd`; `since`: when that status began."""

    person: Person
    status: str
    since: float | None


class Reached(NamedTuple):
    """How far the audit has come. `offset`: the next offset of the history stream; `entries`: how many events are in the store; `newest`:
    the time of the last event that arrived, None before the first; `behind_s`: how old that event was when it was stored; `unreadable`: how
    many messages of the stream were passed over because they are not ours, or not believed; `base`: at which the ids of this era begin;
    `era`: of the stream, 0 before the Global Server has named it."""

    offset: int
    entries: int
    newest: float | None
    behind_s: float | None
    unreadable: int
    base: int = 0
    era: int = 0

    @property
    def next_id(self) -> int:
        """Every entry that comes has an id from here on."""
        return self.base + self.offset * ENTRIES_PER_OFFSET

    @property
    def cursor(self) -> str | None:
        """The cursor, in the order of arrival, after everything that is in the store."""
        return str(self.next_id - 1) if self.next_id else None
