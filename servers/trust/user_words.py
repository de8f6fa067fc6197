"""The Global Server's word of a user: who they are and where they live, for ever. Rule: a home speaks for a user only where this word
says so, whoever brings it; what was proven once is kept.

A word is signed once and never changes: neither a handle nor a home does. It proves itself, so it travels with the first mail about a user,
and the Global Server may be away.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from domain.rules.sources import Resident
from servers.trust.server_identity import NotBelieved, ServerIdentity, read_signed, read_unproven

PURPOSE = "user"
WORD_BYTES = 256  # 110 in most cases; a longer one is not worth a check of its signature
WORDS_IN_MEMORY = 20_000  # about 7 MB; those that were learned longest ago are read from the table again


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
    both block and may raise `Unavailable`. `global_key`: the pinned key of the Global Server."""

    def __init__(self, table: WordTable, global_key: Callable[[], bytes], most: int = WORDS_IN_MEMORY) -> None:
        self._table = table
        self._global_key = global_key
        self._most = most
        self.known: dict[int, Resident] = {}
        self.unsaved: dict[int, bytes] = {}

    def learn(self, raw: bytes) -> int:
        """Believe a word that proves itself; whose it is. About 100 µs for a new one, 1 µs for a known one. Raises `NotBelieved`."""
        if len(raw) > WORD_BYTES:
            raise NotBelieved("a user's word is shorter")
        word = read_unproven(raw, _Word)
        known = self.known.get(word.uid)
        if known is not None and known.word == raw:
            return word.uid
        read_signed(self._global_key(), PURPOSE, raw, _Word)
        if known is not None and (known.handle, known.home) != (word.handle, word.home):
            raise NotBelieved(f"the Global Server has given the number {word.uid} to two users")
        self._keep(word, raw)
        self.unsaved[word.uid] = raw
        return word.uid

    def load(self, uids: Iterable[int]) -> None:
        """Have the words of these users in memory, if the table has them."""
        wanted = [uid for uid in uids if uid not in self.known]
        for raw in self._table.words(wanted).values() if wanted else ():
            self._keep(read_unproven(raw, _Word), raw)

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

    def _keep(self, word: _Word, raw: bytes) -> None:
        while len(self.known) >= self._most:
            del self.known[next(iter(self.known))]
        self.known[word.uid] = Resident(word.handle, word.home, raw)
