"""The newest commits of a log, in memory, for the followers of the log. Rule: without a gap up to the last; the store has older ones."""

import asyncio
import sys
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

from runtime.bounds import Bound, Holding
from servers.store.event_store import Committed

MAX_EVENTS = 10_000  # what a busy home commits in a second or two; past that the oldest are read from the store
MAX_BYTES = 10_000_000  # …and this many bytes
RECENT = Bound(
    name="recent_commits",
    holds="events that a follower of the log has not passed, in bytes as they are stored",
    filled_by="everybody who changes something",
    past="the oldest are read from the store",
    within=("RecentCommits._commits", "RecentCommits._firsts", "RecentCommits._sizes"),
    entries=MAX_EVENTS,
    bytes=MAX_BYTES,
    cache=True,
)


class Follower:
    """Reads a log in order. `position`: it has everything up to here; `given`: so far it was handed out. `arrived`: set when there is
    something new for it. `full`: set when it is `full_at` positions behind, or when a user was erased: then it passes without waiting."""

    __slots__ = ("arrived", "full", "full_at", "given", "kinds", "position", "recent")

    def __init__(self, recent: "RecentCommits", kinds: Collection[type] | None, full_at: int) -> None:
        self.recent = recent
        self.kinds = None if kinds is None else frozenset(kinds)
        self.full_at = full_at
        self.arrived = asyncio.Event()
        self.full = asyncio.Event()
        self.position = 0
        self.given = 0

    @property
    def lag(self) -> int:
        """How many positions are committed that it does not have."""
        return self.recent.last - self.position

    def next(self, max_events: int, max_bytes: int) -> list[Committed]:
        """The events that are handed out next, at least one; none when they are not in memory."""
        return self.recent.after(self.given, max_events, max_bytes)

    def passed(self, position: int) -> None:
        """It has everything up to `position`."""
        self.position = position
        self.given = max(self.given, position)
        self.recent.drop_passed()


class RecentCommits:
    """Holds a commit until every follower has it. `last`: the newest position that is known to be committed."""

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._commits: list[Sequence[Committed]] = []
        self._firsts: list[int] = []  # the first position of each commit
        self._sizes: list[int] = []  # the bytes of each commit
        self._followers: list[Follower] = []
        self.events = 0
        self.bytes = 0
        self.pushed_out = 0  # events that no longer fitted
        self.last = 0

    def follow(self, kinds: Collection[type] | None = None, full_at: int = sys.maxsize) -> Follower:
        """A new follower, at position 0. It is not woken for commits without an event of one of these classes: where it has all before
        such a commit, it passes it at once."""
        follower = Follower(self, kinds, full_at)
        self._followers.append(follower)
        return follower

    def offer(self, committed: Sequence[Committed]) -> None:
        """Take over a fresh commit."""
        first, last = committed[0].position, committed[-1].position
        size = 0
        kinds: set[type] = set()
        erasing = False
        for _, event, record in committed:
            size += len(record.data)
            erasing |= event.ERASES
            kinds.add(type(event))
        if first != self.last + 1:  # another process was first, or the database left numbers out
            self._drop(len(self._commits))
        self._commits.append(committed)
        self._firsts.append(first)
        self._sizes.append(size)
        self.events += len(committed)
        self.bytes += size
        self.last = max(self.last, last)
        while self.events > self._max_events or self.bytes > self._max_bytes:
            self.pushed_out += len(self._commits[0])
            self._drop(1)
        for follower in self._followers:
            if follower.kinds is not None and follower.given == first - 1 and follower.kinds.isdisjoint(kinds):
                if follower.position == follower.given:
                    follower.position = last
                follower.given = last
            else:
                follower.arrived.set()
                if erasing or self.last - follower.position >= follower.full_at:  # words of an erased user leave the memory at once
                    follower.full.set()

    def after(self, position: int, max_events: int, max_bytes: int) -> list[Committed]:
        """The events right after `position`, as many as may be; none when they are not here."""
        start = bisect_right(self._firsts, position + 1) - 1
        if start < 0:
            return []
        commits: Iterable[Sequence[Committed]] = islice(self._commits, start, None)
        if self._firsts[start] <= position:
            commits = chain(([c for c in self._commits[start] if c.position > position],), islice(self._commits, start + 1, None))
        return portion(chain.from_iterable(commits), max_events, max_bytes)

    def drop_passed(self) -> None:
        """Let go of the commits that every follower has."""
        passed = min([follower.position for follower in self._followers])
        count = 0
        while count < len(self._commits) and self._commits[count][-1].position <= passed:
            count += 1
        if count:
            self._drop(count)
        self.last = max(self.last, passed)

    def holdings(self) -> Iterator[Holding]:
        """The commits in memory."""
        yield replace(RECENT, entries=self._max_events, bytes=self._max_bytes).holding(self.events, self.bytes, refused=self.pushed_out)

    def _drop(self, count: int) -> None:
        self.events -= sum(map(len, self._commits[:count]))
        self.bytes -= sum(self._sizes[:count])
        del self._commits[:count], self._firsts[:count], self._sizes[:count]


def portion(events: Iterable[Committed], max_events: int, max_bytes: int) -> list[Committed]:
    """The first of the events, as many as may be, at least one if there are any."""
    taken: list[Committed] = []
    size = 0
    for committed in events:
        size += len(committed.record.data)
        if taken and (len(taken) >= max_events or size > max_bytes):
            break
        taken.append(committed)
    return taken
