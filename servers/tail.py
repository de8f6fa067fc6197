"""The newest commits of a log, in memory, for who follows it. Rule: without a gap up to the last; the store has what is older."""

from collections import deque
from collections.abc import Sequence

from servers.store import Committed

MAX_COMMITS = 10_000  # what a busy home commits in a second or two; past that the oldest are read from the store
MAX_BYTES = 10_000_000  # …and this many bytes


class Tail:
    """`commits`: what the follower has not had yet. `last`: the newest position that is known to be committed."""

    __slots__ = ("_bytes", "commits", "last")

    def __init__(self) -> None:
        self.commits: deque[Committed] = deque()
        self.last = 0
        self._bytes = 0

    def offer(self, committed: Sequence[Committed]) -> None:
        """Take over a fresh commit."""
        if committed[0].position != self.last + 1:  # another process was first, or the database left numbers out
            self.commits.clear()
            self._bytes = 0
        self.last = max(self.last, committed[-1].position)
        self.commits.extend(committed)
        self._bytes += sum([len(c.data) for c in committed])
        while len(self.commits) > MAX_COMMITS or self._bytes > MAX_BYTES:
            self._bytes -= len(self.commits.popleft().data)

    def passed(self, position: int) -> None:
        """The follower has everything up to `position`."""
        commits = self.commits
        while commits and commits[0].position <= position:
            self._bytes -= len(commits.popleft().data)
        self.last = max(self.last, position)

    def follows(self, position: int) -> bool:
        """Whether what comes right after `position` is here."""
        return bool(self.commits) and self.commits[0].position == position + 1
