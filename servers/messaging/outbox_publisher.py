"""One lane of the transactional outbox: publishes what is committed, in order, with confirms. Rule: it never loses; it may repeat.

One publication is in flight at a time: receivers drop positions they have passed, so a later batch must never overtake an earlier one.
While it waits for confirms, commits gather into the next batch. When the broker is away for long, memory stays bounded: what does not
fit is read again from the store.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence

import structlog
from eventsourcing.persistence import Tracking

from broker.port import Broker, Outgoing
from domain.errors import Unavailable
from runtime.background_task import BackgroundTasks
from servers.messaging.recent_commits import RecentCommits, portion
from servers.store.event_store import Committed, Store
from servers.writing.writer import Writer

MAX_BATCH = 1_000  # events per publication: about 300 KB, well below a broker's liking
MAX_BATCH_BYTES = 1_000_000  # …and this many bytes, when the texts are long
SAVE_EVERY_S = 0.25  # how often a busy relay stores its position with a commit: a statement in each would delay them all
SAVE_AFTER_S = 1.0  # how long an idle relay waits before it stores its position by itself: a crash then repeats one second at most
RETRY_S = (0.2, 5.0)  # first and longest pause while the broker is away

log = structlog.get_logger()


class OutboxPublisher:
    """Publishes one server's log as `outgoing` puts it. `name`: under it the store remembers how far we are; `linger_s`: how long a
    batch may gather when nobody waits for it."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        broker: Broker,
        name: str,
        outgoing: Callable[[Sequence[Committed]], Sequence[Outgoing]],
        linger_s: float = 0.0,
    ) -> None:
        self._store = store
        self._writer = writer
        self._broker = broker
        self._name = name
        self._outgoing = outgoing
        self._linger_s = linger_s
        self._tail = RecentCommits()
        self._arrived = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._caught_up.set()
        self.tasks = BackgroundTasks(name)
        self.position = 0  # everything up to here is confirmed
        self._saved = 0
        self._save_at = 0.0

    async def start(self) -> None:
        """Go on where the last run stopped."""
        self.position = self._saved = await self._store.run(self._store.tracked, self._name)
        self._tail.last = max(self._tail.last, await self._store.run(self._store.last_position))
        self._confirmed(self.position)
        self._arrived.set()
        self._writer.riders.append(self._riders)
        self.tasks.start(self._run())
        self.tasks.start(self._save_now_and_then())

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Publish what is left if the broker takes it in time; what it does not is published at the next start."""
        if self._broker.connected:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._caught_up.wait(), timeout_s)
        await self.tasks.stop()
        await self._save()

    @property
    def lag(self) -> int:
        """How many positions are committed but not yet published."""
        return self._tail.last - self.position

    def offer(self, committed: Sequence[Committed], size: int) -> None:
        """Take over a fresh commit of so many bytes."""
        self._tail.offer(committed, size)
        self._caught_up.clear()
        self._arrived.set()

    async def _run(self) -> None:
        pause = RETRY_S[0]
        while True:
            try:
                batch = await self._next_batch()
                await self._publish(batch)
                del batch  # up to a megabyte, which an idle home would keep
                pause = RETRY_S[0]
            except Unavailable:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                pause = min(pause * 2, RETRY_S[1])
            except Exception:
                log.exception("relay.failed")
                await asyncio.sleep(RETRY_S[1])

    async def _publish(self, batch: Sequence[Committed]) -> None:
        outgoing = self._outgoing(batch)
        if outgoing:
            await self._broker.publish(outgoing)
        self._confirmed(batch[-1].position)

    async def _next_batch(self) -> Sequence[Committed]:
        while True:
            if self.lag <= 0:
                self._arrived.clear()
                await self._arrived.wait()
            if self._linger_s and self.lag < MAX_BATCH:
                await asyncio.sleep(self._linger_s)
            # Whoever reads what we publish drops what comes late, so nothing may be passed over: what memory lacks is read first.
            if self._tail.follows(self.position):
                return self._tail.first(MAX_BATCH, MAX_BATCH_BYTES)
            if self.lag > 0 and (batch := await self._read()):
                return portion(batch, MAX_BATCH, MAX_BATCH_BYTES)

    async def _read(self) -> list[Committed]:
        """What comes next, from the store."""
        last = self._tail.last
        try:
            batch = await self._store.run_reader(self._store.read, self.position, MAX_BATCH)
        except Unavailable as error:
            log.warning("relay.read_failed", detail=error.detail)
            await asyncio.sleep(RETRY_S[1])
            return []
        if not batch:
            self._confirmed(last)
        return batch

    def _confirmed(self, position: int) -> None:
        self.position = position
        self._tail.passed(position)
        if position >= self._tail.last:
            self._caught_up.set()
        else:
            self._caught_up.clear()

    def _riders(self) -> Sequence[Tracking]:
        """Our position, when it is time to store it with a commit that happens anyway."""
        if asyncio.get_running_loop().time() < self._save_at:
            return ()
        return self._unsaved()

    def _unsaved(self) -> Sequence[Tracking]:
        if self.position == self._saved:
            return ()
        self._saved = self.position
        self._save_at = asyncio.get_running_loop().time() + SAVE_EVERY_S
        return (Tracking(self._name, self.position),)

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SAVE_AFTER_S)
            await self._save()

    async def _save(self) -> None:
        saved = self._saved
        trackings = self._unsaved()
        if trackings:
            try:
                await self._writer.submit((), trackings=trackings)
            except Unavailable:
                self._saved = saved
