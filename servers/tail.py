"""The newest commits of a log, in memory, for who follows it. Rule: without a gap up to the last; the store has what is older."""

from collections import deque
from collections.abc import Sequence

from servers.store import Committed

MAX_EVENTS = 10_000  # what a busy home commits in a second or two; past that the oldest are read from the store
MAX_BYTES = 10_000_000  # …and this many bytes


class Tail:
    """`commits`: what the follower has not had yet, commit by commit. `last`: the newest position that is known to be committed."""

    __slots__ = ("_bytes", "_events", "commits", "last")

    def __init__(self) -> None:
        self.commits: deque[Sequence[Committed]] = deque()
        self.last = 0
        self._events = 0
        self._bytes = 0

    def offer(self, committed: Sequence[Committed]) -> None:
        """Take over a fresh commit."""
        if committed[0].position != self.last + 1:  # another process was first, or the database left numbers out
            self.commits.clear()
            self._events = self._bytes = 0
        self.last = max(self.last, committed[-1].position)
        self.commits.append(committed)
        self._count(committed, 1)
        while self._events > MAX_EVENTS or self._bytes > MAX_BYTES:
            self._count(self.commits.popleft(), -1)

    def passed(self, position: int) -> None:
        """The follower has everything up to `position`."""
        commits = self.commits
        while commits and commits[0][0].position <= position:
            committed = commits.popleft()
            self._count(committed, -1)
            if committed[-1].position > position:
                rest = [c for c in committed if c.position > position]
                commits.appendleft(rest)
                self._count(rest, 1)
        self.last = max(self.last, position)

    def follows(self, position: int) -> bool:
        """Whether what comes right after `position` is here."""
        return bool(self.commits) and self.commits[0][0].position == position + 1

    def _count(self, committed: Sequence[Committed], sign: int) -> None:
        self._events += sign * len(committed)
        self._bytes += sign * sum([len(c.data) for c in committed])
