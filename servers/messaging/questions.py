"""What servers ask each other over the broker, and how they answer. Rule: each shape stands here once; both sides use it.

A question to a home has the key `home.<name>`, a question to the Global Server the key `global`. In the message each is a msgpack map, in
which `ask` names the question; a reader ignores fields that it does not know.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import Struct, field, msgpack

from broker.port import Broker

A = TypeVar("A")


class AskHealth(Struct, frozen=True, tag_field="ask", tag="health"):
    """How is this home? The answer is `HomeHealth`."""


class AskPresence(Struct, frozen=True, tag_field="ask", tag="presence"):
    """How do these users of this home stand? The answer is `ToldPresence`."""

    uids: Sequence[int]


class AskTicket(Struct, frozen=True, tag_field="ask", tag="ticket"):
    """Where can `to`, a user of this home, be reached directly by `sender`, who is seen at `address`? The answer is `TicketRoute`."""

    sender: int = field(name="from")
    to: int
    address: str


HomeQuestion = AskHealth | AskPresence | AskTicket


class UserPresence(Struct, frozen=True, array_like=True):
    """How one user stands: `projections.server.presence.Presence` with the user's number."""

    uid: int
    version: int
    status: str
    since: float | None
    note: str
    name: str


class ToldPresence(Struct, frozen=True):
    """How users stand."""

    users: Sequence[UserPresence]


class TicketRoute(Struct, frozen=True, omit_defaults=True):
    """Where a user listens, and the ticket's key until `expires`, in seconds since 1970. An empty map says that there is no direct way."""

    address: str = ""
    port: int = 0
    key: bytes = b""
    expires: float = 0.0


class HomeFigures(Struct, frozen=True):
    """What a home knows of itself without asking anybody. Positions and lags are numbers of events."""

    sessions: int
    users: int
    waiting: int
    position: int
    writer: int
    commits: int
    relay_lag: int
    repeats: int
    dead: int
    projections: dict[str, int]


class HomeHealth(HomeFigures, frozen=True):
    """The figures, whether the home is `ready` (None, or why not), and the depth of its `inbox` (None while the broker does not say)."""

    ready: str | None
    inbox: int | None


class Announce(Struct, frozen=True, tag_field="ask", tag="announce"):
    """A home is here, and clients reach it at `url`. The answer is `Announced`, or `Refused`."""

    name: str
    url: str


class AskUser(Struct, frozen=True, tag_field="ask", tag="user"):
    """Who is this user, and where is their home? The answer is `FoundUser`."""

    uid: int


GlobalQuestion = Announce | AskUser


class Announced(Struct, frozen=True):
    """The public keys to trust (JSON Web Keys), and number and key with which mail between servers is encrypted."""

    keys: list[dict[str, Any]]
    mail: tuple[int, bytes]


class Refused(Struct, frozen=True):
    """Why the Global Server does not know this home."""

    refused: str


class RemoteUser(Struct, frozen=True):
    """A user as the Global Server knows them. `home` is for ever."""

    uid: int
    handle: str
    name: str
    home: str


class FoundUser(Struct, frozen=True):
    """The user, or None when there is no such user."""

    user: RemoteUser | None


def home_key(home: str) -> str:
    """The key of questions to a home."""
    return f"home.{home}"


async def ask(broker: Broker, key: str, question: HomeQuestion | GlobalQuestion, answer: type[A], timeout_s: float) -> A:
    """The answer of the server that serves `key`. Raises `Unavailable` without one, `msgspec.MsgspecError` for one of another shape."""
    return msgpack.decode(await broker.request(key, msgpack.encode(question), timeout_s), type=answer)
