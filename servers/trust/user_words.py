"""The Global Server's word of a user: who they are and where they live, for ever. Rule: a home speaks for a user only where this word
says so, whoever brings it; what was proven once is kept, and a later word that gives the number or the handle to somebody else is refused.

A word is signed once and never changes: neither a handle nor a home does. It proves itself, so it travels with the first mail about a user,
and the Global Server may be away.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from msgspec import Struct

from domain.rules.sources import Resident
from runtime.bounds import Bound, Holding
from servers.trust.server_identity import NotBelieved, ServerIdentity, read_signed, read_unproven

PURPOSE = "user"
WORD_BYTES = 256  # 110 in most cases; a longer one is not worth a check of its signature
WORDS_IN_MEMORY = 20_000  # about 7 MB; those that were learned longest ago are read from the table again
WORDS = Bound(
    name="user_words",
    holds="words of users, those that are not stored yet, and users without one",
    filled_by="servers that send mail about users",
    past="the word that was learned longest ago is read from the table again",
    within=("UserWords.known", "UserWords._uids", "UserWords._without", "UserWords.unsaved"),
    entries=3 * WORDS_IN_MEMORY,
    each=560,
    cache=True,
)


class _Word(Struct, frozen=True, array_like=True):
    uid: int
    handle: str
    home: str


class WordTable(Protocol):
    """Where words lie. Every call blocks and may raise `Unavailable`."""

    def words(self, uids: Collection[int]) -> dict[int, bytes]:
        """The words of these users that are there."""

    def add_words(self, words: Mapping[int, bytes]) -> None:
        """Store words durably, but none for a user who has one."""


def user_word(by: ServerIdentity, uid: int, handle: str, home: str) -> bytes:
    """What the Global Server says of a user, as it travels. About 40 µs."""
    return by.signed(PURPOSE, _Word(uid, handle, home))


class UserWords:
    """The words that one server knows. `known` has those in memory; `load` reads those of the table, and `save` stores what was learned:
    both block and may raise `Unavailable`. `global_key`: the pinned key of the Global Server; `taken`: whether this server's own log knows
    the uid under another handle, or the handle under another uid."""

    def __init__(
        self,
        table: WordTable,
        global_key: Callable[[], bytes],
        most: int = WORDS_IN_MEMORY,
        taken: Callable[[int, str], bool] = lambda uid, handle: False,
    ) -> None:
        self._table = table
        self._global_key = global_key
        self._most = most
        self._taken = taken
        self.known: dict[int, Resident] = {}
        self.unsaved: dict[int, bytes] = {}
        self.twice = 0  # words that gave the number or the handle of one user to another one
        self.forgotten = 0  # words that made room for others
        self._uids: dict[str, int] = {}  # of the users in `known`, by handle in small letters
        self._without: dict[int, None] = {}  # users of whom the table has no word

    def learn(self, raw: bytes) -> int:
        """Believe a word that proves itself; whose it is. About 100 µs for a new one, 1 µs for a known one. Raises `NotBelieved`."""
        if len(raw) > WORD_BYTES:
            raise NotBelieved("a user's word is shorter")
        word = read_unproven(raw, _Word)
        known = self.known.get(word.uid)
        if known is not None and known.word == raw:
            return word.uid
        read_signed(self._global_key(), PURPOSE, raw, _Word)
        if (known is not None and (known.handle, known.home) != (word.handle, word.home)) or self.another(word.uid, word.handle):
            self.twice += 1
            raise NotBelieved(f"the Global Server has given the number {word.uid}, or the handle of this user, to two users")
        self._keep(word, raw)
        self.unsaved[word.uid] = raw
        return word.uid

    def another(self, uid: int, handle: str) -> bool:
        """Whether the uid is known under another handle, or the handle under another uid: to the log, or by a word in memory."""
        known = self.known.get(uid)
        differs = known is not None and known.handle.lower() != handle.lower()
        return differs or self._uids.get(handle.lower(), uid) != uid or self._taken(uid, handle)

    def unread(self, words: Iterable[bytes]) -> list[int]:
        """The users of these words whose own words, if there are any, still lie in the table: `load` them before you learn others."""
        uids = (read_unproven(raw, _Word).uid for raw in words if len(raw) <= WORD_BYTES)
        return [uid for uid in uids if uid not in self.known and uid not in self._without]

    def load(self, uids: Iterable[int]) -> None:
        """Have the words of these users in memory, if the table has them."""
        wanted = [uid for uid in uids if uid not in self.known]
        for raw in self._table.words(wanted).values() if wanted else ():
            self._keep(read_unproven(raw, _Word), raw)
        for uid in wanted:
            if uid not in self.known:
                self._without[uid] = None
        while len(self._without) > self._most:
            del self._without[next(iter(self._without))]

    def absent(self, uids: Collection[int]) -> set[int]:
        """Those of these users whose words are not stored."""
        return set(uids) - self._table.words(uids).keys()

    def save(self) -> None:
        """Store what was learned."""
        if self.unsaved:
            fresh = dict(self.unsaved)
            self._table.add_words(fresh)
            for uid in fresh:
                self.unsaved.pop(uid, None)

    def holdings(self) -> Iterator[Holding]:
        """The words in memory."""
        yield replace(WORDS, entries=3 * self._most).holding(
            len(self.known) + len(self.unsaved) + len(self._without), refused=self.forgotten
        )

    def _keep(self, word: _Word, raw: bytes) -> None:
        while len(self.known) >= self._most:
            gone = self.known.pop(next(iter(self.known)))
            self.forgotten += 1
            self._uids.pop(gone.handle.lower(), None)
        self.known[word.uid] = Resident(word.handle, word.home, raw)
        self._uids.setdefault(word.handle.lower(), word.uid)
        self._without.pop(word.uid, None)
