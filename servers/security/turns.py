"""A bounded queue in which everybody has turns. Rule: whoever fills it is refused first, and nobody waits behind another's whole pile."""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Items by key, such as an address: one item of each key in turn, and those of one key in their order."""

    def __init__(self, most: int) -> None:
        """`most`: how many items may wait, of all keys together."""
        self._most = most
        self._lanes: OrderedDict[Hashable, deque[T]] = OrderedDict()  # the key whose turn is next comes first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: Hashable, item: T) -> T | None:
        """Let `item` wait. Returns None, or the item that has no place any more: the newest one of the key that has most, which may be
        `item` itself."""
        lane = self._lanes.get(key)
        dropped: T | None = None
        if self._count >= self._most:
            longest = max(self._lanes, key=lambda each: len(self._lanes[each]))
            if len(self._lanes[longest]) <= (len(lane) if lane else 0) + 1:
                return item
            dropped = self._lanes[longest].pop()
            self._count -= 1
        if lane is None:
            lane = self._lanes[key] = deque()
        lane.append(item)
        self._count += 1
        return dropped

    def next(self) -> T:
        """Take the next item. Raises `IndexError` when nothing waits."""
        if not self._lanes:
            raise IndexError
        key, lane = next(iter(self._lanes.items()))
        item = lane.popleft()
        self._count -= 1
        if lane:
            self._lanes.move_to_end(key)
        else:
            del self._lanes[key]
        return item

    def firsts(self) -> Iterator[T]:
        """The first item of each key."""
        return (lane[0] for lane in self._lanes.values())

    def clear(self) -> list[T]:
        """Take everything that waits."""
        items = [item for lane in self._lanes.values() for item in lane]
        self._lanes.clear()
        self._count = 0
        return items
