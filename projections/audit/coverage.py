"""Which positions of a server's log the history has told. Rule: one set for each life of a log; a repeat is what the set holds already.

Publications come in the order of the log, except when an era is filled again: then old events come behind newer ones. So a set is a few
ranges, and mostly one.
"""

import sqlite3
from bisect import bisect_left, bisect_right

MOST_RANGES = 1_000  # of one life: whoever leaves more gaps is not believed that there were events in the first of them
MOST_LIVES = 100  # of one server's log

LogLife = tuple[int, int, int]  # the life, the one before it, and the position up to which both say the same


class Ranges:
    """Positions as ranges (after, last], in order, which never touch."""

    def __init__(self, ranges: list[tuple[int, int]] | None = None) -> None:
        self.ranges = ranges or []

    @property
    def last(self) -> int:
        """The highest position; -1 without any, because a foreign server may count from 0."""
        return self.ranges[-1][1] if self.ranges else -1

    def holds(self, position: int) -> bool:
        """Whether the position was told."""
        index = bisect_left(self.ranges, (position,)) - 1
        return index >= 0 and position <= self.ranges[index][1]

    def add(self, after: int, last: int) -> None:
        """Everything in (after, last] was told."""
        if after >= last:
            return
        first = bisect_left(self.ranges, after, key=lambda known: known[1])
        end = bisect_right(self.ranges, last, key=lambda known: known[0])
        merged = self.ranges[first:end]
        if merged:
            after, last = min(after, merged[0][0]), max(last, merged[-1][1])
        self.ranges[first:end] = [(after, last)]
        if len(self.ranges) > MOST_RANGES:
            self.ranges[:2] = [(self.ranges[0][0], self.ranges[1][1])]

    def up_to(self, agreed: int) -> "Ranges":
        """The part that another life agrees with."""
        return Ranges([(after, min(last, agreed)) for after, last in self.ranges if after < agreed])


class Coverage:
    """The sets of one store."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._known: dict[tuple[int, int], Ranges] = {}
        self._changed: set[tuple[int, int]] = set()

    def load(self) -> None:
        """Read what is stored."""
        self._known, self._changed = {}, set()
        for source, life, after, last in self._database.execute(
            "SELECT source, life, after, last FROM covered ORDER BY source, life, after"
        ):
            self._known.setdefault((source, life), Ranges()).ranges.append((after, last))

    def of(self, source: int, life: LogLife) -> Ranges:
        """What was told of a life of a server's log."""
        own, former, agreed = life
        if (source, own) not in self._known:
            before = self._known.get((source, former)) if own else None
            lives = [key for key in self._known if key[0] == source]
            if len(lives) >= MOST_LIVES:
                oldest = next(key for key in lives if key != (source, former))
                self._database.execute("DELETE FROM covered WHERE source = ? AND life = ?", oldest)
                del self._known[oldest]
                self._changed.discard(oldest)
            self._known[source, own] = Ranges() if before is None else before.up_to(agreed)
        self._changed.add((source, own))
        return self._known[source, own]

    def save(self) -> None:
        """Store what changed, in the transaction of the caller."""
        for source, life in self._changed:
            self._database.execute("DELETE FROM covered WHERE source = ? AND life = ?", (source, life))
            rows = [(source, life, after, last) for after, last in self._known[source, life].ranges]
            self._database.executemany("INSERT INTO covered VALUES (?, ?, ?, ?)", rows)
        self._changed.clear()
