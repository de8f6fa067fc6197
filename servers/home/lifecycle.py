"""The order in which the components of a home start and stop. Rule: a component starts after those that it uses, and stops before them."""

import asyncio
from dataclasses import dataclass, field

import structlog

from domain.registry.registered_home import GLOBAL
from projections.server.handles import Handles
from projections.server.presence import PresenceIndex
from servers.components import Components
from servers.home.global_client import GlobalClient
from servers.home.housekeeping import Housekeeping
from servers.home.peer_presence import PeerPresence
from servers.lives.keeper import LifeKeeper
from servers.messaging.cards import Cards
from servers.messaging.mail_check import MailCheck
from servers.messaging.presence_refill import PresenceRefill
from servers.messaging.private_questions import PrivateAnswers
from servers.messaging.questions import home_key
from servers.messaging.word_asking import WordAsking
from servers.sessions.blanks import BlankWheel
from servers.sessions.session import Session
from servers.store.log.lease import Lease
from servers.trust.trust import Trust
from servers.trust.user_words import UserWords

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True, eq=False)
class Lifecycle(Components):
    """One home's start and stop. `lease` is None where the store allows one process only, as SQLite does."""

    name: str
    lease: Lease | None
    presence: PresenceIndex
    mail_check: MailCheck
    peer_presence: PeerPresence
    presence_refill: PresenceRefill
    answers: PrivateAnswers
    words: UserWords
    handles: Handles
    word_asking: WordAsking
    global_client: GlobalClient
    trust: Trust
    cards: Cards
    housekeeping: Housekeeping
    blanks: BlankWheel[Session]
    keeper: LifeKeeper
    life: str = field(default="", init=False)  # the life of the log: the ids of sessions begin with it
    known_lives: set[str] = field(default_factory=set, init=False)  # the beginnings of sessions' ids whose cursors are good here

    async def start(self) -> None:
        """Open for business. Where another process holds the lease, this waits for it and keeps the projections up to date meanwhile.
        Raises `Unavailable` when the clock is wrong."""
        await self.clock_check.refuse_wrong()
        await self.projector.start()
        if self.lease is not None:
            self.global_client.start()  # when the lease is ours the Global Server's keys must be known, even if it is away then
            await self.lease.acquire(self.projector.catch_up)
            self.store.fence(self.lease.epoch)
            await self.clock_check.refuse_wrong()  # it may have waited for months
            self.trust.take(await asyncio.to_thread(self.trust.read))  # the one that served before may have changed keys
        await self.keeper.begin()
        await self.projector.catch_up()
        await self.erasure.start()
        await self._learn_cursors()
        self.writer.start()
        await self.broker.declare_inbox(self.name)
        await self.broker.declare_inbox(GLOBAL)  # for our seals: a message without a queue would stop the outbox
        await self.presence_refill.start()
        await self.outbox.start()
        self.sealer.start()
        await self.peers.start()
        await self.broker.serve(home_key(self.name), self.answers.answer)
        self.cards.start()
        self.word_asking.start()
        self.word_asking.want(await self.store.run(self.words.absent, tuple(self.handles.names)))  # of users from before there were words
        await self.inbox.start()
        self.mail_check.start()
        self.global_client.start()
        self.housekeeping.start()
        self.blanks.start()
        self.clock_check.start()
        self.keeper.watch()
        self.readiness.start()
        self.started = True
        log.info("home.started", home=self.name, position=self.presence.position, users=len(self.presence.users))

    async def _learn_cursors(self) -> None:
        """A number of a mailbox may mean another message in another life, so a session's id says in which life it was."""
        self.life = f"{self.store.life:x}"
        self.known_lives = {self.life}
        if self.store.agreed and not self.store.former:  # clients of a log from before logs had lives told how often it was restored
            restored = await self.store.run(self.store.load, f"restored-{self.name}")
            self.known_lives.add(str(restored.version or ""))

    async def stop(self) -> None:
        """Finish what was begun."""
        self.writer.over = self.lease is not None and self.lease.lost.is_set()
        await self.stop_in_order(
            self.readiness,
            self.clock_check,
            self.keeper,
            self.peer_presence,
            self.blanks,
            self.housekeeping,
            self.global_client,
            self.mail_check,
            self.inbox,
            self.word_asking,
            self.cards,
            self.peers,
            self.presence_refill,
            self.sealer,
            self.outbox,
            self.writer,
            self.projector,
            *([] if self.lease is None else [self.lease]),
        )
        log.info("home.stopped", home=self.name)
