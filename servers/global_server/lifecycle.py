"""How the Global Server's components start and stop. Rule: a component starts after those that it uses, and stops before them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from broker.port import Broker
from domain.registry.registered_home import GLOBAL
from projections.directory.directory import Directory
from servers.global_server.current_directory import CurrentDirectory
from servers.global_server.presence_view import PresenceView
from servers.global_server.questions import Questions
from servers.global_server.registrar import Registrar
from servers.integrity.sealer import Sealer
from servers.messaging.cards import Cards
from servers.messaging.heartbeats import PeerMonitor
from servers.messaging.inbox import Inbox
from servers.messaging.mail_check import MailCheck
from servers.messaging.outbox import Outbox
from servers.security.passwords import Passwords
from servers.store.event_store import Store
from servers.trust.trust import Trust
from servers.writing.erasure import Erasure
from servers.writing.projector import Projector
from servers.writing.writer import Writer

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True, eq=False)
class Lifecycle:
    """Start, stop and readiness. `with_presence`: whether there are integrators, because nobody else may ask for presence."""

    broker: Broker
    store: Store
    directory: Directory
    current: CurrentDirectory
    projector: Projector
    erasure: Erasure
    writer: Writer
    outbox: Outbox
    sealer: Sealer
    inbox: Inbox
    mail_check: MailCheck
    peers: PeerMonitor
    presence: PresenceView
    with_presence: bool
    questions: Questions
    passwords: Passwords
    trust: Trust
    registrar: Registrar
    cards: Cards
    clock: Callable[[], float]
    _started: bool = field(default=False, init=False)

    async def start(self) -> None:
        """Open for business."""
        await self.store.run(self.store.begin_life, self.clock())
        await self.projector.start()
        await self.erasure.start()
        self.store.transit_key, key = await self.store.run(self.store.keys.make_transit_key)
        self.questions.transit_key = (self.store.transit_key, key)
        self.writer.start()
        await self.broker.declare_inbox(GLOBAL)
        await self.outbox.start()
        self.sealer.start()
        await self.inbox.start()
        self.mail_check.start()
        await self.peers.start()
        if self.with_presence:
            await self.presence.start()
        self.registrar.start()
        await self.broker.serve(GLOBAL, self.questions.answer)
        self.cards.start()
        self._started = True
        log.info("global.started", position=self.directory.position, users=len(self.directory.users), homes=len(self.directory.homes))

    async def stop(self) -> None:
        """Finish what was begun."""
        self._started = False
        if self.with_presence:
            await self.presence.stop()
        await self.cards.stop()
        await self.registrar.stop()
        await self.peers.stop()
        await self.mail_check.stop()
        await self.inbox.stop()
        await self.sealer.stop()
        await self.outbox.stop()
        await self.writer.stop()
        await self.current.stop()
        await self.projector.stop()
        await asyncio.to_thread(self.passwords.close)
        await asyncio.to_thread(self.store.close)
        log.info("global.stopped")

    def ready(self) -> str | None:
        """None when users can be served, else why not."""
        if not self._started:
            return "The Global Server is starting or stopping."
        return None if self.writer.alive else "The writer has stopped; restart the Global Server."

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: everything that came is committed, and everything committed is published."""
        return self.inbox.idle and self.writer.idle and self.outbox.idle
