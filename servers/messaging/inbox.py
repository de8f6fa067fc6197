"""Applies the events of other servers. Rule: effects and position are one commit, then the ack; a repeat is dropped, junk is a dead letter.

One unit is in flight at a time. Deliveries that arrive meanwhile go into the next one, so order holds, and load makes batches, not queues.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from eventsourcing.persistence import Tracking

from broker import envelope
from broker.port import Broker, Consumer, Delivery
from broker.topology import RETURNED_HEADER
from domain.errors import Malformed, Unavailable
from domain.event import Event
from domain.rules.rules import Command
from runtime.background_task import BackgroundTask
from servers.messaging.dedup import Arrived, Dedup, Fresh
from servers.store.event_store import Store
from servers.store.log.positions import note_of
from servers.writing.writer import Writer

NOTHING_NEW = (
    "not applied: later events of this server were applied already, and there is no record that this one was skipped, "
    "so it may have been applied before"
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class InboxConfig:
    """The bounds of one inbox."""

    max_deliveries: int = 64  # per unit; each holds the events of one remote commit
    max_events: int = 1_000  # per unit, and one delivery more: they are decided and encrypted in one turn of the loop, some 20 ms
    turn_events: int = 250  # read and decrypted before others get a turn of the loop: some 5 ms, and one delivery more
    prefetch: int = 256  # deliveries that a broker hands out before some are acked
    retry_s: float = 0.5  # pause while this server's store is away; the deliveries stay unacked


@dataclass(slots=True)
class Incoming:
    """A delivery, read. `fault`: why it becomes a dead letter although its readable events are applied."""

    delivery: Delivery
    arrived: Arrived
    fault: str | None


class Inbox:
    """Consumes `flash.home.<server>`. `react`: (event, source) -> commands; `heard` is called with the events once they are committed."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        broker: Broker,
        server: str,
        react: Callable[[Event, str], Sequence[Command]],
        heard: Callable[[Event, str], None],
        config: InboxConfig | None = None,
    ) -> None:
        self._store = store
        self._writer = writer
        self._broker = broker
        self._server = server
        self._react = react
        self._heard = heard
        self._config = config or InboxConfig()
        self._waiting: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._working = False
        self._consumer: Consumer | None = None
        self.dedup = Dedup()
        self.task = BackgroundTask(f"inbox-{server}")
        self.dead = 0
        self.repeats = 0

    async def start(self) -> None:
        """Begin to consume."""
        self.task.start(self._run())
        self._consumer = await self._broker.consume(self._server, self.arrive)

    async def stop(self) -> None:
        """Stop. Deliveries that are not acked come again at the next start."""
        if self._consumer is not None:
            await self._consumer.cancel()
        await self.task.stop()

    def arrive(self, delivery: Delivery) -> None:
        """The broker hands over a delivery."""
        if len(self._waiting) >= self._config.prefetch:  # while the store is away, each new connection delivers all of them again
            self._waiting = deque(waiting for waiting in self._waiting if not waiting.gone)
        self._waiting.append(delivery)
        self._arrived.set()

    @property
    def waiting(self) -> int:
        """How many deliveries wait to be read."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being applied."""
        return not self._waiting and not self._working

    async def _run(self) -> None:
        config = self._config
        while True:
            if not self._waiting:
                self._working = False
                self._arrived.clear()
                await self._arrived.wait()
            self._working = True
            batch: list[Incoming] = []
            events = turn = 0
            while self._waiting and len(batch) < config.max_deliveries and events < config.max_events:
                delivery = self._waiting.popleft()
                try:
                    incoming = self._read(delivery)
                except Unavailable as error:
                    incoming = await self._read_later(delivery, error)
                batch.append(incoming)
                events += len(incoming.arrived.events)
                if events >= turn + config.turn_events:
                    turn = events
                    await asyncio.sleep(0)
            if await self._apply(batch):
                for incoming in batch:
                    if incoming.fault is None:
                        incoming.delivery.ack()
                    else:
                        self._bury(incoming.delivery, incoming.fault)
            else:  # an event of the batch cannot be handled: find it, the others must not suffer
                for incoming in batch:
                    await self._apply_singly(incoming)

    async def _read_later(self, delivery: Delivery, reason: Unavailable) -> Incoming:
        """Read a delivery as soon as the transit key can be had: without the key good mail looks like junk."""
        while True:
            log.warning("inbox.key_away", detail=reason.detail)
            await asyncio.sleep(self._config.retry_s)
            try:
                return await self._store.run(self._read, delivery)  # in the store's thread: a database that is away may take its time
            except Unavailable as error:
                reason = error

    def _read(self, delivery: Delivery) -> Incoming:
        """Every readable event of a delivery. Raises `Unavailable` while the key of the mail cannot be had."""
        try:
            told = envelope.decode(delivery.body)
        except Malformed as error:
            return Incoming(delivery, Arrived("", ()), error.detail)
        if told.source.startswith("@"):  # positions under such names are not an inbox's
            return Incoming(delivery, Arrived("", ()), f"{told.source!r} is no server")
        if not self._store.transit_key:
            raise Unavailable("The transit key is not known here yet.")
        events: list[tuple[int, Event | None]] = []
        fault: str | None = None
        for record in told.events:
            try:
                event = self._store.codec.decode(record.stream, record.version, record.topic, record.data, strict=True)
                events.append((record.position, event))
            except Unavailable:  # the key is missing, and the next try may find it
                raise
            except Exception as error:  # whatever it is, the bytes are another server's
                events.append((record.position, None))
                fault = f"event {record.topic!r} at {record.position} of {told.source!r} is unreadable ({type(error).__name__})"
        return Incoming(delivery, Arrived(told.source, events), fault)

    async def _apply(self, batch: Sequence[Incoming]) -> bool:
        """Commit the effects of new events, and call the listener. False when that cannot be done; then nothing is changed."""
        heard: list[tuple[Event, str]] | None = None
        arrived = [incoming.arrived for incoming in batch]
        while True:
            for source, events in arrived:
                if events and not self.dedup.knows(source):
                    await self._ask_store(source)
            fresh = self.dedup.sort(arrived)
            if heard is None:  # only the first time: after a commit whose answer was lost its events look like repeats
                heard = fresh.events
                for number in fresh.unexplained:
                    if batch[number].fault is None and RETURNED_HEADER in batch[number].delivery.headers:
                        batch[number].fault = NOTHING_NEW
            self.repeats += fresh.repeats
            if not fresh.positions and not fresh.notes:
                break
            try:
                await self._commit(fresh)
                break
            except Unavailable as error:
                log.warning("inbox.store_away", error=type(error).__name__, detail=error.detail)
                self.dedup.forget({*fresh.positions, *(source for source, _ in fresh.notes)})  # the commit may have happened
                await asyncio.sleep(self._config.retry_s)
            except Exception as error:
                log.error("inbox.not_applied", error=type(error).__name__, deliveries=len(batch))
                return False
        for event, source in heard:
            try:
                self._heard(event, source)
            except Exception:  # the effects are on disk; a listener's fault must not stop the inbox
                log.exception("inbox.listener_failed", topic=event.TOPIC)
        return True

    async def _commit(self, fresh: Fresh) -> None:
        trackings = [Tracking(source, position) for source, position in fresh.positions.items()]
        trackings += [note_of(source, position, note) for (source, position), note in fresh.notes.items()]
        commands = [command for event, source in fresh.events for command in self._react(event, source)]
        await self._writer.submit(commands, trackings=trackings)
        self.dedup.committed(fresh)

    async def _apply_singly(self, incoming: Incoming) -> None:
        """Apply event by event what can be applied; the delivery becomes a dead letter if some event cannot."""
        delivery, source, fault = incoming.delivery, incoming.arrived.source, incoming.fault
        for position, event in incoming.arrived.events:
            one = Incoming(delivery, Arrived(source, ((position, event),)), fault)
            if not await self._apply((one,)) and event is not None:
                fault = f"event {event.TOPIC!r} at {position} of {source!r} cannot be applied"
                skipped = Incoming(delivery, Arrived(source, ((position, None),)), fault)
                await self._apply((skipped,))  # note it before a later event raises the position
        if fault is None:
            delivery.ack()
        else:
            self._bury(delivery, fault)

    async def _ask_store(self, source: str) -> None:
        """Learn how far a source has come, as soon as the store can say so."""
        while True:
            try:
                notes = await self._store.run(self._store.notes, source)
                self.dedup.learn(source, await self._store.run(self._store.tracked, source), notes)
                return
            except Unavailable as error:
                log.warning("inbox.store_away", detail=error.detail)
                await asyncio.sleep(self._config.retry_s)

    def _bury(self, delivery: Delivery, fault: str) -> None:
        self.dead += 1
        log.error("inbox.dead_letter", reason=fault)
        delivery.dead(fault)
