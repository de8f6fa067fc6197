"""What servers say to each other, so that the addressee alone can read it and knows who said it. Rule: a box names its two ends, its
direction and its purpose in its key, and its head in its proof: one that was moved, turned round or altered does not open.

X25519 of both servers' box keys, HKDF-SHA256, AES-256-GCM. A box is `1`, the numbers of the sender's and of the receiver's key, a nonce,
and the ciphertext.
"""

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import msgpack

from domain.errors import Unavailable
from runtime.bounds import Bound, Holding
from servers.trust.box_keys import BoxKeys
from servers.trust.card import Peers
from servers.trust.server_identity import ServerIdentity

_PREFIX = struct.Struct(">BQQ")  # the form of the box, the number of the sender's key, the number of the receiver's key
FORM = 1
NONCE_BYTES = 12
BOX_BYTES = _PREFIX.size + NONCE_BYTES + 16  # by so much a box is longer than what it holds
MOST_CIPHERS = 4_096  # about 10 MB; a pair of servers needs a few
BOXES = Bound(
    name="box_ciphers",
    holds="ciphers for boxes of other servers",
    filled_by="servers whose cards are believed",
    past="all are made anew",
    within=("Boxes._opening", "Boxes._closing"),
    entries=MOST_CIPHERS,
    each=2_500,
    per="direction",
    cache=True,
)

UNREADABLE = "unreadable"  # this is no box
UNKNOWN_SENDER = "unknown sender"  # no card of the sender is known, or it was revoked or has expired
UNKNOWN_SENDERS_KEY = "unknown key of the sender"  # the sender's card has no such key: a newer card is needed, or the box is too old
NOT_OUR_KEY = "not our key"  # it was closed for a key that we no longer have, or never had
FORGED = "forged"  # the keys are known, and it does not open
ANOTHER_LIFE = "another life"  # the log of its sender is said to be in another life than its certificate names


class NoCard(Unavailable):
    """The addressee's card is not known here, so nothing can be said to it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The card of {name} is not known here, so nothing can be said to it.")
        self.name = name


class CannotOpen(ValueError):
    """A box that does not open. `reason` is one of the texts above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Ready(NamedTuple):
    """What one box needs of a card, made ready once for many. `until`: the end of the certificate; `life`: of the other server's log."""

    prefix: bytes
    cipher: AESGCM
    until: float
    life: int

    def close(self, head: bytes, body: bytes) -> bytes:
        """A box, which opens with the same `head` only."""
        nonce = os.urandom(NONCE_BYTES)
        return b"%b%b%b" % (self.prefix, nonce, self.cipher.encrypt(nonce, body, head))


class Boxes:
    """One server's way to speak to the others. A box costs some microseconds: the ciphers are kept."""

    def __init__(self, identity: ServerIdentity, box_keys: BoxKeys, peers: Peers) -> None:
        self._name = identity.name
        self._box_keys = box_keys
        self._peers = peers
        self._closing: dict[tuple[str, str], Ready] = {}  # by addressee and purpose
        self._opening: dict[tuple[str, str, bytes], Ready] = {}
        self._clock = peers.clock
        box_keys.on_changed.append(self._forget)
        peers.on_learned.append(lambda name: self._forget())

    def close(self, to: str, purpose: str, head: bytes, body: bytes) -> bytes:
        """A box for `to`, which opens with the same `purpose` and `head` only. Raises `NoCard`."""
        return self.ready(to, purpose).close(head, body)

    def ready(self, to: str, purpose: str) -> Ready:
        """What a box for `to` needs. Raises `NoCard`."""
        ready = self._closing.get((to, purpose))
        if ready is None or self._clock() >= ready.until:
            ready = self._for(to, purpose)
            if len(self._closing) >= MOST_CIPHERS:
                self._closing.clear()
            self._closing[to, purpose] = ready
        return ready

    def open(self, source: str, purpose: str, head: bytes, boxed: bytes, life: int | None = None) -> bytes:
        """What `source` closed in a box for us. `life`: in which it says that its log is. Raises `CannotOpen`."""
        prefix = boxed[: _PREFIX.size]
        ready = self._opening.get((source, purpose, prefix))
        if ready is None or self._clock() >= ready.until:
            ready = self._from(source, purpose, prefix)
            if len(self._opening) >= MOST_CIPHERS:
                self._opening.clear()
            self._opening[source, purpose, prefix] = ready
        try:
            opened = ready.cipher.decrypt(boxed[_PREFIX.size : _PREFIX.size + NONCE_BYTES], boxed[_PREFIX.size + NONCE_BYTES :], head)
        except (InvalidTag, ValueError):
            raise CannotOpen(FORGED) from None
        if life is not None and ready.life not in (0, life):
            raise CannotOpen(ANOTHER_LIFE)
        return opened

    def holdings(self) -> Iterator[Holding]:
        """The ciphers."""
        yield BOXES.holding(len(self._opening) + len(self._closing))

    def _for(self, to: str, purpose: str) -> Ready:
        card = self._peers.card(to)
        if card is None:
            raise NoCard(to)
        mine, theirs = self._box_keys.newest, card.box_keys[0]
        cipher = _cipher(mine.private, theirs.public, (purpose, self._name, to, mine.public, theirs.public))
        return Ready(_PREFIX.pack(FORM, mine.number, theirs.number), cipher, card.certificate.expires, card.certificate.life)

    def _from(self, source: str, purpose: str, prefix: bytes) -> Ready:
        if len(prefix) < _PREFIX.size or prefix[0] != FORM:
            raise CannotOpen(UNREADABLE)
        _, their_number, my_number = _PREFIX.unpack(prefix)
        card = self._peers.card(source)
        if card is None:
            raise CannotOpen(UNKNOWN_SENDER)
        theirs, mine = card.box_key(their_number), self._box_keys.key(my_number)
        if theirs is None:
            raise CannotOpen(UNKNOWN_SENDERS_KEY)
        if mine is None:
            raise CannotOpen(NOT_OUR_KEY)
        cipher = _cipher(mine.private, theirs.public, (purpose, source, self._name, theirs.public, mine.public))
        return Ready(prefix, cipher, card.certificate.expires, card.certificate.life)

    def _forget(self) -> None:
        self._closing.clear()
        self._opening.clear()


def _cipher(mine: X25519PrivateKey, theirs: bytes, context: tuple[str, str, str, bytes, bytes]) -> AESGCM:
    """`context`: the purpose, the names of sender and receiver, the public keys of sender and receiver."""
    shared = mine.exchange(X25519PublicKey.from_public_bytes(theirs))
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"flash box\0" + msgpack.encode(context)).derive(shared))
