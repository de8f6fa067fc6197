"""Ids that a state remembers, with some numbers for each. Rule: an id takes some 30 bytes, whatever it is, because a state has thousands.

Instead of the id there is its hash of eight bytes, in an array that is sorted, so that one of 4,096 is found in 1.5 µs; the numbers stand
in arrays beside it. Two ids with the same hash are one: nobody meets that by chance, and who makes two such ids harms messages of their own
only.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

HASH = 8  # bytes


class RememberedIds:
    """Ids, of which the oldest can be forgotten. `kinds`: of the numbers of each id, as the module `array` names them."""

    __slots__ = ("_ages", "_columns", "_hashes", "kinds")

    def __init__(self, kinds: str) -> None:
        self.kinds = kinds
        self._hashes = array("Q")  # in order
        self._columns: list[array[Any]] = [array(kind) for kind in kinds]  # in the order of the hashes
        self._ages = array("Q")  # the hashes, oldest first

    def __len__(self) -> int:
        return len(self._hashes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RememberedIds) and self.to_snapshot() == other.to_snapshot()

    def __contains__(self, id: str) -> bool:
        return self.place(id) is not None

    def __copy__(self) -> "RememberedIds":
        copied = RememberedIds(self.kinds)
        copied._hashes, copied._columns, copied._ages = self._hashes[:], [column[:] for column in self._columns], self._ages[:]
        return copied

    @property
    def size(self) -> int:
        """The bytes that it takes."""
        return sum(len(each) * each.itemsize for each in (self._hashes, *self._columns, self._ages))

    def place(self, id: str) -> int | None:
        """Where this id stands, the oldest one, until something is added or removed; None when it is not remembered."""
        hashed, hashes = _hashed(id), self._hashes
        place = bisect_left(hashes, hashed)
        return place if place < len(hashes) and hashes[place] == hashed else None

    def places(self, id: str) -> Iterable[int]:
        """All places where this id stands, the oldest first."""
        first = self.place(id)
        return () if first is None else range(first, bisect_right(self._hashes, self._hashes[first]))

    def numbers(self, place: int) -> list[Any]:
        """What stands there."""
        return [column[place] for column in self._columns]

    def put(self, place: int, *numbers: Any) -> None:
        """Write other numbers there."""
        for column, number in zip(self._columns, numbers, strict=True):
            column[place] = number

    def get(self, id: str) -> list[Any] | None:
        """The numbers of this id; None when it is not remembered."""
        place = self.place(id)
        return None if place is None else self.numbers(place)

    def add(self, id: str, *numbers: Any) -> None:
        """Remember an id as the newest one."""
        hashed = _hashed(id)
        place = bisect_right(self._hashes, hashed)
        self._hashes.insert(place, hashed)
        self._ages.append(hashed)
        for column, number in zip(self._columns, numbers, strict=True):
            column.insert(place, number)

    def forget_oldest(self) -> None:
        """Forget the id that was added first."""
        self._forget(bisect_left(self._hashes, self._ages.pop(0)))

    def remove(self, place: int) -> None:
        """Forget what stands there."""
        self._ages.remove(self._hashes[place])
        self._forget(place)

    def _forget(self, place: int) -> None:
        del self._hashes[place]
        for column in self._columns:
            del column[place]

    def clear(self) -> None:
        """Forget all."""
        for each in (self._hashes, *self._columns, self._ages):
            del each[:]

    def to_snapshot(self) -> list[bytes]:
        """All of it, for a machine of the same order of bytes."""
        return [each.tobytes() for each in (self._hashes, *self._columns, self._ages)]

    def from_snapshot(self, stored: list[bytes]) -> None:
        """Take over what `to_snapshot` gave."""
        self.clear()
        for each, one in zip((self._hashes, *self._columns, self._ages), stored, strict=True):
            each.frombytes(one)


def _hashed(id: str) -> int:
    return int.from_bytes(blake2b(id.encode(), digest_size=HASH).digest(), "little")
