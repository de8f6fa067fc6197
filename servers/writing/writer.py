"""The only place that changes a server's state: group commit of whatever commands wait. Rule: nothing is visible before it is on disk.

One cycle: take all waiting units (bounded), load missing states, decide each unit in order, commit all events and tracking positions
in one transaction, then tell the listeners and answer. No timer: a batch of one when idle, hundreds under load.
Cost per event: ~5 µs decide and fold, ~5 µs mapping, ~5 µs insert; per batch one fsync and two thread switches.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from eventsourcing.persistence import Tracking

from broker.envelope import EventRecord
from domain.errors import Rejected, Unavailable
from domain.event import Event, Snapshotable, State, placed
from domain.rules.rules import Command
from runtime.background_task import BackgroundTask
from runtime.deferred import Deferred
from servers.encryption.personal_fields import KeysNeeded
from servers.store.event_log import Conflicted
from servers.store.event_store import SNAPSHOT_EVERY, Committed, Store
from servers.store.lease import LeaseLost
from servers.store.positions import newest
from servers.writing.unit_of_work import UnitOfWork

MAX_BATCH = 128  # units per transaction: bounds the time between two answers to about 20 ms, also when hundreds log in at once
MAX_WAITING = 20_000  # units in the queue: past that the caller hears `Unavailable` instead of waiting for seconds
MAX_FOUND = 1_000  # events read at a time after a commit whose end we did not hear
MAX_FETCHES = 10  # of keys for one batch; a second one is needed only when another thread has just let go of one
MAX_STATES = 2_400  # states in memory, least recently used go first: a thousand people who talk and their mailboxes, at about 1 KB each

log = structlog.get_logger()


class Writer:
    """Decides and commits. `on_commit` is called on the loop, in order, with every committed batch."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        on_commit: Callable[[list[Committed]], None],
        fenced_out: Callable[[], None] = lambda: None,
    ) -> None:
        """`fenced_out` is called when the store says that another process writes now."""
        self._store = store
        self._catalogue = store.catalogue
        self._folds = {store.catalogue.states[kind]: fold for kind, fold in store.catalogue.folds.items()}
        self._clock = clock
        self._on_commit = on_commit
        self._fenced_out = fenced_out
        self._queue: deque[UnitOfWork] = deque()
        self._arrived = asyncio.Event()
        self._states: OrderedDict[str, State] = OrderedDict()
        self._loaded: list[str] = []  # streams whose states were looked up for the present batch
        self.task = BackgroundTask("writer")
        self._stopped = False
        self.riders: list[Callable[[], Sequence[Tracking]]] = []  # positions that may travel with the next commit, for free
        self.erase: Callable[[Sequence[Committed]], Awaitable[bool]] | None = None  # see `servers.erasure`
        self.commits = 0
        self.over = False  # another process writes now; what it commits, and there is no end to that, is not ours to tell
        self._last: int | None = None  # the position up to which the listeners know the log
        self._unsure = True

    def start(self) -> None:
        """Begin to commit."""
        self.task.start(self._run())

    async def stop(self) -> None:
        """Commit what waits, then stop. Who comes later hears `Unavailable`."""
        stopped, self._stopped = self._stopped, True
        if stopped or not self.task.alive:
            return
        last = UnitOfWork((), (), None)  # units are taken in order: when this empty one is through, all before it are
        self._queue.append(last)
        self._arrived.set()
        with contextlib.suppress(Unavailable):
            await last
        await self.task.stop()

    def submit(
        self, commands: Sequence[Command], *, trackings: Sequence[Tracking] = (), answer: Callable[[list[Event]], Any] | None = None
    ) -> Deferred[Any]:
        """Queue commands that happen together or not at all; only the first may refuse, the rest must not.

        The result is `answer(events)`, or the list of decided events, once they are on disk. Raises what a decider refused with,
        `Unavailable` when the store is away or too much waits: then nothing has changed.
        """
        unit = UnitOfWork(commands, trackings, answer)
        if self._stopped or len(self._queue) >= MAX_WAITING:
            unit.set_exception(Unavailable("Too much is waiting to be stored, or the server is shutting down."))
            return unit
        self._queue.append(unit)
        self._arrived.set()
        return unit

    def state(self, stream: str) -> Any:
        """The present state of a stream. Only inside `answer`, for a stream that the unit's commands touched."""
        return self._states[stream]

    def forget(self, stream: str) -> None:
        """Load this stream anew when it is needed next: its one user knows that another process has written to it."""
        self._states.pop(stream, None)

    @property
    def alive(self) -> bool:
        """Whether it commits. A writer that ended by itself is a fault that only a restart mends."""
        return self.task.alive

    @property
    def depth(self) -> int:
        """Units waiting."""
        return len(self._queue)

    async def _run(self) -> None:
        queue = self._queue
        while True:
            if not queue:
                self._arrived.clear()
                await self._arrived.wait()
            else:
                await asyncio.sleep(0)  # the answers to the last batch leave before we begin with this one
            batch = [queue.popleft() for _ in range(min(len(queue), MAX_BATCH))]
            await self._commit(batch)
            self._forget_blanks()
            while len(self._states) > MAX_STATES:
                self._states.popitem(last=False)

    async def _commit(self, batch: list[UnitOfWork]) -> None:
        try:
            await self._make_sure()
            for unit in batch:  # each at its own time, to the microsecond, as times travel: clients may put messages in order by it
                now, waiting = int(self._clock() * 1e6) / 1e6, list(unit.commands)
                while (absent := self._decide(unit, waiting, now)) is not None:
                    await self._load(absent, batch)
        except Unavailable as error:  # the store could not be read
            self._fail(batch, error)
            return
        except Exception as error:
            self._evict(batch)
            if len(batch) == 1:
                log.exception("writer.decide_failed", commands=[type(c).__name__ for c in batch[0].commands])
                batch[0].finish(error)
                return
            for unit in batch:  # find the one that fails; the others must not suffer
                unit.events, unit.refusal = [], None
                await self._commit([unit])
            return
        events = [event for unit in batch for event in unit.events]
        tracked = [unit.trackings for unit in batch if unit.trackings and unit.refusal is None]
        trackings = newest(*tracked, *(ride() for ride in self.riders if events))
        committed: list[Committed] = []
        if events or trackings:
            try:
                self._unsure = True  # until we hear: a database may commit and be gone before it says so
                committed = await self._store.run(self._store.put, events, await self._pack(events), trackings)
            except Unavailable as error:
                self._fail(batch, error)
                return
            except Exception as error:
                log.exception("writer.commit_failed")
                self._fail(batch, Unavailable(f"The store failed: {type(error).__name__}"))
                return
            self.commits += 1
            self._unsure = False
        erased = False
        if committed:
            erased = self.erase is not None and await self.erase(committed)
            self._tell(committed)
        for unit in batch:
            unit.finish(unit.refusal)
        if committed:
            await self._snapshot(committed)
        if erased:
            self._states.clear()

    async def _pack(self, events: list[Event]) -> list[EventRecord]:
        for _ in range(MAX_FETCHES):
            try:
                return self._store.pack(events)
            except KeysNeeded as needed:  # of users who are new, or who have not been here for long
                await self._store.run(self._store.fetch_keys, needed.owners)
        return self._store.pack(events)

    def _tell(self, committed: list[Committed]) -> None:
        self._last = committed[-1].position
        try:
            self._on_commit(committed)
        except Exception:  # what is on disk stays; a listener's fault must not stop the writer
            log.exception("writer.listener_failed")

    async def _make_sure(self) -> None:
        """Before the first commit, and after one whose end we did not hear: find out where the log stands, and tell what is new."""
        if self._unsure and self._last is None:
            self._last = await self._store.run(self._store.last_position)
        while self._unsure or self.over:
            if self.over:
                raise LeaseLost
            found = await self._store.run(self._store.read, self._last, MAX_FOUND)
            if not found:
                self._unsure = False
                return
            log.warning("writer.found_committed", events=len(found))
            if self.erase is not None and await self.erase(found):
                self._states.clear()
            self._tell(found)

    async def _load(self, stream: str, batch: list[UnitOfWork]) -> None:
        """Have the state of `stream` at hand; and, in the same visit to the store, all others that the batch names."""
        states = self._states
        streams = list({stream} | {needed for unit in batch for command in unit.commands if (needed := command.stream) not in states})
        self._loaded += streams
        self._states.update(zip(streams, await self._store.run(self._store.load_all, streams), strict=True))

    def _forget_blanks(self) -> None:
        """Keep nothing of streams that have not begun: another process on the same store may begin them, and we would not hear of it."""
        for stream in self._loaded:
            state = self._states.get(stream)
            if state is not None and state.version == 0:
                del self._states[stream]
        self._loaded.clear()

    def _decide(self, unit: UnitOfWork, waiting: list[Command], now: float) -> str | None:
        """Decide the commands of a unit that are `waiting`, and those that follow from them. The stream whose state is needed first; None
        when all are decided."""
        states, folds, decided = self._states, self._folds, unit.events
        reactions, deciders = self._catalogue.reactions, self._catalogue.deciders
        for number, command in enumerate(waiting):  # it grows meanwhile
            stream = command.stream
            state = states.get(stream)
            if state is None:
                del waiting[:number]
                return stream
            states.move_to_end(stream)
            try:
                events = deciders[type(command)](state, command, now)
            except Rejected as refusal:
                if decided:
                    raise RuntimeError(f"{type(command).__name__} refused after its unit had decided") from refusal
                unit.refusal = refusal
                return None
            events = placed(events, stream, state.version)
            decided += events  # before they are folded: whatever happens there, it is known which states were touched
            for event in events:
                folds[type(state)](state, event)
                reaction = reactions.get(type(event))
                if reaction is not None:
                    waiting += reaction(event)
        return None

    def _fail(self, batch: list[UnitOfWork], error: Unavailable) -> None:
        log.warning("writer.batch_failed", units=len(batch), error=type(error).__name__, detail=error.detail)
        if isinstance(error, LeaseLost):
            self.over = True
            self._fenced_out()
        if isinstance(error, Conflicted):  # what we know is out of date, and not only for what this batch touched
            self._states.clear()
        self._evict(batch)
        for unit in batch:
            unit.finish(error)

    def _evict(self, batch: list[UnitOfWork]) -> None:
        """Forget the states that this batch has changed."""
        for unit in batch:
            for event in unit.events:
                self._states.pop(event.originator_id, None)

    async def _snapshot(self, committed: list[Committed]) -> None:
        due = [
            (stream, state.version, state.dump())
            for stream in {record.stream for _, _, record in committed if record.version % SNAPSHOT_EVERY == 0}
            if isinstance(state := self._states.get(stream), Snapshotable)
        ]
        if due:
            try:
                await self._store.run(self._store.snapshot, due)
            except Exception as error:  # harmless, whatever it is; the writer must go on
                log.warning("writer.snapshot_failed", error=type(error).__name__)
