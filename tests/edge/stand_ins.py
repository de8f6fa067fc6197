"""A home, a Global Server and a verifier that keep simple dictionaries. Rule: they do what they say at once, and remember being asked."""

import asyncio
import json
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from domain.errors import (
    BadCredentials,
    Forbidden,
    HandleTaken,
    Invalid,
    NoRoute,
    NotAContact,
    TooLarge,
    Unauthorized,
    UnknownMessage,
    UnknownSession,
    UnknownUser,
)
from domain.profile import clean_changes, clean_profile
from domain.values import MAX_TEXT_CHARS
from runtime.deferred import Deferred
from runtime.scheduler import Job, Scheduler, Steps
from servers.global_server import views as global_views
from servers.security.identity import Identity
from servers.sessions import views
from servers.sessions.listing import SHORT
from servers.sessions.parts import Outlet, Part
from servers.sessions.route import DirectRoute
from servers.sessions.sessions import Hello

T = TypeVar("T")
ANN = Identity(uid=1, handle="ann", name="Ann", home="h1", home_url="http://127.0.0.1:1", expires_at=4e9)
BOB = Identity(uid=2, handle="bob", name="Bob", home="h1", home_url="http://127.0.0.1:1", expires_at=4e9)
FAR = Identity(uid=3, handle="far", name="Far", home="h2", home_url="http://h2.example", expires_at=4e9)
ACCEPTED_AT = "2023-11-14T22:13:20.250000Z"


class Tokens:
    """Knows three tokens."""

    def __init__(self) -> None:
        self.known = {"ann-token": ANN, "bob-token": BOB, "far-token": FAR}

    def verify(self, token: str) -> Identity:
        if token not in self.known:
            raise Unauthorized
        return self.known[token]


class StandInSession:
    """One login."""

    __slots__ = ("acked", "hello", "id", "outlet", "resumed", "route", "sent", "uid")

    def __init__(self, id: str, uid: int, outlet: Outlet, hello: Hello) -> None:
        self.id = id
        self.uid = uid
        self.outlet = outlet
        self.hello = hello
        self.acked = 0
        self.sent = 0  # what a test writes through the outlet, it counts here
        self.resumed = 0
        self.route: DirectRoute | None = None

    def resume(self) -> None:
        self.resumed += 1


class Nowhere:
    """An outlet without a connection."""

    writable = False

    def write(self, parts: Sequence[Part]) -> None:
        """Swallow."""

    def begin_part(self, name: str, size: int) -> None:
        """Swallow."""

    def write_body(self, data: bytes) -> None:
        """Swallow."""

    def close(self) -> None:
        """Nothing to close."""

    def abort(self) -> None:
        """Nothing to drop."""


NOWHERE = Nowhere()


def part(name: str, body: Any = None, seq: int | None = None) -> Part:
    """A part with a JSON body."""
    return Part(name, json.dumps(body if body is not None else {}, separators=(",", ":")).encode(), seq)


def welcome_of(session: str, uid: int) -> bytes:
    """The body of the part with which the stand-in begins a session."""
    welcome = views.Welcome(session, uid, StandInHome.blank_s, views.Resumed("fresh", 0), [], views.OwnStatus("online", "", None))
    return msgspec.json.encode(welcome)


class StandInListing:
    """A contact list of `StandInHome`, which counts the pieces that are made of long ones."""

    def __init__(self, home: "StandInHome") -> None:
        self._home = home
        self._contacts = list(home.listed.values())

    async def whole(self) -> bytes | None:
        return msgspec.json.encode({"contacts": self._contacts}) if len(self._contacts) <= SHORT else None

    def send(self, write: Callable[[bytes], object], drained: Callable[[], Deferred[None] | None]) -> Job[None]:
        def steps() -> Steps[None]:
            write(b'{"contacts":[')
            for number, contact in enumerate(self._contacts):
                while (waits := drained()) is not None:
                    yield waits
                self._home.pieces += 1
                write(b"," * bool(number) + msgspec.json.encode(contact))
                yield None
            write(b"]}")

        return Scheduler().start("ann", "contacts", steps())


class StandInContacts:
    """The contact list of `StandInHome`."""

    def __init__(self, home: "StandInHome") -> None:
        self._home = home

    async def read(self, who: Identity) -> "StandInListing":
        if self._home.refusal is not None:
            raise self._home.refusal
        return StandInListing(self._home)

    async def put(self, who: Identity, uid: int, alias: str | None, notify: bool) -> tuple[bool, views.Contact]:
        await self._home.enter()
        if uid not in (ANN.uid, BOB.uid):
            raise UnknownUser(uid=uid)
        created = uid not in self._home.listed
        self._home.listed[uid] = views.Contact(uid, "bob", "Bob", alias, notify, views.Presence("offline", None, ""))
        return created, self._home.listed[uid]

    async def remove(self, who: Identity, uid: int) -> None:
        await self._home.enter()
        self._home.listed.pop(uid, None)


class StandInHome:
    """A home for Ann and Bob; each is the other's only contact."""

    name = "h1"
    url = "http://127.0.0.1:1"
    blank_s = 30.0

    def __init__(self) -> None:
        self.closed_because: str | None = None
        self.sessions: dict[str, StandInSession] = {}
        self.gone: list[StandInSession] = []
        self.sent: list[tuple[int, str, int, str]] = []
        self.statuses: dict[int, tuple[str, str, float | None]] = {}
        self.finished: list[str] = []
        self.routes: list[str | None] = []
        self.nearby: set[int] = set()  # users for whom a ticket may be issued
        self.contacts = StandInContacts(self)
        self.pieces = 0  # of long contact lists
        self.listed: dict[int, views.Contact] = {}
        self.calls = 0  # everything that changes something
        self.refusal: Exception | None = None
        self.reason: str | None = None
        self.elsewhere: list[str] = []
        self.gate: asyncio.Event | None = None  # every client that comes waits for it
        self.waiting = 0
        self.yields = False
        self._tasks: set[asyncio.Task[None]] = set()

    def closed(self) -> str | None:
        return self.closed_because

    def _doing(self, doing: Coroutine[Any, Any, T]) -> Deferred[T]:
        """What a coroutine will come to."""
        deferred: Deferred[T] = Deferred()

        async def do() -> None:
            try:
                deferred.set_result(await doing)
            except Exception as error:
                deferred.set_exception(error)

        task = asyncio.create_task(do())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return deferred

    async def enter(self) -> None:
        if self.yields:
            await asyncio.sleep(0)
        if self.gate is not None:
            self.waiting += 1
            await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        self.calls += 1

    async def log_in(self, who: Identity, hello: Hello, outlet: Outlet) -> StandInSession:
        await self.enter()
        session = StandInSession(f"s{len(self.sessions) + 1}", who.uid, outlet, hello)
        self.sessions[session.id] = session
        outlet.write((Part("welcome", welcome_of(session.id, who.uid)),))
        return session

    def lost(self, session: StandInSession) -> None:
        self.gone.append(session)

    async def log_off(self, who: Identity, session_id: str) -> None:
        await self.enter()
        session = self.sessions.get(session_id)
        if session is None or session.uid != who.uid:
            return
        del self.sessions[session_id]
        session.outlet.write((part("goodbye", {"reason": "logoff", "reconnect_after_s": None}),))
        session.outlet.close()

    def send(
        self, who: Identity, message_id: str, to: int, text: str, in_reply_to: str | None, urgent: bool, ticket: str | None, /
    ) -> Deferred[views.Accepted]:
        return self._doing(self._send(who, message_id, to, text, ticket))

    async def _send(self, who: Identity, message_id: str, to: int, text: str, ticket: str | None) -> views.Accepted:
        await self.enter()
        if len(text) > MAX_TEXT_CHARS:
            raise TooLarge(field="text")
        if to not in (ANN.uid, BOB.uid):
            raise NotAContact(uid=to)
        self.sent.append((who.uid, message_id, to, text))
        if ticket == "good":
            return views.Accepted(message_id, ACCEPTED_AT, stamp="00", sender=views.Sender(who.uid, who.handle, who.name))
        return views.Accepted(message_id, ACCEPTED_AT)

    async def issue_ticket(self, who: Identity, to: int, address: str) -> views.Ticket:
        await self.enter()
        if to not in self.nearby:
            raise NoRoute
        return views.Ticket(address, 40_123, "good", "00", "2026-01-01T00:00:00.000000Z")

    def acknowledge(self, who: Identity, session_id: str, upto: int) -> Deferred[None]:
        return self._doing(self._acknowledge(who, session_id, upto))

    async def _acknowledge(self, who: Identity, session_id: str, upto: int) -> None:
        await self.enter()
        session = self._own(who, session_id)
        if upto > session.sent:
            raise Invalid("upto", f"a number up to {session.sent}, the last one sent to this session")
        session.acked = upto

    async def done(self, who: Identity, message_id: str) -> None:
        await self.enter()
        if not any((to, id) == (who.uid, message_id) for _, id, to, _ in self.sent):
            raise UnknownMessage
        self.finished.append(message_id)

    async def set_status(self, who: Identity, status: str, note: str, until: float | None) -> None:
        await self.enter()
        if until is not None and until <= time.time():
            raise Invalid("until", "a time to come")
        self.statuses[who.uid] = (status, note, until)

    def offering(self, who: Identity, session_id: str) -> StandInSession:
        return self._own(who, session_id)

    async def note_route(self, who: Identity, session_id: str, why: str | None) -> None:
        await self.enter()
        self.routes.append(why)

    def ready(self) -> str | None:
        return self.reason

    def warnings(self) -> list[str]:
        return self.elsewhere

    def _own(self, who: Identity, session_id: str) -> StandInSession:
        session = self.sessions.get(session_id)
        if session is None or session.uid != who.uid:
            raise UnknownSession
        return session


class StandInHeavyUse:
    """Ann is heavy at h1; h2 does not answer. It remembers what it was asked to do."""

    def __init__(self, name: str = "ann") -> None:
        self.name = name
        self.asked: list[tuple[Any, ...]] = []
        self.held: list[global_views.Throttle] = []

    async def look(self, who: Identity) -> global_views.HeavyUse:
        self.asked.append(("look", who.handle))
        ann = global_views.Heavy("user", self.name, 12.5, 4_096, 3.25)
        h1 = global_views.ServerLoad("h1", True, 20.0, 7, [ann])
        return global_views.HeavyUse([h1, global_views.ServerLoad("h2", False, None, None, [])], list(self.held))

    async def throttle(self, who: Identity, kind: str, name: str, for_s: float) -> global_views.Throttle:
        self.asked.append(("throttle", who.handle, kind, name, for_s))
        self.held.append(global_views.Throttle(kind, name, "2030-01-01T00:00:00.000000Z", who.handle))
        return self.held[-1]

    async def end_throttle(self, who: Identity, kind: str, name: str) -> None:
        self.asked.append(("end", who.handle, kind, name))
        self.held = [each for each in self.held if (each.kind, each.who) != (kind, name)]


class StandInGlobal:
    """A Global Server with a dictionary of users."""

    def __init__(self) -> None:
        self.heavy = StandInHeavyUse()
        self.users: dict[str, global_views.User] = {}
        self.passwords: dict[str, str] = {}
        self.searched: list[tuple[str, dict[str, str], int, str | None]] = []
        self.addresses: list[str] = []
        self.reason: str | None = None
        self.elsewhere: list[str] = []
        self.asked: list[tuple[Any, ...]] = []
        self.streams: list[StandInSession] = []
        self.gone: list[StandInSession] = []
        self.refusal: Exception | None = None

    def _grant(self, user: global_views.User) -> global_views.Grant:
        return global_views.Grant(user.uid, user.handle, user.home, "ann-token", "2030-01-01T00:00:00.000000Z")

    async def register(
        self, handle: str, password: str, profile: dict[str, str | None], client_address: str, *, separate_tokens: bool
    ) -> global_views.Grant:
        self.addresses.append(client_address)
        if handle in self.users:
            raise HandleTaken(handle=handle)
        home = global_views.Home("h1", "http://127.0.0.1:1")
        self.users[handle] = global_views.User(len(self.users) + 1, handle, home, clean_profile(profile))
        self.passwords[handle] = password
        return self._grant(self.users[handle])

    async def token(self, handle: str, password: str, client_address: str, *, separate_tokens: bool) -> global_views.Grant:
        if self.passwords.get(handle) != password:
            raise BadCredentials
        return self._grant(self.users[handle])

    async def search(self, who: Identity, words: str, fields: dict[str, str], limit: int, cursor: str | None) -> global_views.Users:
        self.searched.append((words, fields, limit, cursor))
        wanted = [*words.lower().split(), *(word for text in fields.values() for word in text.lower().split())]
        found = [user for user in self.users.values() if all(word in str(user.profile).lower() for word in wanted)]
        return global_views.Users(found[:limit], None)

    async def user(self, who: Identity, uid: int) -> global_views.User:
        for user in self.users.values():
            if user.uid == uid:
                return user
        raise UnknownUser(uid=uid)

    async def user_by_handle(self, who: Identity, handle: str) -> global_views.User:
        if handle not in self.users:
            raise UnknownUser(handle=handle)
        return self.users[handle]

    async def change_profile(self, who: Identity, profile: dict[str, str | None]) -> global_views.User:
        user = await self.user(who, who.uid)
        changed = {name: text for name, text in {**user.profile, **clean_changes(profile)}.items() if text}
        self.users[user.handle] = msgspec.structs.replace(user, profile=changed)
        return self.users[user.handle]

    async def erase_me(self, who: Identity, password: str, client_address: str) -> None:
        self.addresses.append(client_address)
        if self.passwords.get(who.handle) != password:
            raise BadCredentials
        del self.users[who.handle], self.passwords[who.handle]

    async def erase(self, who: Identity, uid: int) -> None:
        raise Forbidden

    def closed(self) -> str | None:
        return self.reason

    def ready(self) -> str | None:
        return self.reason

    def warnings(self) -> list[str]:
        return self.elsewhere

    async def presence(self, who: Identity, uids: Collection[int] | None, limit: int, after: int) -> global_views.PresencePage:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((who.uid, uids and sorted(uids), limit, after))
        state = global_views.UserPresence(1, "ann", "h1", "offline", None, None)
        return global_views.PresencePage([state], [], "1.0000000a", None)

    def subscribe(self, who: Identity, uids: Collection[int] | None, after: str | None, outlet: Outlet) -> StandInSession:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((who.uid, uids and sorted(uids), after))
        self.streams.append(StandInSession(f"s{len(self.streams) + 1}", who.uid, outlet, Hello()))
        outlet.write((part("homes", {"silent": [], "blank_s": 30}),))
        return self.streams[-1]

    def lost(self, session: StandInSession) -> None:
        self.gone.append(session)
