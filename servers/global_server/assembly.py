"""How the Global Server is put together. Rule: here parts are made, joined, started and stopped, and nothing else happens.

store -> directory -> writer -> relay, sealer -> inbox (the homes' seals), neighbours, answers to the homes' questions (their side:
`servers/home/global_client.py`)
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import structlog

from broker.port import Broker
from domain.errors import Rejected, Unavailable
from domain.event import Event
from domain.events.integrity import SealReceived
from domain.registry.commands import AnnounceHome
from domain.registry.registered_home import GLOBAL
from domain.rules import global_server as rules
from projections.by_server import GlobalProjections, by_name
from projections.directory.directory import Listed
from runtime.background_task import BackgroundTasks
from runtime.ids import new_id
from servers.global_server.presence_view import PresenceView
from servers.integrity.sealer import Sealer, SealPolicy
from servers.messaging.heartbeats import PeerMonitor
from servers.messaging.inbox import Inbox
from servers.messaging.outbox import Outbox
from servers.security.integrators import PresenceGrant
from servers.security.passwords import Cost, Passwords
from servers.security.rate_limit import RateLimit
from servers.security.tokens import KeyVerifier, Signer
from servers.store.event_store import Committed, Store
from servers.writing.erasure import Erasure
from servers.writing.projector import Projector
from servers.writing.writer import Writer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GlobalConfig:
    """The Global Server. `store_url`: see `servers.store`; `directory`: for dumps and, unless `key_file` says otherwise, the key."""

    store_url: str
    directory: Path
    key_file: Path | None = None  # several Global Servers on one store must share it
    token_lifetime_s: float = 86_400.0  # a client logs in again each day; a stolen token is of use for a day
    ops: frozenset[str] = frozenset()  # handles whose tokens carry the role `ops`
    integrators: Mapping[str, PresenceGrant] = field(default_factory=dict)  # by handle; their tokens carry the role `integrator`
    blank_s: float = 30.0  # between blanks on presence streams
    password_cost: Cost = field(default_factory=Cost)
    registrations_per_s: float = 10.0  # per address, lasting
    registrations_burst: int = 1_000  # a school behind one address registers in one lesson
    failed_logins_per_s: float = 0.1  # per handle and address, lasting: 8,640 guesses a day
    failed_logins_burst: int = 10  # a person who mixes up passwords
    failed_guesses_per_s: float = 1.0  # per address, whatever the handle: who tries one password on everybody
    failed_guesses_burst: int = 300  # an office behind one address after a change of passwords
    lookups_per_s: float = 20.0  # per user, lasting: searches and look-ups; the directory is for finding, not for copying
    lookups_burst: int = 6_000  # a client that learns the names of a list of the largest size
    seals: SealPolicy = field(default_factory=SealPolicy)
    keys_url: str = ""  # where the keys of personal data lie: see `servers.key_places`


class GlobalParts:
    """The parts of the Global Server. The clocks and the source of ids can be replaced by tests."""

    def __init__(
        self,
        config: GlobalConfig,
        broker: Broker,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = new_id,
    ) -> None:
        self.config = config
        self.broker = broker
        self.clock = clock
        self.new_id = new_id
        self.signer = Signer.load_or_create(config.key_file or config.directory / "signing-key.pem")
        self.verifier = KeyVerifier(clock=clock)
        self.verifier.set_keys(self.signer.public_keys())
        self.passwords = Passwords(config.password_cost)
        self.registrations = RateLimit(config.registrations_per_s, config.registrations_burst, monotonic)
        self.failed_logins = RateLimit(
            config.failed_logins_per_s, config.failed_logins_burst, monotonic, "Too many wrong passwords; wait a little."
        )
        self.failed_guesses = RateLimit(
            config.failed_guesses_per_s,
            config.failed_guesses_burst,
            monotonic,
            "Too many wrong passwords from your network; wait a little.",
        )
        self.lookups = RateLimit(config.lookups_per_s, config.lookups_burst, monotonic, "Too many searches at once; wait a little.")
        self.store = Store(config.store_url, GLOBAL, rules.RULES, config.keys_url)
        projections = GlobalProjections()
        self.directory, self.leavers = projections.directory, projections.closed
        self.verifier.refused = self.leavers.uids
        self.erasure = Erasure(self.store, self.leavers)
        self.writer = Writer(self.store, clock, [self._committed], erasure=self.erasure)
        self.relay = Outbox(self.store, self.writer, broker, GLOBAL, rules.RECIPIENTS, _no_feed)
        self.sealer = Sealer(self.store, self.writer, GLOBAL, config.seals)
        self.inbox = Inbox(self.store, self.writer, broker, GLOBAL, rules.RULES.react, _nothing_to_show)
        self.projector = Projector(self.store, config.directory, by_name(projections))
        self.neighbours = PeerMonitor(broker, GLOBAL, new_id(), monotonic, self._home_up, self._home_down)
        self.presence = PresenceView(
            broker,
            config.directory / "presence.projection",
            self.directory,
            config.integrators,
            self.neighbours.alive,
            self.catch_up,
            config.blank_s,
            clock,
            monotonic,
        )
        self.homes_changed = asyncio.Event()  # set when a home came up or was announced
        self._catching_up = asyncio.Lock()
        self._tasks = BackgroundTasks("directory-catch-up")
        self._mail_key = b""
        self._started = False

    async def start(self) -> None:
        """Open for business."""
        await self.projector.start()
        await self.erasure.start()
        self.store.mail_key, self._mail_key = await self.store.run(self.store.keys.make_mail_key)
        self.writer.start()
        await self.broker.declare_inbox(GLOBAL)
        await self.relay.start()
        self.sealer.start()
        await self.inbox.start()
        await self.neighbours.start()
        if self.config.integrators:  # nobody else may ask
            await self.presence.start()
        await self.broker.serve(GLOBAL, self._answer)
        self._started = True
        log.info("global.started", position=self.directory.position, users=len(self.directory.users), homes=len(self.directory.homes))

    async def stop(self) -> None:
        """Finish what was begun, in the order in which parts depend on each other."""
        self._started = False
        if self.config.integrators:
            await self.presence.stop()
        await self.neighbours.stop()
        await self.inbox.stop()
        await self.sealer.stop()
        await self.relay.stop()
        await self.writer.stop()
        await self._tasks.wait()
        await self.projector.stop()
        await asyncio.to_thread(self.passwords.close)
        await asyncio.to_thread(self.store.close)
        log.info("global.stopped")

    def ready(self) -> str | None:
        """None when users can be served, else why not."""
        if not self._started:
            return "The Global Server is starting or stopping."
        return None if self.writer.alive else "The writer has stopped; restart the Global Server."

    async def catch_up(self) -> None:
        """Bring the directory to the end of the log: another Global Server on the same store may have written. Raises `Unavailable`."""
        async with self._catching_up:
            if await self.store.run_reader(self.store.last_position) > self.directory.position:
                await self.projector.catch_up()
                self.verifier.forget()  # somebody may have left

    async def find(self, look: Callable[[], Listed | None]) -> Listed | None:
        """What `look` finds in the directory; when it finds nothing, once more in the newest one. Raises `Unavailable`."""
        found = look()
        if found is None:
            await self.catch_up()
            found = look()
        return found

    def _committed(self, batch: list[Committed]) -> None:
        self.relay.offer(batch)
        self.sealer.offer(batch)
        for committed in batch:
            if isinstance(committed.event, SealReceived) and not committed.event.follows:
                log.error("global.seal_does_not_follow", home=committed.event.server, number=committed.event.number)
        if batch[0].position == self.directory.position + 1:
            for committed in batch:
                self.directory.apply(committed.position, committed.event)
                self.leavers.apply(committed.position, committed.event)
        else:  # another Global Server's events lie between, or positions the database left out: only the log knows
            self._tasks.start(self._catch_up_soon())
        if any(committed.event.ERASES for committed in batch):
            self.verifier.forget()
        self.homes_changed.set()

    async def _catch_up_soon(self) -> None:
        try:
            await self.catch_up()
        except Unavailable as error:
            log.warning("global.catch_up_failed", error=type(error).__name__)  # the next commit or miss tries again

    def _home_up(self, name: str) -> None:
        self.homes_changed.set()
        self.presence.homes_changed()

    def _home_down(self, name: str) -> None:
        """A silent home gets no new users: `Neighbours.alive` says so."""
        self.presence.homes_changed()

    async def _answer(self, body: bytes) -> bytes:
        """What a home asked: see `servers/home/global_client.py`."""
        question: dict[str, Any] = msgpack.unpackb(body)
        answer: dict[str, Any]
        match question:
            case {"ask": "announce", "name": str(name), "url": str(url)}:
                try:
                    await self.writer.submit((AnnounceHome(name=name, url=url, cause=self.new_id()),))
                    await self.broker.declare_inbox(name)  # from now on new users may be addressed to it: what is unroutable stops a relay
                    answer = {"keys": self.signer.public_keys(), "mail": (self.store.mail_key, self._mail_key)}
                except Rejected as refusal:
                    log.error("global.home_refused", home=name, code=refusal.code)
                    answer = {"refused": refusal.detail}
            case {"ask": "user", "uid": int(uid)}:
                user = await self.find(lambda: self.directory.users.get(uid))
                known = user and {"uid": user.uid, "handle": user.handle, "name": user.name, "home": user.home}
                answer = {"user": known}
            case _:
                log.error("global.question_unknown")
                answer = {"refused": "unknown question"}
        packed: bytes = msgpack.packb(answer)
        return packed


def _no_feed(committed: Committed) -> Sequence[Any]:
    """Integrators hear of presence only, which the homes tell."""
    return ()


def _nothing_to_show(event: Event, source: str) -> None:
    """A home's seals are kept; nobody waits for them."""
