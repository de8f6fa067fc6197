"""The only place that changes a server's state: group commit of all commands that wait. Rule: nothing is visible before it is on disk.

One cycle: take the units of work that wait (bounded), load missing states, decide each in order, commit all events and tracking positions
in one transaction, then call the listeners and answer. No timer: a batch of one when idle, hundreds under load.
Cost per event: about 5 µs to decide and fold, 5 µs to map, 5 µs to insert; per batch one fsync and two thread switches.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from eventsourcing.persistence import Tracking

from domain.errors import Unavailable
from domain.event import Event
from domain.rules.rules import Command
from runtime.background_task import BackgroundTask
from runtime.deferred import Deferred
from servers.encryption.key_store import KeysNeeded
from servers.store.event_store import SNAPSHOT_EVERY, Committed, Store
from servers.store.log.event_log import Conflicted, SetBack
from servers.store.log.lease import LeaseLost
from servers.writing.config import WriterConfig
from servers.writing.erasure import Erasure
from servers.writing.state_cache import StateCache
from servers.writing.unit_of_work import UnitOfWork

ENDED = "The writer has ended by itself, and nothing is stored any more: restart this server."

Listener = Callable[[list[Committed]], None]
log = structlog.get_logger()


class Writer:
    """Decides and commits. The listeners are called on the loop, in order, once for every commit."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        listeners: Iterable[Listener] = (),
        *,
        fenced_out: Callable[[], None] = lambda: None,
        set_back: Callable[[str], None] = lambda why: None,
        erasure: Erasure | None = None,
        config: WriterConfig | None = None,
    ) -> None:
        """`fenced_out` is called when the store says that another process writes now, `set_back` when it lacks what was stored."""
        self._store = store
        self._rules = store.rules
        self.clock = clock
        self._fenced_out = fenced_out
        self._set_back = set_back
        self._erasure = erasure
        self._config = config or WriterConfig()
        self._queue: deque[UnitOfWork] = deque()
        self._arrived = asyncio.Event()
        self._stopped = False
        self._ended = ""  # why nobody commits any more; empty while somebody does, and after an orderly stop
        self._committing = False
        self._last: int | None = None  # the position up to which the listeners know the log
        self._unsure = True  # whether the log may hold events that the listeners have not heard of
        self._ride_at = 0.0
        self.listeners = list(listeners)
        self.riding: dict[str, int] = {}  # positions of the outbox that travel with a later commit, by name
        self.states = StateCache(store, self._config.max_states)
        self.task = BackgroundTask("writer")
        self.commits = 0
        self.halted: Unavailable | None = None  # why nothing is committed any more
        self.turns = 0  # batches that came to an end, also in vain
        self.failing = False  # whether the last commit failed, because the store could not take it
        self.over = False  # True once another process holds the lease: stop committing, and stop reading the log for events to announce

    def start(self) -> None:
        """Begin to commit."""
        self.task.start(self._run())

    async def stop(self) -> None:
        """Commit all that waits, then stop. Later callers hear `Unavailable`. Returns at once where the writer has ended by itself."""
        stopped, self._stopped = self._stopped, True
        if not self.task.alive:
            self._end(())  # it may never have begun, because the server did not start
            return
        if stopped:
            return
        last: Deferred[None] = Deferred()
        self._queue.append(UnitOfWork((), (), last))  # they are taken in order: when this empty one is through, all before it are
        self._arrived.set()
        with contextlib.suppress(Unavailable):
            await last
        await self.task.stop()

    def submit(
        self, commands: Sequence[Command], *, trackings: Sequence[Tracking] = (), answer: Callable[[list[Event]], Any] | None = None
    ) -> Deferred[Any]:
        """Queue commands that happen together or not at all; none may refuse once one before it has changed something.

        The result is `answer(events)`, or the list of decided events, once they are on disk and before any state changes again. Raises
        what a decider refused with, `Unavailable` when the store is away or too much waits: then nothing has changed.
        """
        result: Deferred[Any] = Deferred(answer)
        if self._stopped or len(self._queue) >= self._config.max_waiting:
            result.set_exception(Unavailable(self._ended or "Too much is waiting to be stored, or the server is shutting down."))
            return result
        self._queue.append(UnitOfWork(commands, trackings, result))
        self._arrived.set()
        return result

    def state(self, stream: str) -> Any:
        """The present state of a stream. Only inside `answer`, for a stream that the caller's commands touched."""
        return self.states[stream]

    @property
    def alive(self) -> bool:
        """Whether it commits. A writer that ended by itself is a fault, and only a restart repairs it."""
        return self.task.alive

    @property
    def depth(self) -> int:
        """How many units of work wait."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being committed."""
        return not self._queue and not self._committing

    async def _run(self) -> None:
        queue, max_batch = self._queue, self._config.max_batch
        batch: list[UnitOfWork] = []
        try:
            while True:
                if not queue:
                    self._committing = False
                    self._arrived.clear()
                    await self._arrived.wait()
                else:
                    await asyncio.sleep(0)  # the answers to the last batch leave before this one begins
                self._committing = True
                batch = [queue.popleft() for _ in range(min(len(queue), max_batch))]
                await self._commit(batch)
                self.turns += 1
                if self.states.loaded:
                    self.states.tidy()
        finally:
            self._end(batch)

    def _end(self, batch: Sequence[UnitOfWork]) -> None:
        """Nobody commits any more: answer all that wait, and refuse who comes later, because otherwise they would wait for ever."""
        unanswered = [unit for unit in (*batch, *self._queue) if not unit.result.done]
        self._queue.clear()
        self._committing = False
        if not self._stopped or unanswered:
            self._ended = ENDED
            log.error("writer.ended", units=len(unanswered))
        self._stopped = True
        for unit in unanswered:
            try:
                unit.result.set_exception(Unavailable(ENDED))
            except Exception:  # a caller's fault must not keep the others waiting
                log.exception("writer.caller_failed")

    async def _commit(self, batch: list[UnitOfWork]) -> None:
        events: list[Event] = []
        tracked: list[Sequence[Tracking]] = []
        if self.halted is not None:
            self._fail(batch, self.halted)
            return
        try:
            if self._unsure or self.over:
                await self._find_committed()
            for unit in batch:  # each at its own time, to the microsecond, as times travel: clients may put messages in order by it
                now, waiting = int(self.clock() * 1e6) / 1e6, list(unit.commands)
                while (absent := unit.decide(waiting, now, self.states, self._rules)) is not None:
                    await self.states.load(absent, (command for unit in batch for command in unit.commands))
                events += unit.events
                if unit.trackings and unit.refusal is None:
                    tracked.append(unit.trackings)
        except Unavailable as error:  # the store could not be read
            self._fail(batch, error)
            return
        except Exception as error:
            await self._commit_singly(batch, error)
            return
        if not events and not tracked:
            self._answer(batch)
            return
        riding: dict[str, int] = {}
        moment = asyncio.get_running_loop().time()
        if events and self.riding and moment >= self._ride_at:
            riding, self.riding, self._ride_at = self.riding, {}, moment + self._config.ride_every_s
        if riding:
            tracked.append([Tracking(name, position) for name, position in riding.items()])
        try:
            self._unsure = True  # until the store answers: a database may commit and be gone before it says so
            trackings = list({each.application_name: each for group in tracked for each in group}.values())  # of one name the last
            try:
                packed = self._store.codec.encode(events)
            except KeysNeeded:
                packed = await self._store.packed(events)
            committed = await self._store.run(self._store.put, events, packed, trackings)
        except Exception as error:
            self.riding = riding | self.riding
            if not isinstance(error, Unavailable):
                log.exception("writer.commit_failed")
                error = Unavailable(f"The store failed: {type(error).__name__}")
            self._fail(batch, error)
            return
        self.commits += 1
        self._unsure = self.failing = False
        if committed:
            await self._conclude(batch, committed)
        else:
            self._answer(batch)

    async def _commit_singly(self, batch: list[UnitOfWork], error: Exception) -> None:
        """One caller's unit of work has a fault: commit each by itself, so that the others do not suffer."""
        for unit in batch:
            self.states.forget(unit.events)
        if len(batch) == 1:
            log.error("writer.decide_failed", commands=[type(c).__name__ for c in batch[0].commands], exc_info=error)
            batch[0].result.set_exception(error)
            return
        for unit in batch:
            unit.events, unit.refusal = [], None
            await self._commit([unit])

    async def _conclude(self, batch: Sequence[UnitOfWork], committed: list[Committed]) -> None:
        """A commit is on disk: destroy the keys of users who have left with it, call the listeners, answer, store snapshots."""
        self._last = committed[-1].position
        erased: list[int] = []
        grown: list[str] = []
        for _, event, record in committed:
            if event.ERASES:
                erased.append(event.stream_uid)
            if record.version % SNAPSHOT_EVERY == 0:
                grown.append(record.stream)
        erasure = self._erasure
        if erasing := erasure is not None and bool(erased or erasure.unfinished):
            await erasure.destroy(erased)
        for listener in self.listeners:
            try:
                listener(committed)
            except Exception:  # the events stay on disk; a listener's fault must not stop the writer
                log.exception("writer.listener_failed")
        self._answer(batch)
        if grown:
            await self.states.snapshot(grown)
        if erasing:  # no state that holds decrypted words of such a user stays in memory
            self.states.clear()

    def _answer(self, batch: Sequence[UnitOfWork]) -> None:
        for unit in batch:
            try:
                if unit.refusal is None:
                    unit.result.set_result(unit.events)
                else:
                    unit.result.set_exception(unit.refusal)
            except Exception:  # a caller's fault must not stop the writer
                log.exception("writer.caller_failed")

    async def _find_committed(self) -> None:
        """Before the first commit, and after one whose result is unknown: find out where the log ends, and announce new events."""
        if self._unsure and self._last is None:
            self._last = await self._store.run(self._store.last_position)
        while self._unsure or self.over:
            if self.over:
                raise LeaseLost
            found = await self._store.run(self._store.read, self._last, self._config.max_found)
            if not found:
                self._unsure = False
                return
            log.warning("writer.found_committed", events=len(found))
            await self._conclude((), found)

    def _fail(self, batch: list[UnitOfWork], error: Unavailable) -> None:
        if error is not self.halted:  # why it is halted was said once; those who try again would fill the log
            log.warning("writer.batch_failed", units=len(batch), error=type(error).__name__, detail=error.detail)
        self.failing = not isinstance(error, Conflicted | LeaseLost)  # in those, the store works, and another process was first
        if isinstance(error, LeaseLost):
            self.over = True
            self._fenced_out()
        if isinstance(error, SetBack) and self.halted is None:
            self.halted = error
            self._set_back(error.detail)
        if isinstance(error, Conflicted):  # every state may be out of date, and not only those that this batch touched
            self.states.clear()
        for unit in batch:
            self.states.forget(unit.events)
            unit.result.set_exception(error)
