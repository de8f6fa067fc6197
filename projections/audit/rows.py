"""What the audit takes and gives. Rule: plain frozen values; times are seconds since 1970, UTC.

An entry's `id` is its place in the history: the offset of the stream message that brought it and its number in that message. So ids are
the same in every store that was fed from the same stream, and an export can go on from any of them.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from domain.mailbox.state import MailboxState
from domain.user.state import UserState

ENTRIES_PER_OFFSET = 1 << 17  # more than the events an envelope may hold (`broker.envelope.MAX_EVENTS`)

Order = Literal["newest", "oldest", "arrival"]  # by time, by time, or as the history brought them


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
    """What must hold of an entry; None: anything. `user`: the entry is in one of that user's own streams (account, audit, handle, user,
    mailbox); `source`: the server that stored it, `h1` or `global`; `topics`: any of them; `since` <= time < `until`;
    `message`: it is about a popup with this id; `cause`: exactly this cause."""

    user: int | None = None
    source: str | None = None
    topics: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    message: str | None = None
    cause: str | None = None


class AuditRow(NamedTuple):
    """One event. `source` and `position`: whose log, and where in it; `uid` and `handle`: whose stream, None for a home's; `data`:
    the stored bytes."""

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

    @property
    def offset(self) -> int:
        """The offset in the history stream of the message that brought it."""
        return self.id // ENTRIES_PER_OFFSET


class Page(NamedTuple):
    """Some of the log. `next`: the cursor of the page after it, None when there is none."""

    rows: tuple[AuditRow, ...]
    next: str | None


class Person(NamedTuple):
    """A user as the history names them. `home` is "" until the history has told it."""

    uid: int
    handle: str
    home: str


class Step(NamedTuple):
    """One step of a popup. `name`: `sent queued delivered done bounced expired`, or `receipt delivered` and the like for news that
    waits for the sender; `took_s`: since the step that caused it, negative when two servers' clocks
    differ; None when that one is not in the history."""

    name: str
    row: AuditRow
    took_s: float | None


class Life(NamedTuple):
    """All that the history knows of one popup. `to` is None when its sending is not in the history."""

    message: str
    sender: int
    to: int | None
    steps: tuple[Step, ...]


class StateAt(NamedTuple):
    """A user at a moment, folded by the domain's own folds. `complete`: no event of the two streams is missing from the history."""

    person: Person
    at: float
    user: UserState
    mailbox: MailboxState
    complete: bool


class Shown(NamedTuple):
    """One line of a contact window. `status`: `online away dnd offline unknown`; `doubtful`: the contact's home may have been out of
    reach, and then the window showed `unknown`."""

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


class Online(NamedTuple):
    """Somebody who was online. `status`: `online away dnd`; `since`: when that status began."""

    person: Person
    status: str
    since: float | None


class Reached(NamedTuple):
    """How far the audit has come. `offset`: the next one of the history stream; `entries`: events in the store; `newest`: the time
    of the last one that came, None for none; `behind_s`: how old that one was when it was stored; `unreadable`: messages of the
    stream that were passed over because they are not ours."""

    offset: int
    entries: int
    newest: float | None
    behind_s: float | None
    unreadable: int

    @property
    def cursor(self) -> str | None:
        """The cursor, in the order of arrival, of what comes after all this."""
        return str(self.offset * ENTRIES_PER_OFFSET - 1) if self.offset else None
