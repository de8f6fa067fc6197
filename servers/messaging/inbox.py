"""Applies the events of other servers. Rule: effects and position are one commit, then the ack; a repeat is dropped, junk is a dead letter,
and nothing is committed past a hole: what lies behind it is acked too, because its source is asked to send all of it again.

One unit is in flight at a time. Deliveries that arrive meanwhile go into the next one, so order holds, and load makes batches, not queues.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence

import structlog
from eventsourcing.persistence import Tracking

from broker.mail import BEGINNINGS
from broker.port import Broker, Consumer, Delivery
from broker.topology import RETURNED_HEADER
from domain.errors import Rejected, Unavailable
from domain.event import Event
from domain.rules.rules import Command
from projections.server.throttles import Throttles
from runtime.background_task import BackgroundTask
from runtime.bounds import Holding
from runtime.per_minute import PerMinute
from runtime.scheduler import Jobs, Scheduler
from servers.fairness.load import Load
from servers.fairness.throttling import Throttling
from servers.messaging.belief import Belief
from servers.messaging.dedup import Dedup, Fresh
from servers.messaging.inbox_parts import NOTHING_NEW, InboxConfig, MailListener
from servers.messaging.mail_queue import MailQueue
from servers.messaging.mail_reader import LONG_BYTES, NOTHING, Incoming, MailReader
from servers.messaging.portions import ended, portions
from servers.messaging.progress import Progress
from servers.messaging.refused_events import apply_singly, decides, set_aside
from servers.messaging.slow_mail import SlowMail
from servers.store.event_store import Store
from servers.store.log.positions import note_of
from servers.trust.trust import Trust
from servers.writing.writer import Writer

log = structlog.get_logger()


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
        *,
        trust: Trust,
        belief: Belief,
        listener: MailListener,
        dedup: Dedup | None = None,
        scheduler: Jobs | None = None,
        load: Load | None = None,
        throttling: Throttling | None = None,
    ) -> None:
        self._scheduler = scheduler or Scheduler()
        self._listener = listener
        self.reader = MailReader(store, trust, listener, broker.speaks_for, belief, load or Load())
        self.slow = SlowMail(throttling or Throttling(Throttles(), time.time), self.reader.source_of, self._put)
        self.belief = belief
        self._writer = writer
        self._broker = broker
        self._server = server
        self._react = react
        self._heard = heard
        self._config = config or InboxConfig()
        self._waiting = MailQueue(self._config)
        self._arrived = asyncio.Event()
        self._working = False
        self._idle_since = math.inf  # it does not consume yet
        self._consumer: Consumer | None = None
        self.dedup = dedup or Dedup()
        self.progress = Progress(store, self.dedup, self._config.retry_s, self._tried)
        self.task = BackgroundTask(f"inbox-{server}")
        self.turns = 0  # whatever it did, also in vain
        self.dead = 0
        self.repeats = 0
        self.holes = 0
        self.unopened = 0
        self.set_back: set[str] = set()  # sources whose logs end below what is committed of them: nothing of theirs counts
        self.kept_back = 0
        self.not_applied = 0  # events that a rule refused, or that failed
        self.letters = PerMinute("dead letters", self._config.dead_per_minute, most_size=self._config.dead_bytes_per_minute)

    async def start(self) -> None:
        """Begin to consume."""
        self._consumer = await self._broker.consume(self._server, self.arrive)
        self.task.start(self._run())

    async def stop(self) -> None:
        """Stop. Deliveries that are not acked come again at the next start."""
        if self._consumer is not None:
            await self._consumer.cancel()
        await self.task.stop()

    def arrive(self, delivery: Delivery) -> None:
        """The broker hands over a delivery."""
        self.slow.arrive(delivery, self._comes_again(delivery))

    def _put(self, delivery: Delivery) -> None:
        if self._waiting.put(delivery, comes_again=self._comes_again(delivery)):
            self._arrived.set()
        else:
            delivery.ack()

    def _comes_again(self, delivery: Delivery) -> bool:
        is_sure = not self.reader.takes_old_mail or delivery.body.startswith(BEGINNINGS)
        return is_sure and RETURNED_HEADER not in delivery.headers

    @property
    def waiting(self) -> int:
        """How many deliveries wait to be read."""
        return self._waiting.size

    def holdings(self) -> Iterator[Holding]:
        """What waits to be read, and who sends dead letters."""
        yield from self._waiting.holdings()
        yield from self.letters.holdings()
        yield from self.belief.holdings()

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being applied."""
        return not self._waiting.size and not self._working and not self.slow.waiting

    @property
    def empty(self) -> bool:
        """Whether it has been idle for so long that the broker has nothing more for it."""
        return (
            self.idle and self._consumer is not None and asyncio.get_running_loop().time() >= self._idle_since + self._config.empty_after_s
        )

    async def _run(self) -> None:
        config = self._config
        while True:
            if not self._waiting.size:
                self._working = False
                self._idle_since = asyncio.get_running_loop().time()
                self._arrived.clear()
                await self._arrived.wait()
            self._working = True
            self.turns += 1
            batch: list[Incoming] = []
            events = weight = size = 0
            while self._waiting.size and len(batch) < config.max_deliveries and events < config.max_events and size < config.max_bytes:
                delivery = self._waiting.take()
                size += len(delivery.body)
                try:
                    incoming = await self._read(delivery)
                    if incoming.needed and await self.reader.words_are_stored(incoming):
                        incoming = await self._read(delivery)
                    if incoming.needed:
                        self.reader.want_words(incoming)
                except Unavailable as error:
                    incoming = await self.reader.read_later(delivery, error, config.retry_s, self._tried)
                if incoming.arrived.source in self.set_back:
                    self.kept_back += 1
                    incoming = Incoming(delivery, NOTHING, None)
                batch.append(incoming)
                if incoming.unopened is not None:
                    self.unopened += 1
                    self._listener.unopened(*incoming.unopened)
                events += len(incoming.arrived.events)
                weight += len(incoming.arrived.events) or config.junk_weighs
                if weight >= config.turn_events:
                    weight = 0
                    await asyncio.sleep(0)
            if self.belief.words.unsaved:
                await self.reader.keep_words()
            await self._finish(batch)

    async def _read(self, delivery: Delivery) -> Incoming:
        """Raises `Unavailable`."""
        if len(delivery.body) > LONG_BYTES:
            return await self._scheduler.run(delivery.publisher, "mail", self.reader.steps(delivery))
        return self.reader.measured(delivery)

    async def _finish(self, batch: Sequence[Incoming]) -> None:
        """Apply a batch. What each source sent waits in that source's own lane of the writer."""
        by_source: dict[str, list[Incoming]] = {}
        for incoming in batch:
            by_source.setdefault(incoming.arrived.source, []).append(incoming)
        if len(by_source) == 1:
            await self._finish_source(batch)
        else:
            await asyncio.gather(*(self._finish_source(of_one) for of_one in by_source.values()))

    async def _finish_source(self, batch: Sequence[Incoming]) -> None:
        """Apply what one source sent: a portion only when the one before it is on disk, because each passes over what is below it."""
        for portion in portions(batch, self._config.portion_events, self._config.portion_bytes):
            await self._apply_portion([piece.incoming for piece in portion], sum(piece.size for piece in portion))
            for incoming in ended(portion):
                self._settle(incoming, incoming.fault)

    async def _apply_portion(self, batch: Sequence[Incoming], size: int) -> None:
        """Events that are refused are found all at once; one that fails is found by halves."""
        if await self._apply(batch, size):
            return
        if refused := await set_aside(batch, self.dedup, self._react, self._writer):
            self.not_applied += refused
            await self._apply_portion(batch, size)
        elif len(batch) == 1:
            batch[0].fault, failed = await apply_singly(batch[0], self._apply)
            self.not_applied += failed
        else:
            middle = len(batch) // 2
            await self._apply_portion(batch[:middle], size // 2)
            await self._apply_portion(batch[middle:], size // 2)

    async def _apply(self, batch: Sequence[Incoming], size: int = 0) -> bool:
        """Commit the effects of new events, and call the listener. False when that cannot be done; then nothing is changed."""
        heard: list[tuple[Event, str]] | None = None
        arrived = [incoming.arrived for incoming in batch]
        while True:
            for source in {each.source for each in arrived if each.source}:
                if not self.dedup.knows(source):
                    await self.progress.ask(source)
            fresh = self.dedup.sort(arrived)
            if heard is None:  # only the first time: after a commit whose answer was lost its events look like repeats
                heard = fresh.events
                for number in fresh.unexplained:
                    if batch[number].fault is None and RETURNED_HEADER in batch[number].delivery.headers:
                        batch[number].fault = NOTHING_NEW
                self.holes += len(fresh.holes)  # mail is missing before these deliveries, which come again
                for number in fresh.holes:
                    batch[number].fault = None
                for source in {arrived[number].source for number in fresh.holes}:
                    self._listener.missing(source)
                for source in {arrived[number].source for number in fresh.old}:
                    self._listener.came_before(source)
                for number in fresh.old:
                    if RETURNED_HEADER not in batch[number].delivery.headers:
                        batch[number].fault = None  # what could not be read of it is a dead letter already
            self.repeats += fresh.repeats
            if not fresh.positions and not fresh.notes:
                break
            try:
                await self._commit(fresh, arrived[0].source, size)
                break
            except Unavailable as error:
                log.warning("inbox.store_away", error=type(error).__name__, detail=error.detail)
                self.turns += 1
                self.dedup.forget({*fresh.positions, *(source for source, _ in fresh.notes)})  # the commit may have happened
                await asyncio.sleep(self._config.retry_s)
            except Rejected:  # what another server said is not so: the dead letter says it, and nothing of ours is at fault
                return False
            except Exception as error:
                log.error("inbox.not_applied", error=type(error).__name__, deliveries=len(batch))
                return False
        for event, source in heard:
            if not isinstance(event, self._listener.hears):
                continue
            try:
                self._heard(event, source)
            except Exception:  # the effects are on disk; a listener's fault must not stop the inbox
                log.exception("inbox.listener_failed", topic=event.TOPIC)
        for source in {incoming.arrived.source for incoming in batch if incoming.again}:
            self._listener.sent_again(source)
        return True

    async def _commit(self, fresh: Fresh, source: str, size: int) -> None:
        trackings = [Tracking(source, position) for source, position in fresh.positions.items()]
        trackings += [note_of(source, position, note) for (source, position), note in fresh.notes.items()]
        commands = [command for event, source in fresh.events for command in self._react(event, source)]
        if len(commands) > 1:  # what only refuses comes before anything is decided; the order is kept otherwise
            commands.sort(key=decides)
        await self._writer.submit(commands, trackings=trackings, lane=source, size=size)
        self.dedup.committed(fresh)

    def _tried(self) -> None:
        self.turns += 1

    def _settle(self, incoming: Incoming, fault: str | None) -> None:
        """Ack a delivery, or make it a dead letter. Of one source only so many are kept in a minute, unless people have put them back."""
        delivery = incoming.delivery
        self.slow.settled(delivery)
        if fault is not None:
            self.dead += 1
            who = incoming.arrived.source or f"user {delivery.publisher or 'unknown'}"  # the box, or else the broker, says who it is
            if RETURNED_HEADER in delivery.headers or self.letters.takes(who, len(delivery.body)):
                log.error("inbox.dead_letter", reason=fault, left_out=self.letters.rest(who))
                delivery.dead(fault)
                return
        delivery.ack()
