"""How late the event loop is: a tick that should come ten times a second, and what came in its way. Rule: it costs 10 µs a tick.

Whatever does too much in one go makes everybody wait, and a tick as well. When one comes more than `LATE_S` late, the log says so, with the
name of the longest step of a job since the tick before, if that explains it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog

from runtime.background_task import BackgroundTask
from runtime.scheduler import Scheduler

EVERY_S = 0.1
LATE_S = 0.02  # what Flash promises
MINUTE_S = 60.0  # how long a peak lasts, and how often the log says that ticks were late

log = structlog.get_logger()


class Ticker:
    """Watches one loop, notes in `scheduler.late` how late its ticks are, and says when a minute has ended."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._minute_at = self._said_at = 0.0
        self._task = BackgroundTask("ticker")

    def start(self) -> None:
        """Tick from now on."""
        self._task.start(self._run(asyncio.get_running_loop().time))

    async def stop(self) -> None:
        """Tick no more."""
        await self._task.stop()

    async def _run(self, clock: Callable[[], float]) -> None:
        self._minute_at = clock() + MINUTE_S
        while True:
            due = clock() + EVERY_S
            await asyncio.sleep(EVERY_S)
            now = clock()
            self.tick(now, now - due)

    def tick(self, now: float, late_s: float) -> None:
        """A tick has come, so late."""
        step_s, job = self._scheduler.take_longest()
        cause = job if step_s > late_s / 2 else ""
        self._scheduler.late.note(late_s, cause)
        if late_s > LATE_S:
            self._scheduler.late_ticks += 1
            if now >= self._said_at:
                self._said_at = now + MINUTE_S
                log.warning("loop.late", late_ms=round(late_s * 1000), job=cause)
        if now >= self._minute_at:
            self._minute_at = now + MINUTE_S
            for each in self._scheduler.each_minute:
                each.turn()


@contextlib.asynccontextmanager
async def watched(scheduler: Scheduler | None = None) -> AsyncIterator[Scheduler]:
    """The scheduler of this process: the one that it has, or a new one, whose loop is watched from now on."""
    if scheduler is not None:
        yield scheduler
        return
    scheduler = Scheduler()
    ticker = Ticker(scheduler)
    ticker.start()
    try:
        yield scheduler
    finally:
        await ticker.stop()
