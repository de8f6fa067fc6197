"""The end of a process that must end. Rule: whatever hangs, a loop, a thread or a goodbye, the process is gone in time and says what hung.

A home that has lost its lease owes nobody anything: what it accepted is on disk, and another process serves. An orderly stop is a
courtesy to its clients; it must not keep the process from coming back as the standby.
"""

import asyncio
import gc
import inspect
import os
import threading
from typing import Any

import structlog

LEFT_S = 10.0  # a goodbye to a broker or a database that does not answer takes 3 s, a last request of a client 5

log = structlog.get_logger()


def leave_within(seconds: float = LEFT_S) -> None:
    """End this process with exit code 1 after `seconds`, unless it has ended by then. From a thread: the loop may be what hangs."""
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
    """What tasks wait for and which threads live: for whoever must find out why."""
    try:
        tasks = asyncio.all_tasks(loop)
    except RuntimeError:  # they change while we look
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
        if after is None and not name:  # a step of an asynchronous generator knows it, but does not say so
            after = next(filter(inspect.isasyncgen, gc.get_referents(inner)), None)
        inner = after
    return " > ".join(chain)
