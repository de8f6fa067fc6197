"""What callers want of the writer, in lanes that take turns. Rule: whoever has been given a place in a lane is answered, whatever happens
to the writer; whoever fills a lane is refused first.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import structlog
from eventsourcing.persistence import Tracking

from domain.errors import Unavailable
from domain.event import Event
from domain.rules.rules import Command
from runtime.background_task import BackgroundTask
from runtime.bounds import Bound, Holding
from runtime.deferred import Deferred
from runtime.lanes import Lanes
from runtime.metered import Metered
from servers.fairness.load import ONE_IN, Load
from servers.writing.batches import Queue, is_full, next_batch
from servers.writing.config import WriterConfig
from servers.writing.state_cache import StateCache
from servers.writing.unit_of_work import HOUSE, Lane, UnitOfWork

ENDED = "The writer has ended by itself, and nothing is stored any more: restart this server."

UNITS = Bound(
    name="writer",
    holds="calls and mail that wait to be stored, in bytes of their texts",
    filled_by="users, servers, the house itself",
    past="a lane at a thousand calls or at a quarter of the bytes reads `503`, everybody at all of them",
    within=("WorkQueue._queue",),
    entries=WriterConfig().max_waiting,
    bytes=WriterConfig().max_waiting_bytes,
)

log = structlog.get_logger()


class WorkQueue:
    """The units of work that wait, and the task that hands them to `_commit`, as many at once as may be."""

    def __init__(self, config: WriterConfig, states: StateCache) -> None:
        self._config = config
        self.states = states
        self._queue: Queue = Lanes()
        self._bytes = 0  # of the texts that wait or are being committed
        self._arrived = asyncio.Event()
        self._stopped = False
        self._ended = ""  # why nobody commits any more; empty while somebody does, and after an orderly stop
        self._committing = False
        self.task = BackgroundTask("writer")
        self.load: Load | None = None  # where it is noted whose units cost how much
        self._next_sample = 0  # batches until then
        self.turns = 0  # batches that came to an end, also in vain
        self.refused = 0  # units for which there was no room

    async def _commit(self, batch: list[UnitOfWork]) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Begin to commit."""
        self.states.start()
        self.task.start(self._run())

    async def stop(self) -> None:
        """Commit all that waits, then stop. Later callers hear `Unavailable`. Returns at once where the writer has ended by itself."""
        stopped, self._stopped = self._stopped, True
        if not self.task.alive:
            self._end(())  # it may never have begun, because the server did not start
            return
        if stopped:
            return
        self._arrived.set()
        await self.task.wait()
        await self.states.stop()

    def submit(
        self,
        commands: Sequence[Command],
        *,
        trackings: Sequence[Tracking] = (),
        answer: Callable[[list[Event]], Any] | None = None,
        lane: Lane = HOUSE,
        size: int = 0,
    ) -> Deferred[Any]:
        """Queue commands that happen together or not at all; none may refuse once one before it has changed something.

        Units of one `lane` are committed in their order; `size`: bytes of the texts in the commands. The result is `answer(events)`, or the
        list of decided events, once they are on disk and before any state changes again. Raises what a decider refused with, `Unavailable`
        when the store is away or too much waits: then nothing has changed.
        """
        result: Deferred[Any] = Deferred(answer)
        queue = self._queue
        config = self._config
        if self._stopped or (
            (queue.size >= config.max_lane or self._bytes >= config.max_waiting_bytes // 4) and is_full(queue, lane, self._bytes, config)
        ):
            self.refused += 1
            result.set_exception(Unavailable(self._ended or "Too much is waiting to be stored, or the server is shutting down."))
            return result
        queue.put(lane, UnitOfWork(commands, trackings, result, lane, size, monotonic()))
        self._bytes += size
        self._arrived.set()
        return result

    def holdings(self) -> Iterator[Holding]:
        """What waits."""
        queue, bound = self._queue, replace(UNITS, entries=self._config.max_waiting, bytes=self._config.max_waiting_bytes)
        oldest_s = monotonic() - min(unit.since for unit in queue.firsts()) if queue else None
        yield bound.holding(queue.size, self._bytes, refused=self.refused, oldest_s=oldest_s)

    @property
    def alive(self) -> bool:
        """Whether it commits. A writer that ended by itself is a fault, and only a restart repairs it."""
        return self.task.alive

    @property
    def depth(self) -> int:
        """How many units of work wait."""
        return self._queue.size

    @property
    def lanes(self) -> int:
        """In how many lanes units of work wait."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being committed."""
        return not self._queue and not self._committing

    async def _run(self) -> None:
        queue = self._queue
        batch: list[UnitOfWork] = []
        try:
            while True:
                if not queue.size:
                    self._committing = False
                    if self._stopped:
                        return
                    self._arrived.clear()
                    await self._arrived.wait()
                else:
                    await asyncio.sleep(0)  # the answers to the last batch leave before this one begins
                self._committing = True
                batch = next_batch(queue, self._config)
                self._next_sample -= 1
                if self._next_sample < 0 and self.load is not None:
                    await self._sample(batch, self.load)
                else:
                    await self._commit(batch)
                self._bytes -= sum([unit.size for unit in batch])
                self.turns += 1
                if self.states.loaded or self.states.overweight:
                    self.states.tidy()
        finally:
            self._end(batch)

    async def _sample(self, batch: list[UnitOfWork], load: Load) -> None:
        """Commit, and note what it took on the loop and in the store's thread: each unit the same, because nobody knows better."""
        self._next_sample = random.randrange(2 * ONE_IN)  # noqa: S311 - a sample, no secret
        before, metered = self._store_cpu_s(), Metered(self._commit(batch))
        await metered
        each = (metered.cpu_s + max(self._store_cpu_s() - before, 0.0)) / max(len(batch), 1)
        for unit in batch:
            load.took(unit.lane, each, ONE_IN)

    def _store_cpu_s(self) -> float:
        raise NotImplementedError

    def _end(self, batch: Sequence[UnitOfWork]) -> None:
        """Nobody commits any more: answer all that wait, and refuse who comes later, because otherwise they would wait for ever."""
        waiting = [self._queue.take() for _ in range(self._queue.size)]
        unanswered = [unit for unit in (*batch, *waiting) if not unit.result.done]
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
