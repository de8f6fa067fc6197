"""What servers show each other: a certificate, and box keys that the server signed. Rule: a card proves itself, whoever hands it on; an
older one never takes a newer one's place.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import structlog
from msgspec import MsgspecError, Struct, msgpack

from servers.trust import certificate
from servers.trust.box_keys import KEPT, BoxKey, read_box_key
from servers.trust.certificate import Certificate
from servers.trust.records import CARD, CERTIFICATE, GLOBAL_KEY, REVOKED, Records
from servers.trust.server_identity import NotBelieved, read_unproven

NOBODY = msgpack.encode({})

log = structlog.get_logger()


class _Shown(Struct, frozen=True, array_like=True):
    certificate: bytes
    statements: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """A card that was verified. `stated`: the certificate as the Global Server signed it; `box_keys`: the newest first; `statements`: the
    same as the server signed them; `raw`: as it travels."""

    raw: bytes
    certificate: Certificate
    stated: bytes
    box_keys: tuple[BoxKey, ...]
    statements: tuple[bytes, ...]

    def box_key(self, number: int) -> BoxKey | None:
        """The box key of this number, if the server still shows it."""
        return next((key for key in self.box_keys if key.number == number), None)


def card_bytes(certificate: bytes, statements: tuple[bytes, ...]) -> bytes:
    """A card as it travels."""
    return msgpack.encode(_Shown(certificate, statements))


def read_card(raw: bytes, global_key: bytes, now: float) -> Card:
    """The card in `raw`. Raises `NotBelieved`."""
    shown = _shown(raw)
    if not 0 < len(shown.statements) <= KEPT:
        raise NotBelieved(f"a card shows 1 to {KEPT} box keys")
    stated = certificate.read(shown.certificate, global_key, now)
    keys = sorted((read_box_key(one, stated.name, stated.key) for one in shown.statements), key=lambda key: -key.number)
    return Card(raw, stated, shown.certificate, tuple(keys), shown.statements)


def _shown(raw: bytes) -> _Shown:
    try:
        return msgpack.decode(raw, type=_Shown)
    except MsgspecError:
        raise NotBelieved("this is no card") from None


def _number(certificate: bytes) -> int:
    return read_unproven(certificate, Certificate).number if certificate else 0


def global_key_of(raw: bytes) -> bytes:
    """The key in the Global Server's card, whoever made that: for one that is checked in another way. Raises `NotBelieved`."""
    return read_unproven(_shown(raw).certificate, Certificate).key


class Peers:
    """The cards that this server knows, its own certificate, the pinned key of the Global Server and what it has revoked. What is learned
    is believed at once and stored by `save`, which blocks; a card that a crash forgot is shown again. All else is for the loop only."""

    def __init__(self, name: str, records: Records, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.clock = clock
        self._records = records
        self._cards: dict[str, Card] = {}
        self._revoked: dict[str, int] = {}
        self._unsaved: dict[str, bytes] = {}
        self.global_key = b""  # empty before enrolment
        self.certificate: bytes = b""  # our own; empty before enrolment
        self.on_learned: list[Callable[[str], None]] = []  # called with the name whose card came, changed or is believed no more
        self.take(records.everything())

    @property
    def known(self) -> Mapping[str, Card]:
        """The cards, by name; look with `card` for one that is to be believed now."""
        return MappingProxyType(self._cards)

    def take(self, records: Mapping[str, bytes]) -> None:
        """Believe what is stored, as far as it proves itself. It may be some moments old: what was learned since then stays."""
        stored = {**records, **self._unsaved}
        self.global_key = self.global_key or stored.get(GLOBAL_KEY, b"")
        self.certificate = max(self.certificate, stored.get(CERTIFICATE, b""), key=_number)
        for name, number in msgpack.decode(stored.get(REVOKED, NOBODY), type=dict[str, int]).items():
            self._revoked[name] = max(number, self._revoked.get(name, 0))
        for record, raw in stored.items():
            name = record.removeprefix(CARD)
            known = self._cards.get(name)
            if record.startswith(CARD) and self.global_key and (known is None or known.raw != raw):
                try:
                    self._take(raw)
                except NotBelieved as refusal:
                    log.warning("trust.card_forgotten", server=name, why=str(refusal))

    def pin(self, key: bytes) -> None:
        """Believe this key of the Global Server, for good. Blocks. Raises `NotBelieved` when another one is pinned, `Unavailable`."""
        if self._records.first(GLOBAL_KEY, lambda: key) != key:
            raise NotBelieved("the Global Server has another key than the one that this server knows")
        self.global_key = key

    def pin_anew(self, key: bytes) -> None:
        """Store another key of the Global Server, because the ops of this server say so: it lost its own. `forget_all` comes after it.
        Blocks. Raises `Unavailable`."""
        for record, value in self._records.everything().items():
            if record.startswith(CARD) or record == CERTIFICATE:
                self._records.change(record, value, None)
        self._records.put(GLOBAL_KEY, key)

    def forget_all(self, key: bytes) -> None:
        """Believe nothing any more that followed from the former key of the Global Server, and `key` from now on."""
        self._unsaved.clear()
        self.global_key, self.certificate = key, b""
        for name in list(self._cards):
            del self._cards[name]
            self._tell(name)
        log.warning("trust.pinned_anew", server=self.name)

    def hold(self, raw: bytes) -> Certificate:
        """Have `raw` as our own certificate, and show it from now on. Raises `NotBelieved`. `Trust.enrolled` says whether its key is
        ours."""
        held = certificate.read(raw, self.global_key, self.clock())
        if held.name != self.name:
            raise NotBelieved(f"a certificate of {held.name} was given to {self.name}")
        self.certificate = raw
        self._unsaved[CERTIFICATE] = raw
        return held

    @property
    def held(self) -> Certificate | None:
        """Our own certificate, expired or not; None before enrolment."""
        return read_unproven(self.certificate, Certificate) if self.certificate else None

    def learn(self, raw: bytes) -> bool:
        """Believe a card that proves itself. False when it is no newer than the known one. Raises `NotBelieved`."""
        card = self._take(raw)
        if card is not None:
            self._unsaved[CARD + card.certificate.name] = card.raw
        return card is not None

    def card(self, name: str) -> Card | None:
        """The card of a server; None when it is unknown, revoked, or its certificate has expired."""
        card = self._cards.get(name)
        return None if card is None or card.certificate.expired(self.clock()) else card

    def revoke(self, name: str, number: int) -> None:
        """Never believe a certificate of `name` up to `number` again: the Global Server says so."""
        if number <= self._revoked.get(name, 0):
            return
        self._revoked[name] = number
        self._unsaved[REVOKED] = msgpack.encode(self._revoked)
        card = self._cards.get(name)
        if card is not None and card.certificate.number <= number:
            del self._cards[name]
        log.warning("trust.revoked", server=name, number=number)
        self._tell(name)

    @property
    def all_revoked(self) -> dict[str, int]:
        """The highest revoked number of each name that has one."""
        return dict(self._revoked)

    def revoked(self, name: str) -> int:
        """The highest revoked number of this name; 0 without any."""
        return self._revoked.get(name, 0)

    def save(self) -> None:
        """Store what was learned. Blocks. Raises `Unavailable`; then the next call stores it."""
        for record, value in list(self._unsaved.items()):
            self._records.put(record, value)
            if self._unsaved.get(record) is value:
                del self._unsaved[record]

    def _take(self, raw: bytes) -> Card | None:
        if not self.global_key:
            raise NotBelieved("this server is not enrolled, so it can believe no card")
        card = self._best(read_card(raw, self.global_key, self.clock()))
        name, number = card.certificate.name, card.certificate.number
        if number <= self._revoked.get(name, 0):
            raise NotBelieved(f"the certificate of {name} was revoked")
        known = self._cards.get(name)
        if known is not None and card.raw == known.raw:
            return None
        self._cards[name] = card
        self._tell(name)
        return card

    def _best(self, card: Card) -> Card:
        """The newer certificate and the newer box keys of this card and the known one: a server that was set back shows an old certificate
        with a new box key, and whoever hands a card on may have an old one of both."""
        known = self._cards.get(card.certificate.name)
        if known is None:
            return card
        if known.certificate.key != card.certificate.key:
            return max(known, card, key=lambda each: each.certificate.number)
        stated = max(known, card, key=lambda each: each.certificate.number)
        boxes = max(known, card, key=lambda each: each.box_keys[0].number)
        raw = card_bytes(stated.stated, boxes.statements)
        return Card(raw, stated.certificate, stated.stated, boxes.box_keys, boxes.statements)

    def _tell(self, name: str) -> None:
        for learned in self.on_learned:
            learned(name)
