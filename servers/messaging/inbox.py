"""What other servers tell this one. Rule: effects and position are one commit, then the ack; a repeat is dropped, junk is set aside.

One unit is in flight at a time; what arrives meanwhile goes into the next one, so order holds and load makes batches, not queues.
The position rises past an event that is set aside. So the same commit notes that it took no effect, and when its letter is put back
exactly that event does, once (decision 28).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import structlog
from eventsourcing.persistence import StoredEvent, Tracking

from broker import envelope
from broker.port import Broker, Consumer, Delivery
from broker.topology import RETURNED_HEADER
from domain.errors import Malformed, Unavailable
from domain.event import Event
from domain.rules.rules import Command
from runtime.background_task import BackgroundTask
from servers.store.event_store import Store
from servers.store.positions import APPLIED_LATER, SKIPPED, note_of
from servers.writing.writer import Writer

MAX_DELIVERIES = 64  # per unit; each holds the events of one remote commit
MAX_EVENTS = 5_000  # per unit, and one delivery more: what came together after an outage is decided and sealed in one go, on the loop
PREFETCH = 256  # deliveries that a broker hands out before some are acked
RETRY_S = 0.5  # pause while our own store is away; the deliveries stay unacked
NOTHING_NEW = "nothing of it is new here: later mail of its server took effect before, and nothing says that this did not"

log = structlog.get_logger()


@dataclass(slots=True)
class Incoming:
    """A delivery, read. `events`: by position, None for one that is unreadable; `fault`: why it is a dead letter although what can be
    read of it takes effect."""

    delivery: Delivery
    source: str
    events: Sequence[tuple[int, Event | None]]
    fault: str | None


class Fresh(NamedTuple):
    """What a batch brings: the events that are to take effect, with their sources; how far each source has come with them; what is to be
    noted of events (source, position) that are or were set aside; the returned letters that bring nothing although nobody knows why."""

    events: list[tuple[Event, str]]
    positions: dict[str, int]
    notes: dict[tuple[str, int], int]
    strange: list[Incoming]


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
        self._notes: dict[str, dict[int, int]] = {}  # source -> position -> what is noted of it; for every source in `_seen`
        self._consumer: Consumer | None = None
        self.task = BackgroundTask(f"inbox-{server}")
        self.dead = 0
        self.repeats = 0

    async def start(self) -> None:
        """Begin to consume."""
        self.task.start(self._run())
        self._consumer = await self._broker.consume(self._server, self._arrive)

    async def stop(self) -> None:
        """Stop; what is not acked comes again at the next start."""
        if self._consumer is not None:
            await self._consumer.cancel()
        await self.task.stop()

    def _arrive(self, delivery: Delivery) -> None:
        if len(self._waiting) >= PREFETCH:  # while our store is away, each new connection brings all of them again
            self._waiting = deque(waiting for waiting in self._waiting if not waiting.gone)
        self._waiting.append(delivery)
        self._arrived.set()

    async def _run(self) -> None:
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            batch: list[Incoming] = []
            events = 0
            while self._waiting and len(batch) < MAX_DELIVERIES and events < MAX_EVENTS:
                batch.append(await self._opened(self._waiting.popleft()))
                events += len(batch[-1].events)
            if await self._apply(batch):
                for incoming in batch:
                    self._settle(incoming, incoming.fault)
            else:  # an event among them cannot be handled: find it, the others must not suffer
                for incoming in batch:
                    self._settle(incoming, await self._apply_singly(incoming))

    async def _opened(self, delivery: Delivery) -> Incoming:
        """A delivery, read as soon as the key of the mail can be had: without it good letters look like junk."""
        try:
            return self._read(delivery)
        except Unavailable as error:
            reason = error
        while True:
            log.warning("inbox.key_away", detail=reason.detail)
            await asyncio.sleep(RETRY_S)
            try:
                return await self._store.run(self._read, delivery)  # a database that is away may keep us waiting: not on the loop
            except Unavailable as error:
                reason = error

    def _read(self, delivery: Delivery) -> Incoming:
        """Every event of a delivery that can be read. Raises `Unavailable` while the key of the mail cannot be had."""
        try:
            told = envelope.decode(delivery.body)
        except Malformed as error:
            return Incoming(delivery, "", (), error.detail)
        if told.source.startswith("@"):  # no server's name: those positions are not an inbox's
            return Incoming(delivery, "", (), f"{told.source!r} is no server")
        if not self._store.mail_key:
            raise Unavailable("The key of the mail between servers is not known here yet.")
        events: list[tuple[int, Event | None]] = []
        fault: str | None = None
        for record in told.events:
            try:
                events.append((record.position, self._event(record)))
            except Unavailable:  # the key, which the next try may find
                raise
            except Exception as error:  # whatever it is: the bytes are not ours
                events.append((record.position, None))
                fault = f"event {record.topic!r} at {record.position} of {told.source!r} is unreadable ({type(error).__name__})"
        return Incoming(delivery, told.source, events, fault)

    def _event(self, record: envelope.EventRecord) -> Event:
        if ":" in record.topic:  # the library would import a module of that name
            raise TypeError("not a topic")
        event: Any = self._store.mapper.read(StoredEvent(record.stream, record.version, record.topic, record.data), strict=True)
        if not isinstance(event, Event):
            raise TypeError("not an event")
        return event

    async def _apply(self, batch: Sequence[Incoming]) -> bool:
        """Commit the effects of what is new, and tell of it. False when that cannot be done; then nothing is changed."""
        first_try: Fresh | None = None
        while True:
            fresh = await self._new_ones(batch)
            if first_try is None:
                first_try = fresh
                for incoming in fresh.strange:
                    incoming.fault = NOTHING_NEW
            if not fresh.positions and not fresh.notes:
                break
            try:
                commands = [command for event, source in fresh.events for command in self._react(event, source)]
                trackings = [Tracking(source, position) for source, position in fresh.positions.items()]
                trackings += [note_of(source, position, note) for (source, position), note in fresh.notes.items()]
                await self._writer.submit(commands, trackings=trackings)
                self._seen.update(fresh.positions)
                for (source, position), note in fresh.notes.items():
                    self._notes[source][position] = note
                break
            except Unavailable as error:
                log.warning("inbox.store_away", error=type(error).__name__, detail=error.detail)
                for source in {*fresh.positions, *(source for source, _ in fresh.notes)}:
                    del self._seen[source]  # a commit whose answer was lost may have happened: ask the store again
                await asyncio.sleep(RETRY_S)
            except Exception as error:
                log.error("inbox.not_applied", error=type(error).__name__, deliveries=len(batch))
                return False
        for event, source in first_try.events:
            try:
                self._heard(event, source)
            except Exception:  # its effects are on disk; a listener's fault must not stop the inbox
                log.exception("inbox.listener_failed", topic=event.TOPIC)
        return True

    async def _apply_singly(self, incoming: Incoming) -> str | None:
        """Apply event by event what can be applied; why the delivery is a dead letter, if it is one."""
        fault = incoming.fault
        for position, event in incoming.events:
            if not await self._apply((replace(incoming, events=((position, event),)),)) and event is not None:
                fault = f"event {event.TOPIC!r} at {position} of {incoming.source!r} cannot be applied"
                await self._apply((replace(incoming, events=((position, None),)),))  # note it before a later one raises the position
        return fault

    async def _new_ones(self, batch: Sequence[Incoming]) -> Fresh:
        """What has not taken effect yet."""
        fresh = Fresh([], {}, {}, [])
        for incoming in batch:
            if not incoming.events:
                continue
            source, explained = incoming.source, False
            last = fresh.positions[source] if source in fresh.positions else await self._last_seen(source)
            for position, event in incoming.events:
                note = fresh.notes.get((source, position)) or self._notes[source].get(position)
                new = note is None and position > last
                explained |= new or note is not None
                if event is None:
                    if new:  # where the position is past it already, it may have taken effect when it was readable
                        fresh.notes[source, position] = SKIPPED
                elif new or note == SKIPPED:
                    fresh.events.append((event, source))
                    if note == SKIPPED:
                        fresh.notes[source, position] = APPLIED_LATER
                    if position > last:
                        fresh.positions[source] = last = position
                else:
                    self.repeats += 1
            if not explained and incoming.fault is None and RETURNED_HEADER in incoming.delivery.headers:
                fresh.strange.append(incoming)
        return fresh

    async def _last_seen(self, source: str) -> int:
        if source not in self._seen:
            while True:
                try:
                    self._notes[source] = await self._store.run(self._store.notes, source)
                    self._seen[source] = await self._store.run(self._store.tracked, source)
                    break
                except Unavailable as error:
                    log.warning("inbox.store_away", detail=error.detail)
                    await asyncio.sleep(RETRY_S)
        return self._seen[source]

    def _settle(self, incoming: Incoming, fault: str | None) -> None:
        if fault is None:
            incoming.delivery.ack()
            return
        self.dead += 1
        log.error("inbox.dead_letter", reason=fault)
        incoming.delivery.dead(fault)
