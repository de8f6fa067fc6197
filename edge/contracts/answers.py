"""What successful answers look like, for `/openapi.json` and the tests. Rule: the servers make these shapes; nothing here converts."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from edge.contracts.requests import ProfileField


class Home(Struct):
    """Where a user lives."""

    name: str
    url: str


class Grant(Struct):
    """A token, and where to go with it. `expires_at`: RFC 3339."""

    uid: int
    handle: str
    home: Home
    token: str
    expires_at: str


class User(Struct):
    """A user as others see them."""

    uid: int
    handle: str
    home: Home
    profile: dict[ProfileField, str]


class Users(Struct):
    """One page of a search. `next`: the cursor of the next page, null on the last."""

    users: list[User]
    next: str | None


class Presence(Struct):
    """How a contact stands, since when (RFC 3339)."""

    status: Literal["online", "away", "dnd", "offline", "unknown"]
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


class Contacts(Struct):
    """A contact list."""

    contacts: list[Contact]


class Sender(Struct):
    """Who a message is from."""

    uid: int
    handle: str
    name: str


class Accepted(Struct, omit_defaults=True):
    """A message is committed to disk. `accepted_at`: RFC 3339. Only with a ticket: `stamp`, hexadecimal, and `from`, which it covers."""

    id: str
    accepted_at: str
    stamp: str | UnsetType = UNSET
    sender: Sender | UnsetType = field(default=UNSET, name="from")


class Ticket(Struct):
    """Where a contact listens, and the right to send there until `expires_at` (RFC 3339). `key`: for the door there, hexadecimal."""

    address: str
    port: int
    ticket: str
    key: str
    expires_at: str


class Direct(Struct):
    """Whether the client can be called directly, or why not."""

    reachable: bool
    why: Literal["not_proven", "not_allowed", "no_answer", "wrong_answer"] | None


class PolledPart(Struct):
    """One part, as on the back connection."""

    part: str
    body: dict[str, Any]


class Parts(Struct):
    """The answer to a poll: what waited, or came first; nothing when nothing came."""

    session: str
    parts: list[PolledPart]


class UserPresence(Struct):
    """How the feed says a user stands. `id`: of the CloudEvent that said so, `<home>/user-<uid>/<version>`."""

    uid: int
    handle: str
    home: str
    status: Literal["online", "away", "dnd", "offline", "unknown"]
    since: str | None
    id: str | None


class PresencePage(Struct):
    """A snapshot, or one page of it. `silent`: homes not heard of; `cursor`: go on from here; `next`: the next page, null on the last."""

    users: list[UserPresence]
    silent: list[str]
    cursor: str
    next: str | None


class Health(Struct):
    """`alive` or `ready`."""

    status: str


class Problem(Struct):
    """A refusal, RFC 9457; `code` is stable. Some have further fields, such as `field` and `expected`, or `home`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
