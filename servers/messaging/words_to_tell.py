"""Which words of users go with which mail. Rule: a server that is told of a user for the first time is told the Global Server's word as
well, and mail that is sent again brings all words again.

What was told is remembered in memory only: after a restart a word, some 110 bytes, is told once more. Cost: about 1 µs for each event and
server.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from domain.errors import Unavailable
from domain.event import Event
from runtime.bounds import Bound, Holding

MOST_REMEMBERED = 100_000  # users told to servers: about 14 MB; then each is told once more
TOLD = Bound(
    name="words_told",
    holds="which users each server was told of",
    filled_by="users who write to others",
    past="all are forgotten, and each is told once more",
    within=("WordsToTell.known_to",),
    entries=MOST_REMEMBERED,
    each=140,
    cache=True,
)
NOBODY: frozenset[int] = frozenset()


class NoWord(Unavailable):
    """The word of one of our own users is not known here yet, so nobody would believe us."""


@dataclass(slots=True, eq=False)
class WordsToTell:
    """One server's. `concerned(event, server)`: the users of whom an event tells a server, and `tells_of` the same for the classes that
    name them in their fields; `find`: the words of users that can be had now; `needed`: whether mail is not believed without this user's
    word; `want`: learn words as soon as somebody can say them. `known_to`: the users of whom each server was told."""

    concerned: Callable[[Event, str], Sequence[int]]
    find: Callable[[Collection[int]], Awaitable[Mapping[int, bytes]]]
    needed: Callable[[int], bool] = lambda uid: False
    want: Callable[[Collection[int]], None] = lambda uids: None
    tells_of: Mapping[type, Callable[[Any], Collection[int]]] = field(default_factory=dict)
    known_to: dict[str, set[int]] = field(default_factory=dict, init=False)
    _remembered: int = field(default=0, init=False)

    def forget(self, server: str) -> None:
        """A server may have lost what it was told: it is told everything once more."""
        self._remembered -= len(self.known_to.pop(server, ()))

    async def of(self, server: str, uids: Iterable[int]) -> Sequence[bytes]:
        """The words that a server must be told with mail about these users. Raises `NoWord`, `Unavailable`."""
        known: Set[int] = self.known_to.get(server, NOBODY)
        fresh = {uid for uid in uids if uid not in known}
        if not fresh:
            return ()
        found = await self.find(fresh)
        missing = fresh - found.keys()
        if missing:
            self.want(missing)
            if any(self.needed(uid) for uid in missing):
                raise NoWord
        return list(found.values())

    def told(self, server: str, uids: Iterable[int]) -> None:
        """A server was told these words."""
        known = self.known_to.setdefault(server, set())
        before = len(known)
        known.update(uids)
        self._remembered += len(known) - before
        if self._remembered > MOST_REMEMBERED:
            self.known_to.clear()
            self._remembered = 0

    def holdings(self) -> Iterator[Holding]:
        """What was told."""
        yield TOLD.holding(self._remembered)
