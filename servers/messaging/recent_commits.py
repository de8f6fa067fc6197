"""The newest commits of a log, in memory, for who follows it. Rule: without a gap up to the last; the store has what is older."""

from collections import deque
from collections.abc import Iterator, Sequence

from servers.store.event_store import Committed

MAX_EVENTS = 10_000  # what a busy home commits in a second or two; past that the oldest are read from the store
MAX_BYTES = 10_000_000  # …and this many bytes


class RecentCommits:
    """What the follower has not had yet, commit by commit. `last`: the newest position that is known to be committed."""

    __slots__ = ("_bytes", "_commits", "_events", "last")

    def __init__(self) -> None:
        self._commits: deque[tuple[Sequence[Committed], int]] = deque()  # each with the bytes of its events
        self.last = 0
        self._events = 0
        self._bytes = 0

    def offer(self, committed: Sequence[Committed], size: int) -> None:
        """Take over a fresh commit. `size`: its `weight`."""
        if committed[0].position != self.last + 1:  # another process was first, or the database left numbers out
            self._commits.clear()
            self._events = self._bytes = 0
        self.last = max(self.last, committed[-1].position)
        self._commits.append(self._counted(committed, size))
        while self._events > MAX_EVENTS or self._bytes > MAX_BYTES:
            self._drop_first()

    def passed(self, position: int) -> None:
        """The follower has everything up to `position`."""
        commits = self._commits
        while commits and commits[0][0][0].position <= position:
            committed = self._drop_first()
            if committed[-1].position > position:
                rest = [c for c in committed if c.position > position]
                commits.appendleft(self._counted(rest, weight(rest)))
        self.last = max(self.last, position)

    def follows(self, position: int) -> bool:
        """Whether what comes right after `position` is here."""
        return bool(self._commits) and self._commits[0][0][0].position == position + 1

    def __iter__(self) -> Iterator[Sequence[Committed]]:
        """The commits that are here, oldest first."""
        return iter([committed for committed, _ in self._commits])

    def first(self, max_events: int, max_bytes: int) -> Sequence[Committed]:
        """What comes first, of one commit or several, as much as may be; at least one event. Something must be here."""
        taken: list[Committed] = []
        bytes_left = max_bytes
        for committed, size in self._commits:
            if len(taken) + len(committed) > max_events or size > bytes_left:
                return taken or portion(committed, max_events, max_bytes)
            taken += committed
            bytes_left -= size
        return taken

    def _counted(self, committed: Sequence[Committed], size: int) -> tuple[Sequence[Committed], int]:
        self._events += len(committed)
        self._bytes += size
        return committed, size

    def _drop_first(self) -> Sequence[Committed]:
        committed, size = self._commits.popleft()
        self._events -= len(committed)
        self._bytes -= size
        return committed


def weight(committed: Sequence[Committed]) -> int:
    """The bytes of these events."""
    return sum([len(record.data) for _, _, record in committed])


def portion(events: Sequence[Committed], max_events: int, max_bytes: int) -> Sequence[Committed]:
    """The first of the events, as many as may be; at least one."""
    size = 0
    for number, committed in enumerate(events[:max_events]):
        size += len(committed.record.data)
        if number and size > max_bytes:
            return events[:number]
    return events[:max_events]
