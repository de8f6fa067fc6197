"""A thread for blocking calls. Rule: one call after another, in order.

A call costs 12 µs of CPU, and 28 µs with `ThreadPoolExecutor(1)`, which locks five times and makes three futures for each call. A home
makes one call per commit. If the executor costs less than 15 µs one day, this module goes.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from time import perf_counter
from typing import Any, TypeVar

from runtime.peak import Peak

T = TypeVar("T")
Call = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...], float]


class Worker:
    """A daemon thread that starts with the first call. `name`: for people who look at threads."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self.waited = Peak()  # how long a call waited until the thread began it, and for what
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def run(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """Call `function` in the thread; the future has its result or exception. Cancelling the future does not stop the call."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._thread.ident is None:
            self._thread.start()
        self._calls.put((future, function, args, perf_counter()))
        return future

    def cpu_s(self) -> float:
        """The CPU that the thread has used; 0 where the system does not say it."""
        ident = self._thread.ident
        if ident is None or not self._thread.is_alive() or not hasattr(time, "pthread_getcpuclockid"):
            return 0.0
        return time.clock_gettime(time.pthread_getcpuclockid(ident))

    def stop(self) -> None:
        """Finish what was asked, then end the thread."""
        if self._thread.ident is not None:
            self._calls.put(None)
            self._thread.join()

    def _work(self) -> None:
        running = ""  # what the thread did last, which is what a call has waited for
        while (call := self._calls.get()) is not None:
            future, function, args, asked_at = call
            self.waited.note(perf_counter() - asked_at, running)
            result: Any = None
            failure: BaseException | None = None
            try:
                result = function(*args)
            except BaseException as error:  # it is raised again where the caller waits
                failure = error
            running = getattr(function, "__name__", "")
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                future.get_loop().call_soon_threadsafe(_settle, future, result, failure)
            del call, future, function, args, result, failure  # nothing is kept alive until the next call


def _settle(future: "asyncio.Future[Any]", result: Any, failure: BaseException | None) -> None:
    if future.done():
        return
    if failure is not None:
        future.set_exception(failure)
    else:
        future.set_result(result)
