"""The keys with which a server encrypts personal data, one per user. Rule: a key is on disk before anything is encrypted with it, and is
kept apart from the events: a reader of the events alone can read no text and no name.

A destroyed key leaves a tombstone: no new key is ever made for that user. Number 0 is the server's own key (`mac.py`). Numbers below zero
are transit keys: personal fields in mail of version 1 are encrypted with them. They are destroyed when such mail can come no more.
"""

import secrets
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol

import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Unavailable
from runtime.bounds import Bound, Holding
from servers.encryption.mac import OWN

KEY_BYTES = 32  # AES-256
KEYS_IN_MEMORY = 5_000  # about 1 MB: more than there are states in memory; others are read from the table, a batch at a time
CIPHERS_IN_MEMORY = 512  # of the users who are active now; a ready cipher takes 2.5 KB, and making one anew 1 µs
KEYS = Bound(
    name="keys",
    holds="keys of users, and those of the present batch besides",
    filled_by="users",
    past="the key that was asked for longest ago is read again",
    within=("KeyStore._keys",),
    entries=KEYS_IN_MEMORY,
    each=130,
    cache=True,
)
CIPHERS = Bound(
    name="ciphers",
    holds="ciphers of users' keys",
    filled_by="users",
    past="all are made anew",
    within=("KeyStore.ready",),
    entries=CIPHERS_IN_MEMORY,
    each=2_500,
    cache=True,
)

log = structlog.get_logger()


class KeysNeeded(Exception):
    """No error: keys must be read or made before something can be encrypted with them."""

    def __init__(self, owners: set[int]) -> None:
        super().__init__(f"{len(owners)} keys")
        self.owners = owners


class Ciphers(Protocol):
    """Decrypts personal data. `ready`: the ciphers of users who are active now; `cipher` has those of the others as well."""

    @property
    def ready(self) -> Mapping[int, AESGCM]: ...

    def cipher(self, owner: int) -> AESGCM | None:
        """The cipher of a user's key; None when the key is destroyed or not ours to have. May raise `Unavailable`."""


class NoKeys:
    """Decrypts nothing: for readers without the right to see personal data."""

    ready: Mapping[int, AESGCM] = {}

    def cipher(self, owner: int) -> AESGCM | None:
        return None


NO_KEYS = NoKeys()


class KeyTable(Protocol):
    """Where keys lie. A key is 32 bytes; None stands for a destroyed one. Every call may raise `Unavailable`."""

    def read(self, owners: Iterable[int]) -> dict[int, bytes | None]:
        """The keys of these owners that are there."""

    def everything(self) -> dict[int, bytes | None]:
        """All keys, for a move to another place."""

    def lowest(self) -> int:
        """The lowest number that has a key; 0 without any."""

    def add(self, keys: Mapping[int, bytes | None]) -> None:
        """Store keys (None: destroyed ones) durably, but none for an owner who has one or has had one."""

    def destroy(self, owner: int) -> None:
        """Put a tombstone in the place of the key, so that its bytes are nowhere any more."""

    def records(self, prefix: str = "") -> dict[str, bytes]:
        """What the server keeps beside the keys to know itself and others by, where the name begins with `prefix`: see
        `servers/trust/records.py`."""

    def change_record(self, name: str, old: bytes | None, new: bytes | None) -> bool:
        """Durably put `new` in the place of `old`, where None stands for no record. False when the record is not `old`: nothing changed."""

    def words(self, uids: Collection[int]) -> dict[int, bytes]:
        """What the Global Server has signed about these users: see `servers/trust/user_words.py`."""

    def every_word(self) -> dict[int, bytes]:
        """All of them, for a move to another place."""

    def add_words(self, words: Mapping[int, bytes]) -> None:
        """Store words durably, but none for a user who has one."""

    def close(self) -> None:
        """Close the connection."""


def cipher_of(key: bytes | None) -> AESGCM | None:
    """The cipher of a key; None when it is destroyed."""
    return None if key is None else AESGCM(key)


class KeyStore:
    """One server's keys. Usable from any thread; `cipher` reads memory, or else asks the table, which blocks. `keys_in_memory` and
    `ciphers_in_memory` bound what is kept."""

    def __init__(self, table: KeyTable, keys_in_memory: int = KEYS_IN_MEMORY, ciphers_in_memory: int = CIPHERS_IN_MEMORY) -> None:
        self.table = table
        self._keys_in_memory = keys_in_memory
        self._ciphers_in_memory = ciphers_in_memory
        self._lock = threading.Lock()  # held while the keys in memory are changed; to read them needs no lock
        self._keys: dict[int, bytes | None] = {}  # those that were asked for longest ago come first
        self._own: bytes | None = None  # the server's own key, once it was asked for
        self.ready: dict[int, AESGCM] = {}  # ciphers; any thread may look here, and ask the store for those that are not here

    def at_hand(self, owners: Collection[int]) -> dict[int, AESGCM | None]:
        """The ciphers of keys in memory, None for a destroyed key. Raises `KeysNeeded` when only the table knows one of them."""
        found: dict[int, AESGCM | None] = {}
        for owner in owners:
            cipher = self.ready.get(owner)
            if cipher is None:
                try:
                    key = self._keys[owner]
                except KeyError:
                    raise KeysNeeded(set(owners)) from None
                if key is not None:
                    if len(self.ready) >= self._ciphers_in_memory:
                        self.ready.clear()
                    cipher = self.ready[owner] = AESGCM(key)
            found[owner] = cipher
        return found

    def cipher(self, owner: int) -> AESGCM | None:
        """The cipher of a key; None when it was destroyed, or never made. Raises `Unavailable`."""
        try:
            return self.at_hand((owner,))[owner]
        except KeysNeeded:
            found = self.table.read((owner,))
            self._remember(found, found.keys())
            return cipher_of(found.get(owner))

    def fetch(self, owners: Collection[int]) -> None:
        """Read those keys of `owners` that are not in memory, in one visit to the table, so that `cipher` has them at hand. Raises
        `Unavailable`."""
        missing = [owner for owner in owners if owner not in self._keys]
        if missing:
            self._remember(self.table.read(missing), owners)

    def make(self, owners: Iterable[int]) -> None:
        """Have the keys of `owners` in memory, all at once, however many they are. As `have` otherwise."""
        wanted = set(owners)
        self._remember(self.have([owner for owner in wanted if owner not in self._keys]), wanted)

    def have(self, owners: Collection[int]) -> dict[int, bytes | None]:
        """The keys of `owners`, None for a destroyed one. Keys that are missing are made and stored first, but none for an owner whose key
        was destroyed. Memory keeps what it has. Raises `Unavailable`."""
        found = self.table.read(owners)
        missing = [owner for owner in owners if owner not in found]
        if missing:
            self.table.add({owner: secrets.token_bytes(KEY_BYTES) for owner in missing})
            found |= self.table.read(missing)  # another process on the same table may have been first
        return found

    def destroy(self, owner: int) -> None:
        """Destroy a user's key, once and for all; a second time changes nothing. Raises `Unavailable`."""
        self.table.destroy(owner)
        self.forget(owner)
        log.info("keys.destroyed", uid=owner)

    def destroyed(self, owners: Iterable[int]) -> set[int]:
        """Those of `owners` whose keys are destroyed. Raises `Unavailable`."""
        return {owner for owner, key in self.table.read(list(owners)).items() if key is None}

    def forget(self, owner: int) -> None:
        """Keep nothing of a key in memory: it was destroyed, here or by another process."""
        with self._lock:
            self._keys.pop(owner, None)
            self.ready.pop(owner, None)

    def own(self) -> bytes:
        """The server's own key, with which it proves what it wrote; made at the first use. Blocks. Raises `Unavailable`."""
        if self._own is None:
            self._own = self.have((OWN,))[OWN]
            if self._own is None:
                raise Unavailable("The server's own key was destroyed.")
        return self._own

    def transit_key(self) -> int:
        """The number (below zero) of the key for mail of version 1; 0 without one, or once it is destroyed. Raises `Unavailable`."""
        number = min(self.table.lowest(), 0)
        return number if number and self.have((number,))[number] is not None else 0

    def destroy_transit_keys(self) -> None:
        """Read no mail of version 1 any more, for good. Raises `Unavailable`."""
        for number in range(self.table.lowest(), 0):
            self.destroy(number)

    def holdings(self) -> Iterator[Holding]:
        """The keys and ciphers in memory."""
        yield KEYS.holding(len(self._keys))
        yield CIPHERS.holding(len(self.ready))

    def close(self) -> None:
        """Close the table."""
        self.table.close()

    def _remember(self, keys: Mapping[int, bytes | None], wanted: Collection[int]) -> None:
        """Add `keys`, and drop others where there are too many, but none that is `wanted`: a batch is encrypted with all its own keys."""
        with self._lock:
            for owner in wanted:
                if owner in self._keys:
                    self._keys[owner] = self._keys.pop(owner)
            self._keys.update(keys)
            for owner in list(islice(self._keys, max(len(self._keys) - self._keys_in_memory, 0))):
                if owner not in wanted:
                    del self._keys[owner]
