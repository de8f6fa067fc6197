"""Every JSON shape that a home says to its users, in answers and in parts. Rule: a shape stands here once and is encoded from here.

`docs/protocol.md` explains the fields. All times are RFC 3339, as `runtime/times.py` writes them.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

Status = Annotated[str, Meta(extra_json_schema={"enum": ["online", "away", "dnd", "offline", "unknown"]})]


class Presence(Struct):
    """A contact's status, and since when they have it."""

    status: Status
    since: str | None
    note: str


class Contact(Struct):
    """One entry of a contact list."""

    uid: int
    handle: str
    name: str
    alias: str | None
    notify: bool
    presence: Presence


class Sender(Struct):
    """The user who sent a message."""

    uid: int
    handle: str
    name: str


class Accepted(Struct, omit_defaults=True):
    """A message is committed to disk. Only with a ticket: `stamp`, hexadecimal, and `from`, which the stamp covers."""

    id: str
    accepted_at: str
    stamp: str | UnsetType = UNSET
    sender: Sender | UnsetType = field(default=UNSET, name="from")


class Ticket(Struct):
    """Where a contact listens, and the right to send there until `expires_at`. `key`: opens the connection there; hexadecimal."""

    address: str
    port: int
    ticket: str
    key: str
    expires_at: str


class Message(Struct):
    """The part `message`."""

    seq: int
    id: str
    sender: Sender = field(name="from")
    text: str
    sent_at: str
    in_reply_to: str | None
    urgent: bool


class Receipt(Struct):
    """The part `receipt`."""

    seq: int
    id: str
    to: int
    state: str
    at: str
    why: str | None


class PresenceChange(Struct):
    """One entry of the part `presence`."""

    uid: int
    status: Status
    since: str | None
    note: str
    reason: str
    notify: bool


class PresenceChanges(Struct):
    """The part `presence`. Each change is a `PresenceChange`, encoded already because many watchers share it."""

    changes: list[Raw]


class Done(Struct):
    """The part `done`."""

    id: str


class ContactChanges(Struct):
    """The part `contacts`. `removed`: the uids."""

    added: list[Contact]
    removed: list[int]


class OwnStatus(Struct):
    """The part `status`: what the user chose, which only their own clients are told."""

    status: Status
    note: str
    until: str | None


class Goodbye(Struct):
    """The part `goodbye`."""

    reason: str
    reconnect_after_s: float | None


class Resumed(Struct):
    """What became of the client's earlier session. `count`: how many messages come again."""

    verdict: str
    count: int


class Welcome(Struct):
    """The part `welcome`."""

    session: str
    uid: int
    blank_s: float
    resume: Resumed
    contacts: list[Contact]
    status: OwnStatus
