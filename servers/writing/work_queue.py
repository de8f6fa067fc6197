"""What callers want of the writer, in the order in which it came. Rule: the commands of a unit of work are on disk together or not at all,
and its caller is told in either case.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from eventsourcing.persistence import Tracking

from domain.errors import Rejected, Unavailable
from domain.event import Event
from domain.rules.rules import Command
from runtime.background_task import BackgroundTask
from runtime.deferred import Deferred
from servers.writing.config import WriterConfig
from servers.writing.state_cache import StateCache

ENDED = "The writer has ended by itself, and nothing is stored any more: restart this server."

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class UnitOfWork:
    """Commands that happen together or not at all, and the positions that are stored with their events."""

    commands: Sequence[Command]
    trackings: Sequence[Tracking]
    result: Deferred[Any]
    events: list[Event] = field(default_factory=list)  # what the commands were decided into
    refusal: Rejected | None = None  # what a command was refused with, before anything was decided


class WorkQueue:
    """The units of work that wait, and the task that hands them to `_commit`, as many at once as may be."""

    def __init__(self, config: WriterConfig, states: StateCache) -> None:
        self._config = config
        self.states = states
        self._queue: deque[UnitOfWork] = deque()
        self._arrived = asyncio.Event()
        self._stopped = False
        self._ended = ""  # why nobody commits any more; empty while somebody does, and after an orderly stop
        self._committing = False
        self.task = BackgroundTask("writer")
        self.turns = 0  # batches that came to an end, also in vain

    async def _commit(self, batch: list[UnitOfWork]) -> None:
        raise NotImplementedError

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
