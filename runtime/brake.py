"""Turns at a tenth. Rule: a key on the brake has one turn at a time, then waits nine times as long as that turn took; nothing is dropped.

A turn takes as long as what was begun, its waiting for others included. So under load, where a turn takes a round of everybody's turns, the
key takes part in one round of ten; and where nobody else is there, it is idle for nine tenths of the time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Container, Hashable
from typing import Generic, TypeVar

SHARE = 10  # one turn in so many
LONGEST_S = 0.25  # what takes longer, such as a poll, waits for something else; it counts for so much, and the next turn may come meanwhile

K = TypeVar("K", bound=Hashable)
CallLater = Callable[[float, Callable[[], None]], object]


class Turn(Generic[K]):
    """One turn of a key. `end` may be called more than once."""

    __slots__ = ("_brake", "_key", "began", "over")

    def __init__(self, brake: "Brake[K]", key: K) -> None:
        self._brake = brake
        self._key = key
        self.began = 0.0
        self.over = False

    def end(self) -> None:
        """What was begun is done."""
        if not self.over:
            self.over = True
            self._brake.ended(self._key, self.began)


class Brake(Generic[K]):
    """What waits for its turn, by key, in its order. `slow`: the keys that are on the brake; whoever holds it may change it."""

    def __init__(self, slow: Container[K], clock: Callable[[], float] | None = None, call_later: CallLater | None = None) -> None:
        """`clock`, `call_later`: the loop's, unless told otherwise."""
        self._slow = slow
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._call_later = call_later or (lambda after_s, call: asyncio.get_running_loop().call_later(after_s, call))
        self._waiting: dict[K, deque[Callable[[Turn[K]], object]]] = {}  # of each key that has a turn, or a pause
        self.size = 0  # how many wait

    def waiting(self, key: K) -> int:
        """How many of this key wait."""
        return len(self._waiting.get(key, ()))

    def take(self, key: K, begin: Callable[[Turn[K]], object]) -> None:
        """Call `begin(turn)` when the turn of `key` comes: now, if it has neither a turn nor a pause."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = deque()
            self._begin(key, begin)
        else:
            waiting.append(begin)
            self.size += 1

    def _begin(self, key: K, begin: Callable[[Turn[K]], object]) -> None:
        turn = Turn(self, key)
        turn.began = self._clock()
        self._call_later(LONGEST_S, turn.end)
        begin(turn)

    def ended(self, key: K, began: float) -> None:
        """A turn is over: the next one comes after the pause."""
        took = min(self._clock() - began, LONGEST_S)
        self._call_later((SHARE - 1) * took if key in self._slow else 0.0, lambda: self._next(key))

    def _next(self, key: K) -> None:
        waiting = self._waiting[key]
        if waiting:
            self.size -= 1
            self._begin(key, waiting.popleft())
        else:
            del self._waiting[key]
