"""How a Home Server is put together. Rule: here parts are made, joined, started and stopped, and nothing else happens.

store -> projections -> writer -> relay, sealer, notices -> inbox, neighbours, global link, housekeeping, blanks
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import structlog

from broker.port import Broker
from domain.errors import Unavailable
from domain.event import Event
from domain.events.home import MessageSent
from domain.registry.registered_home import GLOBAL
from domain.rules import home as rules
from domain.rules.rules import Command
from projections.by_server import HomeProjections, by_name
from projections.server.presence import NEVER, Presence, PresenceIndex
from runtime.background_task import BackgroundTasks
from runtime.ids import new_id
from servers.home.global_client import GlobalClient
from servers.home.health import home_health
from servers.home.housekeeping import Housekeeping, Patience
from servers.integrity.sealer import Sealer, SealPolicy
from servers.messaging.heartbeats import PeerMonitor
from servers.messaging.inbox import Inbox
from servers.messaging.leased_broker import leased
from servers.messaging.outbox import Outbox
from servers.messaging.presence_events import presence_feed
from servers.security.rate_limit import RateLimit
from servers.security.tokens import KeyVerifier
from servers.sessions.blanks import BlankWheel
from servers.sessions.notifier import SessionNotifier
from servers.sessions.part_bodies import goodbye_part
from servers.sessions.sessions import Session, Sessions
from servers.sessions.tickets import Tickets
from servers.store.event_store import Committed, Store
from servers.store.lease import Lease
from servers.writing.erasure import Erasure
from servers.writing.projector import Projector
from servers.writing.writer import Writer

SNAPSHOT_TIMEOUT_S = 5.0
ASK_AGAIN_S = 0.2  # a broker that is away refuses at once: asking again without a pause would stop this home for good
UIDS_PER_QUESTION = 5_000  # a presence question and its answer stay below 1 MB

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HomeConfig:
    """One home. `url`: where clients reach it; `store_url`: see `servers.store`; `directory`: for dumps and remembered keys; `holder`:
    names this process among those that could serve this home; `lease_s`: how long one renewal of the lease is good."""

    name: str
    url: str
    store_url: str
    directory: Path
    blank_s: float = 30.0  # common load balancers cut idle connections at 60 s; two blanks fit
    sends_per_s: float = 100.0  # per user, lasting: a program may do this, a person never
    sends_burst: int = 1_000  # a client that was offline hands in what it kept
    changes_per_s: float = 10.0  # per user, lasting: logins, contacts, status; each is told to all contacters
    changes_burst: int = 6_000  # a list of the largest size is brought over at once
    patience: Patience = field(default_factory=Patience)
    holder: str = "somebody"
    lease_s: float = 4.0  # with a look every half second, a standby serves about five seconds after the other's last sign of life
    seals: SealPolicy = field(default_factory=SealPolicy)
    keys_url: str = ""  # where the keys of personal data lie: see `servers.key_places`


class HomeParts:
    """The parts of one home. The clocks and the source of ids can be replaced by tests."""

    def __init__(
        self,
        config: HomeConfig,
        broker: Broker,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = new_id,
    ) -> None:
        self.config = config
        self.name = config.name
        self.url = config.url
        self.clock = clock
        self.monotonic = monotonic
        self.new_id = new_id
        self.run_id = new_id()  # differs after each restart
        self.verifier = KeyVerifier(clock=clock)
        self.sends = RateLimit(config.sends_per_s, config.sends_burst, monotonic, "Too many messages at once; wait a little.")
        self.changes = RateLimit(config.changes_per_s, config.changes_burst, monotonic, "Too many changes at once; wait a little.")
        self.sessions = Sessions()
        projections = HomeProjections()
        self.presence, self.contacters, self.waiting = projections.presence, projections.contacters, projections.waiting
        self.leavers = projections.closed
        self.verifier.refused = self.leavers.uids
        self.rules = rules.rules_for(self.name)
        self.store = Store(config.store_url, self.name, self.rules, config.keys_url)
        table = self.store.lease()
        self.lease = None if table is None else Lease(table, self.name, config.holder, config.lease_s)
        self.broker = broker = broker if self.lease is None else leased(broker, self.lease)
        self.erasure = Erasure(self.store, self.leavers)
        self.writer = Writer(self.store, clock, [self._committed], fenced_out=self._fenced_out, erasure=self.erasure)
        addresses = {**rules.RECIPIENTS, **dict.fromkeys(PresenceIndex.FOLDS, self._watching)}
        self.relay = Outbox(self.store, self.writer, broker, self.name, addresses, lambda c: presence_feed(c, self.name))
        self.sealer = Sealer(self.store, self.writer, self.name, config.seals)
        self.inbox = Inbox(self.store, self.writer, broker, self.name, self._react, self._heard)
        self.neighbours = PeerMonitor(broker, self.name, self.run_id, monotonic, self._server_up, self._server_down)
        self.notices = SessionNotifier(self.name, self.sessions, self.presence, self.contacters, self.waiting, self.neighbours)
        self.tickets = Tickets(self.name, self.sessions, self.contacters, broker, clock, new_id)
        self.projector = Projector(self.store, config.directory, by_name(projections))
        self.global_link = GlobalClient(
            broker, self.name, self.url, config.directory / "global-keys.json", self.verifier.set_keys, self.store
        )
        self.housekeeping = Housekeeping(self.writer, self.sessions, self.presence, self.waiting, config.patience, clock)
        self.blanks = BlankWheel(config.blank_s, monotonic, self._silent)
        self._end: Callable[[Session, str], None] = lambda session, reason: None
        self._asking = BackgroundTasks(f"peer-presence-{self.name}")
        self.life = ""  # how often the log was restored, if ever: the ids of sessions begin with it
        self._started = False

    async def start(self, end: Callable[[Session, str], None]) -> None:
        """Open for business. `end(session, reason)`: how a session is ended from inside. Where another process holds the lease, this
        waits until it is ours, with the projections kept warm."""
        self._end = end
        await self.projector.start()
        if self.lease is not None:
            self.global_link.start()  # the Global Server's keys must be at hand when it is our turn, even if it is away then
            await self.lease.acquire(self.projector.catch_up)
            self.store.fence(self.lease.epoch)
            await self.projector.catch_up()
        await self.erasure.start()
        restored = await self.store.run(self.store.load, f"restored-{self.name}")
        self.life = str(restored.version or "")
        self.writer.start()
        await self.broker.declare_inbox(self.name)
        await self.broker.declare_inbox(GLOBAL)  # for our seals: what is unroutable would stop the relay
        await self.relay.start()
        self.sealer.start()
        await self.neighbours.start()
        await self.broker.serve(f"home.{self.name}", self._answer)
        await self.inbox.start()
        self.global_link.start()
        self.housekeeping.start()
        self.blanks.start()
        self._started = True
        log.info("home.started", home=self.name, position=self.presence.position, users=len(self.presence.users))

    async def stop(self) -> None:
        """Finish what was begun, in the order in which parts depend on each other."""
        self.writer.over = self.lease is not None and self.lease.lost.is_set()
        await self._asking.stop()
        await self.blanks.stop()
        await self.housekeeping.stop()
        await self.global_link.stop()
        await self.inbox.stop()
        await self.neighbours.stop()
        await self.sealer.stop()
        await self.relay.stop()
        await self.writer.stop()
        await self.projector.stop()
        if self.lease is not None:
            await self.lease.stop()
        await asyncio.to_thread(self.store.close)
        log.info("home.stopped", home=self.name)

    def ready(self) -> str | None:
        """None when users can be served, else why not."""
        if (closed := self.closed()) is not None:
            return closed
        if not self.writer.alive:
            return "The writer has stopped; restart this home."
        if not self.verifier.has_keys:
            return "The Global Server's public key is not known yet."
        return None

    def closed(self) -> str | None:
        """None when calls may come in, else why not: who may not write must not answer either."""
        if self.lease is not None and (why_not := self.lease.why_not()) is not None:
            return why_not
        return None if self._started else "This home is starting."

    def _fenced_out(self) -> None:
        if self.lease is not None:
            self.lease.fenced_out()

    def _committed(self, batch: list[Committed]) -> None:
        self.relay.offer(batch)
        self.sealer.offer(batch)
        self.notices.committed(batch)
        for position, event, _ in batch:
            if event.ERASES:
                self.leavers.apply(position, event)
                self._left(event.stream_uid)
        self.leavers.position = batch[-1].position

    def _react(self, event: Event, source: str) -> Sequence[Command]:
        """What another server's event makes this home do; nothing about what came too late from one who left for good."""
        if isinstance(event, MessageSent) and event.uid in self.leavers.uids:
            return ()
        return self.rules.react(event, source)

    def _left(self, uid: int) -> None:
        """Keep nothing here of one who left for good, neither sessions nor words."""
        self.verifier.forget()
        self.global_link.forget(uid)
        for session in list(self.sessions.of(uid)):
            self.blanks.remove(session)
            self.sessions.remove(session)
            session.outlet.write((goodbye_part("closed", None),))
            session.outlet.close()
        for session in self.sessions:
            session.drop(uid)
        self.housekeeping.drop_erased(uid)

    def _heard(self, event: Event, source: str) -> None:
        self.notices.heard(event, source)

    def _watching(self, event: Event) -> Iterable[str]:
        return self.contacters.homes_watching(event.stream_uid) if rules.is_told(event) else ()

    def _silent(self, session: Session) -> None:
        if self.closed() is not None:  # what it said meanwhile was refused
            session.seen_at = self.monotonic()
            return
        self._end(session, "timeout")

    def _server_down(self, server: str) -> None:
        self.notices.home_down(server)

    def _server_up(self, server: str) -> None:
        if server == GLOBAL:
            self.global_link.announce()
            return
        self._asking.start(self._ask_presence(server))

    async def _ask_presence(self, home: str) -> None:
        """Learn how things stand with the users of another home, until it answers or falls silent."""
        while self.neighbours.is_up(home):
            uids = self.contacters.watched_at(home)
            told: list[tuple[int, Presence]] = []
            try:
                for start in range(0, len(uids), UIDS_PER_QUESTION):
                    question = {"ask": "presence", "uids": uids[start : start + UIDS_PER_QUESTION]}
                    answer = msgpack.unpackb(await self.broker.request(f"home.{home}", msgpack.packb(question), SNAPSHOT_TIMEOUT_S))
                    told.extend((uid, Presence(*presence)) for uid, *presence in answer["users"])
            except Unavailable:
                await asyncio.sleep(ASK_AGAIN_S)
                continue
            except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
                log.error("home.presence_answer_unreadable", home=home, error=type(error).__name__)
                await asyncio.sleep(ASK_AGAIN_S)
                continue
            self.notices.home_up(home, told)
            return

    async def _answer(self, body: bytes) -> bytes:
        question: dict[str, Any] = msgpack.unpackb(body)
        if question["ask"] == "health":
            health: bytes = msgpack.packb(await home_health(self))
            return health
        if question["ask"] == "ticket":
            ticket: bytes = msgpack.packb(self.tickets.answer(question))
            return ticket
        uids: Sequence[int] = question["uids"]
        answer: bytes = msgpack.packb({"users": [(uid, *self.presence.users.get(uid, NEVER)) for uid in uids]})
        return answer
