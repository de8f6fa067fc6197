"""The X25519 keys of a server's boxes. Rule: a new key each week; the one before it still opens what was closed for it.

Each public key is a statement that the server itself signs, so no other server is needed to change it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from msgspec import MsgspecError, Struct, msgpack

from domain.errors import Unavailable
from servers.trust.records import BOX_KEYS, Records
from servers.trust.server_identity import NotBelieved, ServerIdentity, read_signed

PURPOSE = "box key"
ROTATED_AFTER_S = 7 * 86_400.0
KEPT = 2  # with the newest one: a box is opened for a week at least after the key for it was replaced
SET_BACK_AFTER_S = 3_600.0  # a server that was set back needs a new key at once; who only says so must not make us change ours all the time


class BoxKey(Struct, frozen=True, array_like=True):
    """The public key with which boxes for `name` are closed. Numbers rise."""

    name: str
    number: int
    public: bytes
    made_at: float


class _Private(Struct, frozen=True, array_like=True):
    number: int
    private: bytes
    made_at: float


@dataclass(frozen=True, slots=True)
class OwnBoxKey:
    """One of our keys. `statement`: the signed public part, as it travels."""

    number: int
    private: X25519PrivateKey
    public: bytes
    made_at: float
    statement: bytes


def read_box_key(raw: bytes, name: str, key: bytes) -> BoxKey:
    """The public box key that the server `name`, whose Ed25519 key is `key`, states. Raises `NotBelieved`."""
    stated = read_signed(key, PURPOSE, raw, BoxKey)
    if stated.name != name:
        raise NotBelieved(f"a box key of {stated.name} was shown as one of {name}")
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(stated.public))
    except ValueError:  # no key at all, or one with which everybody would share the same secret
        raise NotBelieved(f"a box key of {name} is no key") from None
    return stated


class BoxKeys:
    """One server's box keys. `load` and `rotate` block and may raise `Unavailable`; `on_changed` is called when the keys are others."""

    def __init__(self, identity: ServerIdentity, records: Records, clock: Callable[[], float] = time.time) -> None:
        self._identity = identity
        self._records = records
        self._clock = clock
        self._stored: bytes | None = None
        self._keys: tuple[OwnBoxKey, ...] = ()  # the newest first
        self._set_back = False  # somebody uses a newer key of ours than we have
        self.on_changed: list[Callable[[], None]] = []
        self.load()

    @property
    def newest(self) -> OwnBoxKey:
        """The key for which others close boxes from now on."""
        return self._keys[0]

    @property
    def statements(self) -> tuple[bytes, ...]:
        """What is shown to others."""
        return tuple(key.statement for key in self._keys)

    def key(self, number: int) -> OwnBoxKey | None:
        """The key of this number, if we still have it. A newer one than the newest says that our records are an older copy."""
        found = next((key for key in self._keys if key.number == number), None)
        if found is None and self.newest.number < number <= self._clock() + ROTATED_AFTER_S:
            self._set_back = True
        return found

    @property
    def due(self) -> bool:
        """Whether the newest key is a week old, or was followed by one that we no longer have."""
        after_s = SET_BACK_AFTER_S if self._set_back else ROTATED_AFTER_S
        return self._clock() >= self._keys[0].made_at + after_s

    def load(self) -> None:
        """Read what is stored, because another process of this server may have changed it. The first keys are made."""
        stored = self._records.first(BOX_KEYS, lambda: msgpack.encode([self._fresh(0)]))
        if stored != self._stored:
            self._take(stored)

    def rotate(self) -> None:
        """Have a new key; keep the last one. Another process may be first; then its key is ours."""
        keys = [_Private(key.number, key.private.private_bytes_raw(), key.made_at) for key in self._keys]
        stored = msgpack.encode([self._fresh(self.newest.number), *keys][:KEPT])
        if self._records.change(BOX_KEYS, self._stored, stored):
            self._take(stored)
        else:
            self.load()

    def _fresh(self, after: int) -> _Private:
        """A new key. Numbers follow the time, so that a server that was set back gives none out twice."""
        now = self._clock()
        return _Private(max(after + 1, int(now)), X25519PrivateKey.generate().private_bytes_raw(), now)

    def _take(self, stored: bytes) -> None:
        try:
            found = msgpack.decode(stored, type=list[_Private])
        except MsgspecError:
            raise Unavailable("The box keys of this server are unreadable.") from None
        self._stored, self._keys, self._set_back = stored, tuple(self._own(key) for key in found), False
        for changed in self.on_changed:
            changed()

    def _own(self, key: _Private) -> OwnBoxKey:
        private = X25519PrivateKey.from_private_bytes(key.private)
        public = private.public_key().public_bytes_raw()
        statement = self._identity.signed(PURPOSE, BoxKey(self._identity.name, key.number, public, key.made_at))
        return OwnBoxKey(key.number, private, public, key.made_at, statement)
