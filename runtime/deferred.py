"""What somebody asked for, once it is known. Rule: one asks, is told once, and in the very turn of the loop in which it is known.

An `asyncio.Future` tells by a handle and a task's step in a later turn; for a popup's two requests that was a tenth of its CPU. An
outcome calls whoever asked `then`, or can be awaited like a future by everybody who is in no such hurry.
"""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
U = TypeVar("U")


class Deferred(Generic[T]):
    """A result or a failure to come."""

    __slots__ = ("_shape", "_tell", "_waiter", "failure", "settled", "value")

    def __init__(self) -> None:
        self.settled = False
        self.value: Any = None  # what came of it, once it is settled and nothing went wrong
        self.failure: Exception | None = None  # what went wrong
        self._shape: Callable[[Any], Any] | None = None
        self._tell: Callable[[Deferred[T]], object] | None = None
        self._waiter: asyncio.Future[None] | None = None

    def settle(self, result: T | None, failure: Exception | None = None) -> None:
        """Say what came of it."""
        self.settled, self.value, self.failure = True, result, failure
        if self._shape is not None and failure is None:
            self._form(self._shape)
        if self._tell is not None:
            tell, self._tell = self._tell, None
            tell(self)

    def shaped(self, shape: Callable[[T], U]) -> "Deferred[U]":
        """This outcome, with `shape(result)` for its result: what the one who asked wants to hear. Once only."""
        if not self.settled:
            self._shape = shape
        elif self.failure is None:
            self._form(shape)
        return cast("Deferred[U]", self)

    def _form(self, shape: Callable[[Any], Any]) -> None:
        try:
            self.value = shape(self.value)
        except Exception as error:  # it fails for the one who asked, and for nobody else
            self.failure = error

    def then(self, tell: "Callable[[Deferred[T]], object]") -> None:
        """Call `tell(self)` when it is settled, at once if it is."""
        if self.settled:
            tell(self)
        else:
            self._tell = tell

    def result(self) -> T:
        """What came of it. Raises what went wrong."""
        if self.failure is not None:
            raise self.failure
        return cast(T, self.value)

    @property
    def given_up(self) -> bool:
        """Whether the one who awaited it was cancelled meanwhile."""
        return self._waiter is not None and self._waiter.done()

    def __await__(self) -> Generator[Any, None, T]:
        if not self.settled:
            self._waiter = asyncio.get_running_loop().create_future()
            self.then(self._wake)
            yield from self._waiter
        return self.result()

    def _wake(self, _: object) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def settled(result: T) -> Deferred[T]:
    """An outcome that is known already."""
    outcome: Deferred[T] = Deferred()
    outcome.settle(result)
    return outcome


def failed(failure: Exception) -> Deferred[Any]:
    """An outcome that has gone wrong already."""
    outcome: Deferred[Any] = Deferred()
    outcome.settle(None, failure)
    return outcome
