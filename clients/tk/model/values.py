"""What the popup client shows, as values. Rule: frozen, without toolkit or clock, and enough to draw from."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Literal, dataclass_transform

ORDER = ("online", "away", "dnd", "offline", "unknown")  # the contact window's groups; the people who answer soonest come first
STRANGERS = "strangers"  # the sixth and last group: people who wrote and are not on the list
DEFAULT_SERVER = "http://127.0.0.1:8080"  # where `flash serve` puts the Global Server
MAX_TEXT_CHARACTERS = 4096  # the protocol's bound of a message's text (its other bound, 16 KiB, is never reached first)

StatusName = Literal["online", "away", "dnd"]  # a status that a person may choose
MessageKey = tuple[int, str]  # (sender's uid, id): senders choose ids, so only together are they unique


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value:
    """The base of everything that a fold takes or gives: each class that derives from it is a frozen dataclass."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True)(cls)


class SentState(IntEnum):
    """How far a message of mine has come. A state replaces only smaller ones, so that a message never goes backwards.

    `BOUNCED` stands below `DELIVERED`, because a message that some client has taken has arrived, whatever else is reported.
    """

    SAVING = 0  # not on this machine's disk yet
    WAITING = 1  # on disk; sent as soon as there is a connection
    ACCEPTED = 2  # on the home's disk
    BOUNCED = 3  # it will not arrive, and `why` gives the reason
    DELIVERED = 4  # a client of the recipient has it
    DONE = 5  # the recipient closed it


class Sent(Value):
    """A message I wrote here. `at`: when I wrote it. `why`: the reason, with `BOUNCED`."""

    id: str
    to: int
    text: str = field(repr=False)
    at: datetime
    in_reply_to: str | None = None
    urgent: bool = False
    state: SentState = SentState.SAVING
    why: str | None = None


class Received(Value):
    """A message that came. `at`: when the sender's home accepted it. `open`: neither Done nor answered. `read`: seen in a window."""

    key: MessageKey
    handle: str
    name: str
    text: str = field(repr=False)
    at: datetime
    in_reply_to: str | None = None
    urgent: bool = False
    open: bool = True
    read: bool = False

    @property
    def uid(self) -> int:
        """The uid of the sender."""
        return self.key[0]

    @property
    def id(self) -> str:
        """The id that the sender chose."""
        return self.key[1]


Entry = Received | Sent  # one line of a conversation


class ContactRow(Value):
    """One line of the contact window. `status`: one of `ORDER`. `since`: None when nobody knows. `saving`: not confirmed by the home."""

    uid: int
    handle: str
    name: str = ""
    alias: str | None = None
    notify: bool = False
    status: str = "unknown"
    since: datetime | None = None
    note: str = ""
    unread: int = 0
    listed: bool = True
    saving: bool = False

    @property
    def title(self) -> str:
        """The name to show: my alias, else their name, else their handle."""
        return self.alias or self.name or self.handle


class Group(Value):
    """Contacts of one status (one of `ORDER`, or `STRANGERS`), sorted by title."""

    status: str
    rows: tuple[ContactRow, ...]


class Account(Value):
    """The user for whom this client acts, and the Global Server."""

    server: str
    uid: int
    handle: str


class SignInState(Value):
    """The sign-in window. `busy`: an answer is awaited. `error`: one sentence, empty without an error. The rest prefills the fields."""

    busy: bool = False
    error: str = ""
    server: str = ""
    handle: str = ""


class Connection(Value):
    """The state of the connection. `retry_at`: when the next try is due, while `reconnecting`. `why`: one short phrase; while connected,
    the transport, or empty for the usual one. `direct`: the home has called us, and sends on that line."""

    state: Literal["connected", "connecting", "reconnecting", "signed_out"] = "signed_out"
    why: str = ""
    retry_at: datetime | None = None
    direct: bool = False

    def line(self, now: datetime) -> str:
        """The connection line: `connected`, `reconnecting in 4 s: …`, `signed out: …`. Draw it again every second."""
        why = "popups come directly" if self.direct else self.why
        reason = f": {why}" if why else ""
        if self.state == "reconnecting":
            left = 0 if self.retry_at is None else round((self.retry_at - now).total_seconds())
            return f"reconnecting in {left} s{reason}" if left > 0 else f"reconnecting{reason}"
        return self.state.replace("_", " ") + reason


class OwnStatus(Value):
    """My own status. `until`: when it falls back to online; None for no end. `saved`: the home has it."""

    status: StatusName = "online"
    note: str = ""
    until: datetime | None = None
    saved: bool = True

    def says(self, other: "OwnStatus") -> bool:
        """Whether others see the same for both, saved or not."""
        return (self.status, self.note, self.until) == (other.status, other.note, other.until)


class Replay(Value):
    """A backlog that comes in after a login: `got` of `total` messages."""

    total: int
    got: int = 0


class Removal(Value):
    """A contact that was taken off the list. The home is told at `until`; before that, `UndoRemoval` needs no home."""

    row: ContactRow
    until: datetime


class Found(Value):
    """Someone whom the directory search found. `profile`: the fields that they filled in, as (name, value)."""

    uid: int
    handle: str
    name: str
    profile: tuple[tuple[str, str], ...] = ()


class DirectorySearch(Value):
    """The last directory search. `complete`: there are no more than are shown. `error`: one sentence."""

    query: str = ""
    found: tuple[Found, ...] = ()
    busy: bool = False
    complete: bool = True
    error: str = ""


class HistorySearch(Value):
    """The last search in the history of this machine, newest first."""

    query: str = ""
    uid: int | None = None
    entries: tuple[Entry, ...] = ()
    busy: bool = False


class Popup(Value):
    """One small window. `id` stays the same for its life.

    `message`: one message (`key`), which stays until Done, Reply or Later. `summary`: `count` messages wait; it opens the inbox. `online`:
    contact `uid` came online; it may close by itself. `urgent`: it stays until it is answered, offers no Later, and may ring.
    """

    id: str
    kind: Literal["message", "summary", "online"]
    uid: int | None = None
    key: MessageKey | None = None
    count: int = 1
    urgent: bool = False


def text_trouble(text: str) -> str:
    """Why this text cannot be sent, as one sentence; empty when it can. For the counter and the Send button."""
    if not text.strip():
        return "There is nothing to send yet."
    if len(text) > MAX_TEXT_CHARACTERS:
        return f"{len(text) - MAX_TEXT_CHARACTERS} characters too many: a message has at most {MAX_TEXT_CHARACTERS:,}."
    return ""
