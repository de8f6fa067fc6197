"""The only place that changes a server's state: group commit of all commands that wait. Rule: nothing is visible before it is on disk.

One cycle: take units of work that wait from their lanes in turn, load missing states, decide each in order, commit all events and tracking
positions in one transaction, then call the listeners and answer. No timer: a batch of one when idle, hundreds under load.
Cost per event: about 5 µs to decide and fold, 5 µs to map, 5 µs to insert; per batch one fsync and two thread switches.

Waiting units stand in lanes: one for each user's calls, one for each server's mail, one for the house's own work. A batch is bounded by
what its units weigh, so nobody's many or heavy units keep another's waiting for more than one batch.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from eventsourcing.persistence import Tracking
from msgspec.structs import replace

from domain.errors import Rejected, Unavailable
from domain.event import Event
from domain.rules.rules import Command
from servers.encryption.key_store import KeysNeeded
from servers.store.event_store import Committed, Store
from servers.store.log.event_log import Conflicted, SetBack
from servers.store.log.lease import LeaseLost
from servers.writing.batches import put_back
from servers.writing.config import WriterConfig
from servers.writing.erasure import Erasure
from servers.writing.state_cache import StateCache
from servers.writing.unit_of_work import UnitOfWork
from servers.writing.work_queue import WorkQueue

Listener = Callable[[list[Committed]], None]
log = structlog.get_logger()


class Writer(WorkQueue):
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
        config = config or WriterConfig()
        super().__init__(config, StateCache(store, config))
        self.store = store
        self._rules = store.rules
        self.clock = clock
        self._fenced_out = fenced_out
        self._set_back = set_back
        self._erasure = erasure
        self._last: int | None = None  # the position up to which the listeners know the log
        self._unsure = True  # whether the log may hold events that the listeners have not heard of
        self._ride_at = 0.0
        self.listeners = list(listeners)
        self.riding: dict[str, int] = {}  # positions of the outbox that travel with a later commit, by name
        self.commits = 0
        self.halted: Unavailable | None = None  # why nothing is committed any more
        self.failing = False  # whether the last commit failed, because the store could not take it
        self.over = False  # True once another process holds the lease: stop committing, and stop reading the log for events to announce

    def state(self, stream: str) -> Any:
        """The present state of a stream. Only inside `answer`, for a stream that the caller's commands touched."""
        return self.states[stream]

    def _store_cpu_s(self) -> float:
        return self.store.cpu_s()

    async def _commit(self, batch: list[UnitOfWork]) -> None:
        events: list[Event] = []
        tracked: list[Sequence[Tracking]] = []
        loaded_enough, max_events = False, self._config.max_events
        if self.halted is not None:
            self._fail(batch, self.halted)
            return
        try:
            if self._unsure or self.over:
                await self._find_committed()
            for number, unit in enumerate(batch):  # each at its own time, to the microsecond: clients may put messages in order by it
                if len(events) >= max_events:  # some commands became many events
                    put_back(self._queue, batch, number)
                    break
                now, waiting = int(self.clock() * 1e6) / 1e6, list(unit.commands)
                while (absent := self._decide(unit, waiting, now)) is not None:
                    if loaded_enough and not unit.events:
                        put_back(self._queue, batch, number)
                        break
                    needed = (command for unit in batch[number:] for command in unit.commands)
                    loaded_enough = await self.states.load(absent, needed)
                if absent is not None:
                    break
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
                packed = self.store.codec.encode(events)
            except KeysNeeded:
                packed = await self.store.packed(events)
            committed = await self.store.run(self.store.put, events, packed, trackings)
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

    def _decide(self, unit: UnitOfWork, waiting: list[Command], now: float) -> str | None:
        """Decide the waiting commands of a unit, and those that follow from them. Returns the stream whose state must be loaded first, or
        None when all are decided."""
        decided, states, rules = unit.events, self.states, self._rules
        deciders, folds, policies = rules.deciders, rules.folds, rules.policies  # plain tables: a call each costs more
        for number, command in enumerate(waiting):  # the list grows meanwhile
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
            for version, decision in enumerate(events, state.version + 1):
                event = replace(decision, originator_id=stream, originator_version=version)
                decided.append(event)  # before it is folded: if the fold fails half way, the changed state is known and forgotten
                kind = type(event)
                folds[kind](state, event)
                state.version = version
                if kind in policies:
                    waiting += policies[kind](event, rules.server, rules.server)
        states.asked += len(waiting)
        return None

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
        """A commit is on disk: destroy the keys of users who have left with it, call the listeners, answer, ask for snapshots."""
        self._last = committed[-1].position
        states, places = self.states, self._rules.places
        erased: list[int] = []
        for position, event, record in committed:
            if (kind := type(event)) in places and (state := states.get(record.stream)) is not None:
                places[kind](state, event, position, len(record.data))
            if event.ERASES:
                erased.append(event.stream_uid)
        erasure = self._erasure
        if erasure is not None and (erased or erasure.unfinished):
            await erasure.destroy(erased)
        for listener in self.listeners:
            try:
                listener(committed)
            except Exception:  # the events stay on disk; a listener's fault must not stop the writer
                log.exception("writer.listener_failed")
        self._answer(batch)
        if due := self.states.grow(committed):
            self.states.snapshot(due)
        if erasure is not None and erased:  # no state that holds decrypted words of such a user stays in memory
            self.states.drop(stream for uid in erased for stream in erasure.streams_with(uid))
            for forget in erasure.forget:
                forget()

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
            self._last = await self.store.run(self.store.last_position)
        while self._unsure or self.over:
            if self.over:
                raise LeaseLost
            found = await self.store.run(self.store.read, self._last, self._config.max_found)
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
