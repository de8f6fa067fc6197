"""What other servers tell this one. Rule: effects and position are one commit, then the ack; a repeat is dropped, junk is set aside.

One unit is in flight at a time; what arrives meanwhile goes into the next one, so order holds and load makes batches, not queues.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from eventsourcing.persistence import StoredEvent, Tracking
from eventsourcing.utils import TopicError

from broker import envelope
from broker.port import Broker, Consumer, Delivery
from domain.errors import Malformed, Unavailable
from domain.event import Event
from servers.catalogue import Command
from servers.store import Store
from servers.writer import Writer

MAX_DELIVERIES = 64  # per unit; each holds the events of one remote commit
RETRY_S = 0.5  # pause while our own store is away; the deliveries stay unacked

log = structlog.get_logger()


class Inbox:
    """Consumes `flash.home.<server>`. `react`: (event, source) -> commands; `heard`: told each event once it is committed."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        broker: Broker,
        server: str,
        react: Callable[[Event, str], Sequence[Command]],
        heard: Callable[[Event, str], None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._broker = broker
        self._server = server
        self._react = react
        self._heard = heard
        self._waiting: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._seen: dict[str, int] = {}  # source -> position whose effects are committed
        self._consumer: Consumer | None = None
        self._task: asyncio.Task[None] | None = None
        self.dead = 0
        self.repeats = 0

    async def start(self) -> None:
        """Begin to consume."""
        self._task = asyncio.create_task(self._run(), name="inbox")
        self._consumer = await self._broker.consume(self._server, self._arrive)

    async def stop(self) -> None:
        """Stop; what is not acked comes again at the next start."""
        if self._consumer is not None:
            await self._consumer.cancel()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _arrive(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._arrived.set()

    async def _run(self) -> None:
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            deliveries = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_DELIVERIES))]
            if not await self._take(deliveries):
                for delivery in deliveries:  # one of them cannot be handled: find it, the others must not suffer
                    if not await self._take([delivery]):
                        self._bury(delivery, "its events cannot be applied")

    async def _take(self, deliveries: Sequence[Delivery]) -> bool:
        """Commit the effects of some deliveries and ack them. False when they cannot be applied."""
        good: list[Delivery] = []
        events: list[tuple[Event, str]] = []
        positions: dict[str, int] = {}
        for delivery in deliveries:
            try:
                source, fresh = await self._decode(delivery.body, positions)
            except Malformed as error:
                self._bury(delivery, error.detail)
                continue
            good.append(delivery)
            events.extend((event, source) for event in fresh)
        try:
            await self._commit(events, positions)
        except Exception as error:
            log.error("inbox.not_applied", error=type(error).__name__, deliveries=len(deliveries))
            return False
        self._seen.update(positions)
        for event, source in events:
            self._heard(event, source)
        for delivery in good:
            delivery.ack()
        return True

    async def _commit(self, events: Sequence[tuple[Event, str]], positions: dict[str, int]) -> None:
        commands: list[Any] = [command for event, source in events for command in self._react(event, source)]
        trackings = [Tracking(source, position) for source, position in positions.items()]
        if not trackings:
            return
        while True:
            try:
                await self._writer.submit(commands, trackings=trackings)
                return
            except Unavailable as error:
                log.warning("inbox.store_away", detail=error.detail)
                await asyncio.sleep(RETRY_S)

    async def _decode(self, body: bytes, positions: dict[str, int]) -> tuple[str, list[Event]]:
        """The source and those events of a delivery that are new; `positions` moves on. Raises `Malformed`."""
        told = envelope.decode(body)
        last = positions.get(told.source)
        if last is None:
            last = await self._last_seen(told.source)
        fresh: list[Event] = []
        for record in told.events:
            if record.position <= last:
                self.repeats += 1
                continue
            last = record.position
            try:
                stored = StoredEvent(record.stream, record.version, record.topic, record.data)
                fresh.append(self._store.mapper.to_domain_event(stored))  # type: ignore[arg-type]
            except (TopicError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise Malformed(f"event {record.topic!r} at {record.position} of {told.source!r} is unreadable") from error
        if fresh:
            positions[told.source] = last
        return told.source, fresh

    async def _last_seen(self, source: str) -> int:
        if source not in self._seen:
            while True:
                try:
                    self._seen[source] = await self._store.run(self._store.tracked, source)
                    break
                except Unavailable as error:
                    log.warning("inbox.store_away", detail=error.detail)
                    await asyncio.sleep(RETRY_S)
        return self._seen[source]

    def _bury(self, delivery: Delivery, reason: str) -> None:
        self.dead += 1
        log.error("inbox.dead_letter", reason=reason)
        delivery.dead(reason)
