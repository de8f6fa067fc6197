"""Ends a process that must end. Rule: whether the loop, a thread or a goodbye hangs, the process ends in time, and the log says what hung.

A home that has lost its lease owes nobody anything, because all that it accepted is on disk and another process serves. An orderly stop is
a courtesy to its clients and must not keep the process from coming back as the standby.
"""

import asyncio
import gc
import inspect
import os
import threading
from typing import Any

import structlog

LEFT_S = 10.0  # a broker or database that does not answer costs 3 s at goodbye, and the last request of a client costs 5 s

log = structlog.get_logger()


def leave_within(seconds: float = LEFT_S) -> None:
    """End this process with exit code 1 after `seconds`, unless it has ended by then. A thread does it, because the
    event loop may be what hangs."""
    loop = asyncio.get_running_loop()

    def leave() -> None:
        try:
            log.error("flash.left", after_s=seconds, hanging=_hanging(loop))
        finally:
            os._exit(1)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def _hanging(loop: asyncio.AbstractEventLoop) -> list[str]:
    """What each task waits for, and which threads live: the log shows both to people who look for the cause."""
    try:
        tasks = asyncio.all_tasks(loop)
    except RuntimeError:  # the set of tasks changed while it was read
        tasks = set()
    waits = sorted(_wait_of(task) for task in tasks if not task.done())
    threads = sorted(f"thread {thread.name}" for thread in threading.enumerate() if thread is not threading.current_thread())
    return waits + threads


def _wait_of(task: "asyncio.Task[Any]") -> str:
    """The chain of what a task awaits, such as `_home > running_home > HomeServer.stop > Worker.run`."""
    chain: list[str] = []
    inner: Any = task.get_coro()
    while inner is not None:
        if name := getattr(inner, "__qualname__", None):
            chain.append(name)
        after = getattr(inner, "cr_await", None) or getattr(inner, "ag_await", None)
        if after is None and not name:  # an asynchronous generator does not tell what it awaits, but refers to it
            after = next(filter(inspect.isasyncgen, gc.get_referents(inner)), None)
        inner = after
    return " > ".join(chain)
