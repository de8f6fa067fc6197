"""The keys under which a server stores personal data, one per user. Rule: a key is on disk before anything is sealed with it, and is
kept apart from the events: who has the events alone can read no text and no name.

A destroyed key leaves a tombstone: no new one is ever made for that user. Keys with numbers below zero are those of the mail between
servers, which have no keys of users in common.
"""

import secrets
import threading
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Protocol

import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Unavailable

KEY_BYTES = 32  # AES-256
KEYS_IN_MEMORY = 5_000  # about 1 MB: more than there are states in memory; others are read from the table, a batch at a time
CIPHERS_IN_MEMORY = 512  # those who write just now; a ready cipher takes 2.5 KB, and making one anew 2 µs

log = structlog.get_logger()


class Ciphers(Protocol):
    """Whoever can open what is sealed."""

    def cipher(self, owner: int) -> AESGCM | None:
        """The cipher of a user's key, or None when it is destroyed or not ours to have."""


class NoKeys:
    """Opens nothing: for readers without the right to see personal data."""

    def cipher(self, owner: int) -> AESGCM | None:
        """None."""
        return None


NO_KEYS = NoKeys()


class KeyTable(Protocol):
    """Where keys lie. A key is 32 bytes; None stands for a destroyed one. Every call may raise `Unavailable`."""

    def read(self, owners: Iterable[int]) -> dict[int, bytes | None]:
        """Those that are there."""

    def everything(self) -> dict[int, bytes | None]:
        """All there are, for a move to another place."""

    def lowest(self) -> int:
        """The lowest number there is; 0 without any."""

    def add(self, keys: Mapping[int, bytes | None]) -> None:
        """Store keys (None: destroyed ones) durably, but none for an owner who has one or has had one."""

    def destroy(self, owner: int) -> None:
        """Put a tombstone in the place of the key, so that its bytes are nowhere any more."""

    def close(self) -> None:
        """Let go of the connection."""


def cipher_of(key: bytes | None) -> AESGCM | None:
    """The cipher of a key; None when it is destroyed."""
    return None if key is None else AESGCM(key)


class KeyStore:
    """One server's keys. Usable from any thread; `cipher` reads memory, or else asks the table, which blocks."""

    def __init__(self, table: KeyTable) -> None:
        self._table = table
        self._lock = threading.Lock()  # whoever changes what is in memory; looking there needs none
        self._keys: dict[int, bytes | None] = {}  # those that were asked for longest ago come first
        self._ciphers: dict[int, AESGCM] = {}

    def at_hand(self, owner: int) -> AESGCM | None:
        """The cipher of a key in memory; None when it was destroyed. Raises `KeyError` when only the table knows."""
        cipher = self._ciphers.get(owner)
        if cipher is not None:
            return cipher
        key = self._keys[owner]
        if key is None:
            return None
        if len(self._ciphers) >= CIPHERS_IN_MEMORY:
            self._ciphers.clear()
        cipher = self._ciphers[owner] = AESGCM(key)
        return cipher

    def cipher(self, owner: int) -> AESGCM | None:
        """The cipher of a key; None when it was destroyed, or never made. Raises `Unavailable`."""
        try:
            return self.at_hand(owner)
        except KeyError:
            found = self._table.read((owner,))
            self._remember(found, found.keys())
            return cipher_of(found.get(owner))

    def make(self, owners: Iterable[int]) -> None:
        """Have the keys of `owners` at hand, all at once, however many they are. As `have` otherwise."""
        wanted = set(owners)
        self._remember(self.have([owner for owner in wanted if owner not in self._keys]), wanted)

    def have(self, owners: Collection[int]) -> dict[int, bytes | None]:
        """The keys of `owners`, None for a destroyed one: durably stored first where there are none, but not for those whose key was
        destroyed. Memory keeps what it has. Raises `Unavailable`."""
        found = self._table.read(owners)
        missing = [owner for owner in owners if owner not in found]
        if missing:
            self._table.add({owner: secrets.token_bytes(KEY_BYTES) for owner in missing})
            found |= self._table.read(missing)  # another process on the same table may have been first
        return found

    def destroy(self, owner: int) -> None:
        """Destroy a user's key, once and for all; a second time changes nothing. Raises `Unavailable`."""
        self._table.destroy(owner)
        self.forget(owner)
        log.info("keys.destroyed", uid=owner)

    def destroyed(self, owners: Iterable[int]) -> set[int]:
        """Those of `owners` whose keys are destroyed. Raises `Unavailable`."""
        return {owner for owner, key in self._table.read(list(owners)).items() if key is None}

    def forget(self, owner: int) -> None:
        """Keep nothing of a key in memory: it was destroyed, here or by another process."""
        with self._lock:
            self._keys.pop(owner, None)
            self._ciphers.pop(owner, None)

    def mail_key(self) -> int:
        """The number (below zero) of the newest key of the mail between servers; 0 before one has arrived. Raises `Unavailable`."""
        number = self._table.lowest()
        if number < 0:
            self.make((number,))
        return min(number, 0)

    def make_mail_key(self) -> tuple[int, bytes]:
        """The newest key of the mail and its number; the first one is made. For the Global Server. Raises `Unavailable`."""
        number = self.mail_key() or -1
        self.make((number,))
        key = self._keys[number]
        if key is None:
            raise Unavailable("The key of the mail between servers was destroyed.")
        return number, key

    def learn_mail_key(self, number: int, key: bytes) -> None:
        """Keep a key of the mail between servers that the Global Server told; not another one under a number that has one, for what
        waits may be sealed with that. Raises `Unavailable`."""
        if number >= 0 or len(key) != KEY_BYTES:
            raise ValueError("not a key of the mail between servers")
        self._table.add({number: key})
        kept = self._table.read((number,))
        if kept.get(number) != key:
            log.error("keys.mail_key_differs", number=number)
        self._remember(kept, kept.keys())

    def close(self) -> None:
        """Let go of the table."""
        self._table.close()

    def _remember(self, keys: Mapping[int, bytes | None], wanted: Collection[int]) -> None:
        """Add `keys`, and let go of others where there are too many, but of none that are `wanted`: a batch is sealed with all its own."""
        with self._lock:
            for owner in wanted:
                if owner in self._keys:
                    self._keys[owner] = self._keys.pop(owner)
            self._keys.update(keys)
            for owner in list(islice(self._keys, max(len(self._keys) - KEYS_IN_MEMORY, 0))):
                if owner not in wanted:
                    del self._keys[owner]
