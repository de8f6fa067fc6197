"""The transactional outbox: publishes committed events in the order of the log. Rule: mail to other homes and presence events go at once;
the history stream gets batches of 50 ms.

Two publishers follow the same log, each with its own stored position: "mail", for which people wait, and "history", for which nobody does.
The history gets the stored bytes; what other servers get is `servers/messaging/mail_sender.py`'s. Cost per 50 ms: one history message.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from broker import topology
from broker.port import Broker, Outgoing
from domain.errors import Unavailable
from domain.event import Event
from runtime.background_task import BackgroundTask
from runtime.bounds import Holding
from servers.messaging.eras import Era
from servers.messaging.history_sender import HELD, NAME, HistorySender
from servers.messaging.mail_again import MailAgain
from servers.messaging.mail_blocks import MailBlocks
from servers.messaging.mail_sender import MailSender, Recipients
from servers.messaging.outbox_parts import OutboxConfig
from servers.messaging.outbox_publisher import OutboxPublisher
from servers.messaging.receivers import Receivers
from servers.messaging.recent_commits import RecentCommits
from servers.messaging.words_to_tell import WordsToTell
from servers.store.event_store import Committed, Store
from servers.store.log.positions import BLOCKS, MAILED, RELAY, SETTLED, TAKEN
from servers.trust.publications import HistorySigner
from servers.trust.trust import Trust
from servers.writing.writer import Writer

TIDY_S = 60.0  # a server that is behind leaves a row for each 4,032 positions: minutes do not matter
TIMERS_EARLY_S = 0.01  # a loop may call by so much too early, when nobody is due yet


class Outbox:
    """Publishes one server's log. `recipients`: the homes that an event is for, by its class; `presence_events`: what integrators hear of a
    presence event, whose class must be among the recipients."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        broker: Broker,
        server: str,
        recipients: Recipients,
        presence_events: Callable[[Committed], Sequence[Outgoing]],
        config: OutboxConfig | None = None,
        *,
        trust: Trust,
        want_card: Callable[[str], None],
        words: WordsToTell,
        committed: Callable[[str], int] = lambda server: 0,
        overdue: Callable[[Event], bool] = lambda event: False,
        signer: HistorySigner | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`want_card`: learn the card of a server; `committed`: how far this server has come in another's log; `overdue`:
        whether an event's time to live is over, so that it bounces; `signer`: of what is published to the history."""
        self._store = store
        self._words = words
        config = config or OutboxConfig()
        self.recent = recent = RecentCommits(config.max_events, config.max_bytes)
        self.offer = recent.offer  # the writer calls it with every commit
        follower = recent.follow(recipients)
        self.receivers = Receivers(monotonic, self._wake, lambda positions: self.mail.landed(positions))
        self.blocks = MailBlocks()
        self.sender = sender = MailSender(
            store, broker, server, recipients, presence_events, committed, trust, want_card, words, self.receivers, self.blocks, follower,
            lambda positions: self.mail.landed(positions), follower.arrived.set, config,
        )  # fmt: skip
        self.again = MailAgain(store, broker, sender, self.receivers, follower, overdue, config.max_batch, config.max_batch_bytes)
        self._late, self._tidying = BackgroundTask("mail-late"), BackgroundTask("mail-blocks")
        self._loop: asyncio.AbstractEventLoop | None = None
        trust.peers.on_learned.append(self._card_came)
        self.mail = OutboxPublisher(store, writer, broker, "mail", RELAY, sender, follower, 0.0, config)
        following = recent.follow()
        again = HistorySender(store, broker, server, following, signer, config.max_batch, config.max_batch_bytes)
        self.history_sender = again
        self.history = OutboxPublisher(store, writer, broker, "history", NAME, again, following, config.history_linger_s, config)

    async def start(self) -> None:
        """Go on where the last run stopped."""
        self._loop = asyncio.get_running_loop()
        self.recent.last = max(self.recent.last, await self._store.run(self._store.last_position))
        for prefix in (MAILED, SETTLED, TAKEN):
            self.receivers.load(await self._store.run(self._store.tracked_under, f"{prefix} "))
        blocks = await self._store.run(self._store.tracked_under, BLOCKS)
        await self.mail.start()
        self.mail.ride(self.blocks.load(blocks, self.mail.position))
        self.receivers.go_on()
        self.again.start()
        self._late.start(self.sender.look_for_late())
        self._tidying.start(self._forget_settled())
        await self.history.start()
        self.history_sender.load(await self._store.run(self._store.tracked_under, HELD))

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Publish the rest if the broker takes it in time; what remains is published at the next start."""
        await asyncio.gather(self.mail.stop(timeout_s), self.history.stop(timeout_s))
        await self._end()

    async def kill(self) -> None:
        """End at once, as in a crash: nothing more is published or stored."""
        self.sender.over = True
        await asyncio.gather(self.mail.kill(), self.history.kill())
        await self._end()

    async def _end(self) -> None:
        self.sender.over = True
        for task in (self.again.task, self._late, self._tidying):
            await task.stop()

    @property
    def position(self) -> int:
        """Everything up to here is published."""
        return min(self.mail.position, self.history.position)

    @property
    def lag(self) -> int:
        """How many positions are committed but not yet published, to the history in its present era."""
        return max(self.mail.lag, self.history_sender.lag)

    @property
    def idle(self) -> bool:
        """Whether everything is published."""
        return self.lag <= 0

    def era_is(self, stream: str, era: Era) -> None:
        """The Global Server says in which era a stream is."""
        if stream == topology.HISTORY:
            self.history_sender.era_is(era.number, era.past)

    def holdings(self) -> Iterator[Holding]:
        """What it keeps in memory."""
        yield from self.recent.holdings()
        yield from self._words.holdings()
        yield from self.receivers.holdings()

    def _wake(self, delay_s: float) -> None:
        """Let it be looked, after a while, who is to be sent something again."""
        asyncio.get_running_loop().call_later(delay_s + TIMERS_EARLY_S, self.again.wanted.set)

    async def _forget_settled(self) -> None:
        """Now and then: what everybody has settled needs no index."""
        while True:
            await asyncio.sleep(TIDY_S)
            for server, receiver in list(self.receivers.known.items()):
                if names := self.blocks.settled(server, receiver.settled):
                    with contextlib.suppress(Unavailable):  # a row that stays is deleted after the next start
                        await self._store.run(self._store.log.untrack, names)

    def _card_came(self, server: str) -> None:
        """In whatever thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.receivers.reachable, server)
