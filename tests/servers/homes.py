"""Home Servers in one process over a real embedded broker, and the people who use them. Rule: people see only what their windows show."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import msgspec

from broker import envelope, topology
from broker.port import Outgoing
from domain.event import stored_fields
from domain.events.global_server import AccountClosed
from domain.registry.registered_home import GLOBAL
from runtime.scheduler import Scheduler
from servers.home.assembly import assemble
from servers.home.config import HomeConfig, HousekeepingConfig
from servers.home.service import HomeServer
from servers.integrity.policy import SealPolicy
from servers.messaging.cards import CardsConfig
from servers.messaging.clock_check import ClockConfig
from servers.messaging.eras import Era
from servers.messaging.heartbeats import HeartbeatConfig
from servers.readiness import ReadinessConfig
from servers.security.identity import Identity
from servers.sessions import views
from servers.sessions.parts import Part
from servers.sessions.session import Session
from servers.sessions.sessions import Hello
from servers.trust.user_words import user_word
from tests.servers.fragile import FragileBroker
from tests.servers.members import mail_from
from tests.servers.strangers import StandIn
from tests.support.waiting import eventually

START = 1_700_000_000.0


STANDS_STILL = ClockConfig(wrong_s=float("inf"))  # a town's clock stands still, far from that of its database


class Clock:
    """A clock that moves when told to."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Window:
    """A recording outlet: what a client's window was sent. It may be slow or broken, and it may ack by itself."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.writes = 0
        self.slow = False
        self.broken = False
        self.closed = False
        self.aborted = False

    def write(self, parts):
        if self.broken:
            raise ConnectionError
        self.writes += 1
        self.parts.extend(parts)

    def begin_part(self, name, size):
        self.begun, self.body, self.owed = name, b"", size

    def write_body(self, data):
        self.body += data
        self.owed -= len(data)
        if not self.owed:
            self.write([Part(self.begun, self.body)])

    @property
    def writable(self) -> bool:
        return not self.slow

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def bodies(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(part.body) for part in self.parts if part.name == name]

    def texts(self) -> list[str]:
        return [body["text"] for body in self.bodies("message")]

    def statuses(self, uid: int) -> list[tuple[str, str]]:
        return [(c["status"], c["reason"]) for body in self.bodies("presence") for c in body["changes"] if c["uid"] == uid]

    def states(self) -> list[tuple[str, str, str | None]]:
        return [(body["id"], body["state"], body["why"]) for body in self.bodies("receipt")]

    @property
    def newest(self) -> int:
        return max((part.seq for part in self.parts if part.seq is not None), default=0)


def json_contacts(body: bytes) -> list[views.Contact]:
    """What `GET /v1/contacts` answers."""
    return msgspec.json.decode(body, type=dict[str, list[views.Contact]])["contacts"]


class Person:
    """Somebody who lives at a home."""

    def __init__(self, town: "Town", uid: int, handle: str, home: str) -> None:
        self.town = town
        self.uid = uid
        self.who = Identity(uid, handle, handle.title(), home, f"http://{home}", START + 1e9)
        self.home_name = home
        self._ids = 0

    @property
    def home(self) -> HomeServer:
        return self.town.homes[self.home_name]

    async def opens(self, *, pong: bool = False, resume: tuple[str, int] | None = None) -> tuple[Session, Window]:
        """Log in: the session and its window."""
        window = Window()
        return await self.opens_with(window, pong=pong, resume=resume), window

    async def opens_with(self, window: Window, *, pong: bool = False, resume: tuple[str, int] | None = None) -> Session:
        """Log in with this window."""
        session, seq = resume or (None, None)
        return await self.home.log_in(self.who, Hello("test", pong, session, seq), window)

    async def adds(self, other: "Person", **options: Any) -> views.Contact:
        """Put somebody on the contact list."""
        _, view = await self.home.contacts.put(self.who, other.uid, options.get("alias"), options.get("notify", False))
        return view

    async def lists(self) -> list[views.Contact]:
        """The contact list."""
        return json_contacts(await (await self.home.contacts.read(self.who)).whole())

    async def sends(self, other: "Person", text: str, id: str | None = None, in_reply_to: str | None = None) -> str:
        """Send a popup; its id."""
        self._ids += 1
        id = id or f"{self.who.handle}-{self._ids}"
        await self.home.send(self.who, id, other.uid, text, in_reply_to, False)
        return id

    async def acks(self, session: Session, window: Window) -> None:
        """Acknowledge all that came. What the window takes then has come too, where the store can be read."""
        await self.home.acknowledge(self.who, session.id, window.newest)
        await eventually(lambda: session.page is None or session.page.exception is not None)


class Town:
    """A broker, a stand-in for the Global Server, and homes that can be stopped, killed and started again."""

    def __init__(self, directory: Path, store_url: Callable[[str], str] | None = None) -> None:
        """`store_url`: where a home's events lie, by its name; unless told otherwise in a SQLite file of `directory`."""
        self.directory = directory
        self.store_url = store_url or (lambda home: f"sqlite:///{directory}/{home}.db")
        self.keys_url: Callable[[str], str] = lambda home: ""  # where a home's keys lie, by its name; beside its events
        self.clock = Clock()
        self.monotonic = Clock(0.0)
        self.broker = FragileBroker(directory / "broker.db")
        self.registry = StandIn(directory, self.clock)
        self.homes: dict[str, HomeServer] = {}
        self.people: dict[int, Person] = {}
        self.housekeeping = HousekeepingConfig(restart_grace_s=0.05, look_s=0.02)
        self.heartbeats = HeartbeatConfig(beat_s=0.02)
        self.max_tickets = 1_000
        self.global_clock = self.clock
        self.readiness = ReadinessConfig()
        self.clock_config = STANDS_STILL
        self.seals = SealPolicy()
        self.sealed: dict[str, int] = {}  # up to where the Global Server has seals
        self.losses: dict[str, str] = {}  # what homes say that they have lost
        self.accepted: set[str] = set()  # whose loss the ops have accepted
        self.changes_burst = self.statuses_burst = 10**9
        self.cards = CardsConfig()
        self.global_is_away = False
        self.scheduler: Scheduler | None = None  # each home has its own one

    async def start(self, *homes: str) -> None:
        await self.broker.start()
        await self.broker.wait_connected(5)
        answers = self.registry.answers(self._answer, self._who)

        async def answer(body: bytes, asker: str = "") -> bytes:
            if self.global_is_away:
                await asyncio.Event().wait()
            return await answers.answer(body)

        await self.broker.serve(GLOBAL, answer)
        for name in homes:
            await self.opens(name)
        await self.meet()

    async def opens(self, name: str, **options: Any) -> HomeServer:
        config = HomeConfig(
            name, f"http://{name}", self.store_url(name), self.directory / name, blank_s=options.get("blank_s", 3600.0),
            sends_per_s=1e9, sends_burst=10**9, changes_burst=self.changes_burst,
            statuses_burst=self.statuses_burst, housekeeping=self.housekeeping, seals=self.seals,
            heartbeats=self.heartbeats, max_tickets=self.max_tickets, registry_keys=(self.registry.keys_url,),
            shared_broker=options.get("shared_broker", False),
            cards=self.cards, clock=self.clock_config, readiness=self.readiness, keys_url=self.keys_url(name),
        )  # fmt: skip
        self.homes[name] = assemble(config, self.broker, clock=self.clock, monotonic=self.monotonic, scheduler=self.scheduler)
        await self.homes[name].start()
        self.homes[name].lifecycle.outbox.era_is(topology.HISTORY, Era(1))  # what the Global Server would say
        return self.homes[name]

    async def meet(self) -> None:
        """Every home has heard of every other, and of the Global Server where it is there."""
        for home in self.homes.values():
            if not self.global_is_away:
                await eventually(home.lifecycle.global_client.announced.is_set)
            for other in self.homes:
                await eventually(lambda home=home, other=other: home.lifecycle.peers.is_up(other))

    async def closes(self, name: str) -> None:
        await self.homes.pop(name).stop()

    async def stop(self) -> None:
        for name in list(self.homes):
            await self.closes(name)
        await self.broker.close()
        self.registry.close()

    def person(self, handle: str, home: str) -> Person:
        uid = len(self.people) + 1
        self.people[uid] = Person(self, uid, handle, home)
        if home in self.homes:  # it hears of a registration at once, with the Global Server's word
            self.homes[home].lifecycle.words.learn(user_word(self.registry.trust.identity, uid, handle, home))
        return self.people[uid]

    def _who(self, uid: int) -> tuple[str, str] | None:
        person = self.people.get(uid)
        return None if person is None else (person.who.handle, person.home_name)

    async def _answer(self, question: Any) -> bytes:
        if question["ask"] == "time":
            return msgpack.packb({"time": self.global_clock.now})
        if question["ask"] == "announce":
            await self.broker.declare_inbox(question["name"])
            return msgpack.packb({"keys": [], "sealed": self.sealed.get(question["name"], 0)})
        if question["ask"] == "life":
            self.losses |= {question["name"]: question["loss"]} if question.get("loss") else {}
            return msgpack.packb({"sealed": self.sealed.get(question["name"], 0), "accepted": question["name"] in self.accepted})
        person = self.people.get(question["uid"])
        known = person and {"uid": person.uid, "handle": person.who.handle, "name": person.who.name, "home": person.home_name}
        return msgpack.packb({"user": known})

    async def settled(self) -> None:
        """Nothing is on its way any more."""

        def quiet() -> bool:
            return all(home.idle for home in self.homes.values())

        for _ in range(3):
            await eventually(quiet)
            await asyncio.gather(*(home.writer.submit(()) for home in self.homes.values()))


async def erases(town: Town, person: Person, position: int = 1) -> None:
    """What the Global Server tells every home."""
    event = AccountClosed(at=town.clock(), cause="erase", uid=person.uid, reason="test", home=person.home_name, homes=["h1", "h2"])
    state = stored_fields(event) | {"class_version": 2}
    record = envelope.EventRecord(position, f"account-{person.uid}", 4, event.TOPIC, event.at, msgpack.packb(state))
    sender = town.registry.trust
    homes = [home for home in event.homes if sender.peers.card(home)]
    await town.broker.publish([Outgoing(topology.HOMES, home, mail_from(sender, home, [record]), mandatory=True) for home in homes])


async def shown(look: Callable[[], object], expected: object) -> None:
    """Wait until `look()` is `expected`; says what it was otherwise."""
    try:
        await eventually(lambda: look() == expected, 5)
    except AssertionError:
        assert look() == expected
