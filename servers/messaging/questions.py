"""What servers ask each other over the broker, and how they answer. Rule: each shape stands here once; both sides use it.

A question to a home has the key `home.<name>`, a question to the Global Server the key `global`. In the message each is a msgpack map, in
which `ask` names the question; a reader ignores fields that it does not know.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Protocol, TypeVar

from msgspec import Meta, Struct, field, msgpack

from domain.registry.registered_home import GLOBAL
from domain.values import Handle, HomeName, Moment, Name, Note, Number, Status, Uid
from servers.fairness.load import Heavy
from servers.trust.enrolment import Enrol

MOST_UIDS = 10_000  # of one question about presence
MOST_HEAVY = 200  # of one answer: each home tells 90 at most

A = TypeVar("A")


class AskHealth(Struct, frozen=True, tag_field="ask", tag="health"):
    """How is this home? The answer is `HomeHealth`."""


class AskLoad(Struct, frozen=True, tag_field="ask", tag="load"):
    """Who used this home most in the last minute? Only the Global Server may ask. The answer is `ToldLoad`."""


class ToldLoad(Struct, frozen=True, omit_defaults=True):
    """The heaviest users, addresses and servers, the CPU of all in seconds, and how many requests and mails wait for turns at a tenth."""

    heaviest: Annotated[list[Heavy], Meta(max_length=MOST_HEAVY)]
    cpu_s: float
    waiting: int = 0


class AskPresence(Struct, frozen=True, tag_field="ask", tag="presence"):
    """How do these users of this home stand, whom users of the asking home watch? The answer is `ToldPresence`."""

    uids: Annotated[Sequence[Uid], Meta(max_length=MOST_UIDS)]


class AskTicket(Struct, frozen=True, tag_field="ask", tag="ticket"):
    """Where can `to`, a user of this home, be reached directly by `sender`, who is seen at `address`? The answer is `TicketRoute`."""

    sender: Uid = field(name="from")
    to: Uid
    address: Annotated[str, Meta(max_length=45)]


class AskCard(Struct, frozen=True, tag_field="ask", tag="card"):
    """What does the server `name` show of itself? Any server may be asked, and in the clear. The answer is `ToldCard`."""

    name: str


class ToldCard(Struct, frozen=True):
    """A card, see `servers/trust/card.py`; empty when it is not known."""

    card: bytes


class AskCommitted(Struct, frozen=True, tag_field="ask", tag="committed"):
    """How far have you come in the mail of `server`, who asks? The answer is `ToldCommitted`."""

    server: str


class ToldCommitted(Struct, frozen=True):
    """Everything up to `position` is committed. `empty`: the broker has nothing more in the inbox."""

    position: int
    empty: bool


class SendAgain(Struct, frozen=True, tag_field="ask", tag="send_again"):
    """`server`, who asks, has your mail up to `position`, and what came after it does not follow on it or cannot be opened. `card`: what
    it shows of itself, because the mail may have been closed for a key that it has no more. `opens`: it can open now what it could not open
    before. The answer is `Noted`."""

    server: str
    position: int
    card: bytes = b""
    opens: bool = False


class Noted(Struct, frozen=True):
    """The question was heard."""


class AskEnd(Struct, frozen=True, tag_field="ask", tag="end"):
    """Where does your log end? `server`, who asks, has your mail up to `position`. The answer is `ToldEnd`."""

    server: str
    position: int


class ToldEnd(Struct, frozen=True):
    """The life of a log, and the position of its newest event."""

    life: int
    end: int


MailQuestion = AskCommitted | SendAgain | AskEnd
HomeQuestion = AskHealth | AskLoad | AskPresence | AskTicket | AskCard | MailQuestion


class UserPresence(Struct, frozen=True, array_like=True):
    """How one user stands: `projections.server.presence.Presence` with the user's number."""

    uid: Uid
    version: Number
    status: Status
    since: Moment | None
    note: Note
    name: Name


class ToldPresence(Struct, frozen=True):
    """How users stand, each once. `life`: of the log by which they do, because versions count within one; 0 at a home of before."""

    users: Annotated[Sequence[UserPresence], Meta(max_length=MOST_UIDS)]
    life: int = 0


class TicketRoute(Struct, frozen=True, omit_defaults=True):
    """Where a user listens, and the ticket's key until `expires`, in seconds since 1970. An empty map says that there is no direct way."""

    address: Annotated[str, Meta(max_length=45)] = ""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    key: bytes = b""
    expires: Moment = 0.0


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


class Announce(Struct, frozen=True, tag_field="ask", tag="announce", omit_defaults=True):
    """A home is here, and clients reach it at `url`. `card`: what it shows of itself; `life`: of its log; `standing`: the word of the
    Global Server that it kept. The answer is `Announced`, or `Refused`."""

    name: str
    url: str
    card: bytes = b""
    life: int = 0
    standing: bytes = b""


class AskLife(Struct, frozen=True, tag_field="ask", tag="life", omit_defaults=True):
    """How far is the log of `name` known to have come? It is in `life`, and ends at `end`. With `loss` in words, its server waits until
    the ops have accepted that everything up to `known` is lost. The answer is `ToldLife`."""

    name: str
    life: int
    end: int
    known: int = 0
    loss: str = ""


MOST_WORDS = 100  # of one question: to sign them takes 4 ms


class AskWords(Struct, frozen=True, tag_field="ask", tag="words"):
    """What does the Global Server say of these users, whoever they are and even if they have left? The answer is `ToldWords`."""

    uids: Annotated[Sequence[int], Meta(max_length=MOST_WORDS)]


class ToldWords(Struct, frozen=True):
    """The words (`servers/trust/user_words.py`), and the numbers that no user has or had."""

    words: list[bytes]
    nobodies: list[int]


class AskUser(Struct, frozen=True, tag_field="ask", tag="user"):
    """Who is this user, and where is their home? The answer is `FoundUser`."""

    uid: int


class AskTime(Struct, frozen=True, tag_field="ask", tag="time"):
    """What time is it? The answer is `ToldTime`."""


class ToldTime(Struct, frozen=True):
    """Seconds since 1970, by the clock of the server that answers; 0 from one that does not know the question."""

    time: float = 0.0


GlobalQuestion = Announce | AskLife | AskUser | AskWords | AskTime | AskCard | MailQuestion


class Announced(Struct, frozen=True, omit_defaults=True):
    """The public keys to trust (JSON Web Keys), the home's new certificate if the one it showed is not good any more, the Global Server's
    card, the highest revoked number of each name, up to which position it has seals of the home's log, and its signed word
    of how far its own log has come, for the home to keep. When it does not take the announcement, it says only why."""

    keys: list[dict[str, Any]] = []
    certificate: bytes = b""
    card: bytes = b""
    revoked: dict[str, int] = {}
    refused: str = ""
    url_refused: bool = False
    sealed: int = 0
    standing: bytes = b""


class ToldLife(Struct, frozen=True, omit_defaults=True):
    """Up to which position the Global Server has seals of the log; whether the ops have accepted the loss."""

    sealed: int = 0
    accepted: bool = False


class Refused(Struct, frozen=True, omit_defaults=True):
    """Why the Global Server does not do what a home asks. `url_refused`: because of its URL alone. Read as `Announced`, it says only
    why."""

    refused: str
    url_refused: bool = False
    revoked: dict[str, int] = {}


class RemoteUser(Struct, frozen=True):
    """A user as the Global Server knows them. `home` is for ever."""

    uid: Uid
    handle: Handle
    name: Name
    home: HomeName


class FoundUser(Struct, frozen=True, omit_defaults=True):
    """The user and the word about them, or None when there is no such user."""

    user: RemoteUser | None
    word: bytes = b""


def home_key(home: str) -> str:
    """The key of questions to a home."""
    return f"home.{home}"


def server_key(server: str) -> str:
    """The key of questions to a home or to the Global Server."""
    return GLOBAL if server == GLOBAL else home_key(server)


def server_of(key: str) -> str:
    """The server that answers questions with this key."""
    return key.removeprefix("home.")


class Requests(Protocol):
    """What carries questions: the broker, for what goes in the clear, or `servers/messaging/private_questions.py`."""

    async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
        """The answer of the server that serves `key`. Raises `Unavailable` without one."""


async def ask(requests: Requests, key: str, question: HomeQuestion | GlobalQuestion | Enrol, answer: type[A], timeout_s: float) -> A:
    """The answer of the server that serves `key`. Raises `Unavailable` without one, `msgspec.MsgspecError` for one of another shape."""
    return msgpack.decode(await requests.request(key, msgpack.encode(question), timeout_s), type=answer)
