"""What the edge needs of the servers behind it. Rule: a route calls only what is named here."""

from collections.abc import Callable, Collection
from typing import Any, Protocol

from runtime.deferred import Deferred
from runtime.scheduler import Job
from servers.global_server import views as global_views
from servers.security.identity import Identity
from servers.sessions import views
from servers.sessions.parts import Outlet
from servers.sessions.route import DirectRoute
from servers.sessions.sessions import Hello


class Verifier(Protocol):
    """Checks tokens, offline."""

    def verify(self, token: str) -> Identity:
        """The user whom the token names. Raises `Unauthorized`, `Unavailable`."""


class Session(Protocol):
    """One logged-in client, as the edge sees it."""

    @property
    def id(self) -> str:
        """The name by which the client calls it."""

    def resume(self) -> None:
        """The outlet is writable again."""


class HomeSession(Session, Protocol):
    """A session at a home. Its outlet may be replaced by one that also uses a direct line."""

    outlet: Outlet
    route: DirectRoute | None


class Streams(Protocol):
    """A server that writes endless answers: a home, or the Global Server."""

    def lost(self, session: Any) -> None:
        """The session's transport is gone. Idempotent."""


class Listing(Protocol):
    """A contact list, in JSON."""

    async def whole(self) -> bytes | None:
        """All of a short one; None for one that is to be sent."""

    def send(self, write: Callable[[bytes], object], drained: Callable[[], Deferred[None] | None]) -> Job[None]:
        """Write it piece by piece. `drained`: None while the transport takes more, else what is done when it does."""


class ContactList(Protocol):
    """The calls about contact lists (`servers/home/contact_list.py`)."""

    async def read(self, who: Identity) -> Listing:
        """The contact list."""

    async def put(self, who: Identity, uid: int, alias: str | None, notify: bool) -> tuple[bool, views.Contact]:
        """Add or change a contact. Returns whether the contact is new, and the contact."""

    async def remove(self, who: Identity, uid: int) -> None:
        """Take a contact off the list."""


class Home(Streams, Protocol):
    """A Home Server (`servers/home/service.py`). Every method raises `FlashError` only."""

    @property
    def name(self) -> str:
        """The home's name, as tokens hold it."""

    @property
    def blank_s(self) -> float:
        """The interval between blanks. A client that promised to answer them and is silent for two intervals is dead."""

    @property
    def contacts(self) -> ContactList:
        """The calls about contact lists."""

    async def log_in(self, who: Identity, hello: Hello, outlet: Outlet) -> Session:
        """Register a session and write its first parts through `outlet`, as far as it takes them, before returning."""

    async def log_off(self, who: Identity, session_id: str) -> None:
        """End a session with a goodbye."""

    def send(
        self, who: Identity, message_id: str, to: int, text: str, in_reply_to: str | None, urgent: bool, ticket: str | None, /
    ) -> Deferred[views.Accepted]:
        """Commit a message. With a ticket, the answer may have a stamp."""

    async def issue_ticket(self, who: Identity, to: int, address: str) -> views.Ticket:
        """The direct way to a contact, for a sender who connects from `address`."""

    def acknowledge(self, who: Identity, session_id: str, upto: int) -> Deferred[None]:
        """Note that every message up to `upto` has arrived."""

    async def done(self, who: Identity, message_id: str) -> None:
        """The recipient has closed a message."""

    async def set_status(self, who: Identity, status: str, note: str, until: float | None) -> None:
        """Choose a status, until a time in seconds since 1970."""

    def offering(self, who: Identity, session_id: str) -> HomeSession:
        """The session for which a client offers a direct line."""

    async def note_route(self, who: Identity, session_id: str, why: str | None) -> None:
        """Store whether the client can be called directly. `why`: None when it can."""

    def ready(self) -> str | None:
        """None when users can be served, else the reason, in one sentence."""

    def warnings(self) -> list[str]:
        """What is wrong elsewhere although users can be served, one sentence each."""

    def closed(self) -> str | None:
        """None when calls may come in, else the reason, in one sentence."""


class HeavyUse(Protocol):
    """What the ops see of heavy use, and do about it (`servers/global_server/heavy_use.py`)."""

    async def look(self, who: Identity) -> global_views.HeavyUse:
        """The heaviest at each server in the last minute, and the throttles."""

    async def throttle(self, who: Identity, kind: str, name: str, for_s: float) -> global_views.Throttle:
        """Give somebody turns at a tenth."""

    async def end_throttle(self, who: Identity, kind: str, name: str) -> None:
        """Give somebody all turns again."""


class Global(Streams, Protocol):
    """The Global Server (`servers/global_server/service.py`). Every method raises `FlashError` only."""

    @property
    def heavy(self) -> HeavyUse:
        """The calls about heavy use."""

    async def register(
        self, handle: str, password: str, profile: dict[str, str | None], client_address: str, *, separate_tokens: bool
    ) -> global_views.Grant:
        """Register a user. Returns their grant."""

    async def token(self, handle: str, password: str, client_address: str, *, separate_tokens: bool) -> global_views.Grant:
        """A grant for a user who knows the password."""

    async def search(self, who: Identity, words: str, fields: dict[str, str], limit: int, cursor: str | None) -> global_views.Users:
        """One page of users."""

    async def user(self, who: Identity, uid: int) -> global_views.User:
        """A user by number."""

    async def user_by_handle(self, who: Identity, handle: str) -> global_views.User:
        """A user by login name."""

    async def change_profile(self, who: Identity, profile: dict[str, str | None]) -> global_views.User:
        """Change a profile. Returns the user after it."""

    async def erase_me(self, who: Identity, password: str, client_address: str) -> None:
        """Close one's own account."""

    async def erase(self, who: Identity, uid: int) -> None:
        """Close somebody's account."""

    async def presence(self, who: Identity, uids: Collection[int] | None, limit: int, after: int) -> global_views.PresencePage:
        """A snapshot of the presence of `uids`, or one page of everybody granted."""

    def subscribe(self, who: Identity, uids: Collection[int] | None, after: str | None, outlet: Outlet) -> Session:
        """Write the presence changes after a cursor through `outlet`, from now on."""

    def closed(self) -> str | None:
        """None when calls may come in, else the reason, in one sentence."""

    def ready(self) -> str | None:
        """None when users can be served, else the reason, in one sentence."""

    def warnings(self) -> list[str]:
        """What is wrong elsewhere although users can be served, one sentence each."""
