"""One of the outbox's two publishers: publishes the log in order, with confirms. Rule: it never loses an event; it may repeat some.

One publication is in flight at a time: receivers drop positions below those that they have seen, so a later batch must never overtake an
earlier one. While a publication waits for its confirms, commits gather into the next batch. When the broker is away for long, memory stays
bounded: events that do not fit are read again from the store.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from eventsourcing.persistence import Tracking

from broker.port import Broker, Outgoing
from domain.errors import Unavailable
from runtime.background_task import BackgroundTask
from servers.messaging.recent_commits import MAX_BYTES, MAX_EVENTS, Follower, portion
from servers.store.event_store import Committed, Store
from servers.writing.writer import Writer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """The bounds of one outbox."""

    max_batch: int = 1_000  # events per publication: about 300 KB, well below a broker's liking
    max_batch_bytes: int = 1_000_000  # …and this many bytes, when the texts are long
    max_events: int = MAX_EVENTS  # in memory
    max_bytes: int = MAX_BYTES  # in memory
    history_linger_s: float = 0.05  # an audit that is a twentieth of a second behind is live; a busy home then publishes hundreds at once
    save_after_s: float = 1.0  # how long an idle publisher waits before it stores its position: a crash then repeats one second at most
    first_retry_s: float = 0.2  # pause while the broker is away; it doubles up to the longest
    longest_retry_s: float = 5.0


class OutboxPublisher:
    """Publishes what `outgoing` makes of the events. `name`: the store remembers the position under it; `linger_s`: how long a batch may
    gather when nobody waits for it."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        broker: Broker,
        name: str,
        outgoing: Callable[[Sequence[Committed]], Sequence[Outgoing]],
        log_follower: Follower,
        linger_s: float,
        config: OutboxConfig,
    ) -> None:
        self._store = store
        self._writer = writer
        self._broker = broker
        self._name = name
        self._outgoing = outgoing
        self._log = log_follower
        self._linger_s = linger_s
        self._config = config
        self._saved = 0  # the position that the store has, or that travels with a coming commit
        self._stopping = False
        self._saving = BackgroundTask(f"{name}-save")
        self.task = BackgroundTask(name)

    async def start(self) -> None:
        """Go on where the last run stopped."""
        self._saved = await self._store.run(self._store.tracked, self._name)
        self._log.passed(self._saved)
        self._log.arrived.set()
        self.task.start(self._run())
        self._saving.start(self._save_now_and_then())

    async def stop(self, timeout_s: float) -> None:
        """Publish the rest if the broker takes it in time; what remains is published at the next start."""
        self._stopping = True
        self._log.arrived.set()
        if self._broker.connected:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.task.wait(), timeout_s)
        await self.kill()
        await self._save()

    async def kill(self) -> None:
        """End at once, as in a crash: nothing more is published or stored."""
        await self.task.stop()
        await self._saving.stop()

    @property
    def position(self) -> int:
        """Everything up to here is published."""
        return self._log.position

    @property
    def lag(self) -> int:
        """How many positions are committed but not yet published."""
        return self._log.lag

    async def _run(self) -> None:
        follower, recent, config, pause_s = self._log, self._log.recent, self._config, self._config.first_retry_s
        while True:
            try:
                if recent.last <= follower.position:
                    if self._stopping:
                        return
                    follower.arrived.clear()
                    await follower.arrived.wait()
                if self._linger_s and recent.last - follower.position < config.max_batch:
                    await asyncio.sleep(self._linger_s)
                # Receivers drop late events, so nothing may be left out: events that are not in memory are read first.
                batch = follower.next(config.max_batch, config.max_batch_bytes) or await self._read()
                if batch:
                    outgoing = self._outgoing(batch)
                    if outgoing:
                        await self._broker.publish(outgoing)
                    follower.passed(batch[-1].position)
                    self._writer.riding[self._name] = self._saved = follower.position
                del batch  # up to a megabyte, which an idle home would keep
                pause_s = config.first_retry_s
            except Unavailable:
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                pause_s = min(pause_s * 2, config.longest_retry_s)
            except Exception:
                log.exception("outbox.failed")
                await asyncio.sleep(config.longest_retry_s)

    async def _read(self) -> list[Committed]:
        """The next events, from the store."""
        follower, config = self._log, self._config
        position, lag = follower.position, follower.lag
        if lag <= 0:
            return []
        try:
            batch = await self._store.run_reader(self._store.read, position, config.max_batch)
        except Unavailable as error:
            log.warning("outbox.read_failed", detail=error.detail)
            await asyncio.sleep(config.longest_retry_s)
            return []
        if not batch:
            follower.passed(position + lag)  # there is nothing behind these numbers
        return portion(batch, config.max_batch, config.max_batch_bytes)

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._config.save_after_s)
            await self._save()

    async def _save(self) -> None:
        position, saved = self._log.position, self._saved
        if position == saved and self._name not in self._writer.riding:
            return
        self._saved = position
        self._writer.riding.pop(self._name, None)
        try:
            await self._writer.submit((), trackings=(Tracking(self._name, position),))
        except Unavailable:
            self._saved = -1  # not known: save again
