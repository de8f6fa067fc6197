"""A result that will be there later, as an `asyncio.Future` is, but callbacks run synchronously: within the call that sets the result.

A future runs its callbacks in a later turn of the event loop, through a handle and a step of a task; for the two requests of a popup that
was a tenth of its CPU. A deferred has one callback, calls it at once, and can be awaited like a future where the later turn does no harm.
"""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
U = TypeVar("U")


class Deferred(Generic[T]):
    """A result or an exception to come."""

    __slots__ = ("_callback", "_map", "_waiter", "done", "exception", "value")

    def __init__(self, function: Callable[[Any], T] | None = None) -> None:
        """`function` is applied to the result, as by `map`."""
        self.done = False
        self.value: Any = None  # the result, once it is done and there is no exception
        self.exception: Exception | None = None
        self._map: Callable[[Any], Any] | None = function
        self._callback: Callable[[Deferred[T]], object] | None = None
        self._waiter: asyncio.Future[None] | None = None

    def set_result(self, result: Any) -> None:
        """Finish with this result, mapped. Nothing happens when the task that awaits this was cancelled."""
        if self._waiter is not None and self._waiter.done():
            return
        if self._map is not None:
            try:
                result = self._map(result)
            except Exception as error:  # the caller's own function failed, so only the caller hears of it
                self.set_exception(error)
                return
        self.value = result
        self._finish()

    def set_exception(self, exception: Exception) -> None:
        """Finish with this exception."""
        self.exception = exception
        self._finish()

    def _finish(self) -> None:
        self.done = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._callback is not None:
            callback, self._callback = self._callback, None
            callback(self)

    def map(self, function: Callable[[T], U]) -> "Deferred[U]":
        """Replace the result by `function(result)`; an exception stays as it is. Returns this deferred."""
        if not self.done:
            first = self._map
            self._map = function if first is None else lambda result: function(first(result))
        elif self.exception is None:
            try:
                self.value = function(self.value)
            except Exception as error:
                self.exception = error
        return cast("Deferred[U]", self)

    def add_done_callback(self, callback: "Callable[[Deferred[T]], object]") -> None:
        """Call `callback(self)` once this is done: now, if it is done already. Only one callback."""
        if self.done:
            callback(self)
        else:
            self._callback = callback

    def result(self) -> T:
        """The result. Raises the exception instead, if there is one."""
        if self.exception is not None:
            raise self.exception
        return cast(T, self.value)

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done:
            self._waiter = asyncio.get_running_loop().create_future()
            yield from self._waiter
        if self.exception is not None:
            raise self.exception
        return cast(T, self.value)


def succeeded(result: T) -> Deferred[T]:
    """A deferred that has this result already."""
    deferred: Deferred[T] = Deferred()
    deferred.set_result(result)
    return deferred


def failed(exception: Exception) -> Deferred[Any]:
    """A deferred that has this exception already."""
    deferred: Deferred[Any] = Deferred()
    deferred.set_exception(exception)
    return deferred
