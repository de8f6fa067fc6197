"""Coroutines that run beside the rest. Rule: the owner that starts such a coroutine stops it, and no failure of it goes unlogged.

`BackgroundTask` is for a loop that lasts as long as its owner. `BackgroundTasks` is for any number of short ones.
"""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

import structlog

CANCEL_AGAIN_S = 1.0  # a library may raise the loss of a connection in place of a cancellation, and the coroutine then goes on

log = structlog.get_logger()


class BackgroundTask:
    """One coroutine under a name, which people see in the log. `cancel_again_s`: how long a lost cancellation goes unnoticed."""

    def __init__(self, name: str, cancel_again_s: float = CANCEL_AGAIN_S) -> None:
        self.name = name
        self._cancel_again_s = cancel_again_s
        self._task: asyncio.Task[object] | None = None
        self.error: BaseException | None = None  # what the coroutine failed with; None while it runs and after it was stopped

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Run `work`. The coroutine that was started before must have ended."""
        assert not self.alive, f"{self.name} runs already"
        self.error = None
        self._task = asyncio.create_task(work, name=self.name)
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Cancel the coroutine and return when it has ended. A cancellation of the caller is raised as usual."""
        if self._task is not None:
            await _cancelled((self._task,), self._cancel_again_s)

    async def wait(self) -> None:
        """Return when the coroutine has ended by itself."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    @property
    def alive(self) -> bool:
        """Whether the coroutine runs."""
        return self._task is not None and not self._task.done()

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self.error = _failure(task)


class BackgroundTasks:
    """Short coroutines, of which any number may run at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Run `work` as well."""
        task = asyncio.create_task(work, name=self.name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Cancel all of them, for callers that cannot wait."""
        for task in self._tasks:
            task.cancel()

    async def wait(self) -> None:
        """Return when all of them have ended by themselves."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Cancel all of them and return when they have ended. A cancellation of the caller is raised as usual."""
        await _cancelled(self._tasks, CANCEL_AGAIN_S)

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self._tasks.discard(task)
        _failure(task)


async def _cancelled(tasks: Collection[asyncio.Task[object]], again_s: float) -> None:
    """Cancel until all have ended. `asyncio.wait` raises the caller's cancellation only, never that of the tasks."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=again_s)


def _failure(task: asyncio.Task[object]) -> BaseException | None:
    if task.cancelled() or (error := task.exception()) is None:
        return None
    log.error("task.failed", task=task.get_name(), exc_info=error)
    return error
