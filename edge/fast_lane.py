"""Requests that are answered in the very call that read them. Rule: what is seen from outside is the same as without this module.

Most requests arrive whole, in one piece, on an idle connection, and most of those for `POST /v1/acks` are answered without waiting
for anything. Waking the connection's task for such a request costs two turns of the event loop, more than the request itself. So the
route is stepped right here, as far as it goes without waiting. If it finishes, its answer is written at once. If it waits for
something, the connection's task is woken and carries it on from there; until then, and for everything that is not such a request, the
connection is not idle and the normal way applies, so the order of pipelined requests stays.

While it is stepped here, the connection's task is entered as the current one (`asyncio.tasks._enter_task`, made for this purpose and
documented under "Extending asyncio"), so that `asyncio.timeout` and the like work in every route as usual.
"""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

from edge.connection import Connection, Reply


class _Rest:
    """The rest of a coroutine that has already been stepped and waits for `awaited`."""

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, Reply], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Reply]:
        coroutine, awaited = self._coroutine, self._awaited
        while True:
            thrown: BaseException | None = None
            try:
                yield awaited
            except BaseException as error:  # cancellation, mostly: it belongs to the coroutine
                thrown = error
            try:
                awaited = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
            except StopIteration as stop:
                reply: Reply = stop.value
                return reply


class FastLane(Connection):
    """A connection that answers whole requests at once when it is idle."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Parse, and answer here if exactly one whole request came and nothing is going on."""
        waiter, task = self._waiter, self._task_handler
        if waiter is None or task is None or waiter.done() or self._messages or self._paused or self._close:
            super().data_received(data)
            return
        self._waiter = None  # so that parsing does not wake the task
        super().data_received(data)
        self._waiter = waiter
        if not self._messages or waiter.done():
            return
        payload = self._messages[0][1]
        if len(self._messages) > 1 or not payload.is_eof() or self._upgraded:
            waiter.set_result(None)
            return
        self._step(task, waiter)

    def _step(self, task: "asyncio.Task[None]", waiter: "asyncio.Future[None]") -> None:
        coroutine = self._next()
        asyncio.tasks._enter_task(self._loop, task)
        try:
            awaited = coroutine.send(None)
        except StopIteration as stop:
            data, after = stop.value
        else:
            self._suspended = _Rest(coroutine, awaited)
            waiter.set_result(None)
            return
        finally:
            asyncio.tasks._leave_task(self._loop, task)
        if not self.reply(data, after):
            waiter.cancel()
