"""How the Global Server's components start and stop. Rule: a component starts after those that it uses, and stops before them."""

import asyncio
from dataclasses import dataclass

import structlog

from domain.registry.registered_home import GLOBAL
from projections.directory.directory import Directory
from servers.components import Components
from servers.global_server.current_directory import CurrentDirectory
from servers.global_server.own_life import OwnLife
from servers.global_server.presence_view import PresenceView
from servers.global_server.questions import Questions
from servers.global_server.registrar import Registrar
from servers.global_server.searches import Searches
from servers.global_server.sign_in import SignIn
from servers.lives.keeper import LifeKeeper
from servers.messaging.cards import Cards
from servers.messaging.eras import EraKeeper
from servers.messaging.mail_check import MailCheck
from servers.messaging.private_questions import PrivateAnswers, PrivateRequests
from servers.security.passwords import Passwords
from servers.trust.trust import Trust

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True, eq=False)
class Lifecycle(Components):
    """Start, stop and readiness. `with_presence`: whether there are integrators, because nobody else may ask for presence."""

    requests: PrivateRequests
    directory: Directory
    current: CurrentDirectory
    mail_check: MailCheck
    eras: EraKeeper
    presence: PresenceView
    with_presence: bool
    questions: Questions
    answers: PrivateAnswers
    passwords: Passwords
    searches: Searches
    sign_in: SignIn
    trust: Trust
    registrar: Registrar
    cards: Cards
    keeper: LifeKeeper
    own_life: OwnLife

    async def start(self) -> None:
        """Open for business. Raises `Unavailable` when the clock is wrong."""
        await self.clock_check.refuse_wrong()
        await self.projector.start()
        await self.keeper.begin()
        await asyncio.to_thread(self.trust.certify_itself, life=self.store.life)
        await self.projector.catch_up()
        await self.erasure.start()
        self.writer.start()
        await self.own_life.note_accepted()
        for server in (GLOBAL, *sorted(self.directory.homes)):
            await self.broker.declare_inbox(server)  # now and after each loss of the broker: homes may not make their own queues
        await self.outbox.start()
        self.eras.start()
        self.sealer.start()
        await self.inbox.start()
        self.mail_check.start()
        await self.peers.start()
        if self.with_presence:
            await self.presence.start()
        await self.sign_in.start()
        self.registrar.start()
        await self.broker.serve(GLOBAL, self.answers.answer)
        self.cards.start()
        self.clock_check.start()
        self.keeper.watch()
        self.readiness.start()
        self.started = True
        log.info("global.started", position=self.directory.position, users=len(self.directory.users), homes=len(self.directory.homes))

    async def stop(self) -> None:
        """Finish what was begun."""
        self.started = False
        await self.stop_in_order(
            *([self.presence] if self.with_presence else []),
            self.readiness,
            self.clock_check,
            self.keeper,
            self.cards,
            self.registrar,
            self.sign_in,
            self.peers,
            self.eras,
            self.mail_check,
            self.inbox,
            self.sealer,
            self.outbox,
            self.writer,
            self.current,
            self.projector,
        )
        await asyncio.to_thread(self.passwords.close)
        await asyncio.to_thread(self.searches.close)
        log.info("global.stopped")

    def ready(self) -> str | None:
        """None when users can be served, else why not."""
        if self.keeper.waits:
            return self.keeper.waits
        if not self.started:
            return "The Global Server is starting or stopping."
        return self.readiness.why_not()
