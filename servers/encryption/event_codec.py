"""Events as they are stored: msgpack maps of their fields, the personal ones encrypted with their owner's key. Rule: what is encrypted can
be decrypted only at the place where it was stored, and reads as erased when it cannot be decrypted.

The map of an event holds `"sealed": [[owner, nonce + AES-256-GCM of {field: value}], …]` in the place of its personal fields; fields that
are empty stay as they are. The ciphertext is bound to stream, version and topic. Maps without `sealed` are older and read as they stand.
About 4 µs to encrypt the fields of one owner, 3 µs to decrypt them.
"""

import os
from collections.abc import Sequence
from typing import Any, Protocol

import msgpack
import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eventsourcing.utils import resolve_topic
from msgspec.structs import asdict, replace

from broker.envelope import EventRecord
from domain.event import STREAM_AND_VERSION, Event, stream_uid
from domain.personal import OWN, by_rule, erased
from servers.encryption.key_store import Ciphers, KeyStore

ENCRYPTED = "sealed"  # the stored key under which the encrypted fields of an event lie
NONCE_BYTES = 12  # random: safe for four billion events of one user

_encode = msgspec.msgpack.Encoder().encode  # a third of the cost of `msgpack`, whose bounds only matter for what others wrote
log = structlog.get_logger()


class NotDecryptable(ValueError):
    """Encrypted bytes were changed, moved elsewhere, or encrypted with another key."""


def encrypt(cipher: AESGCM, values: Any, bound_to: bytes) -> bytes:
    """Plain data -> bytes that can be decrypted with the same key and the same `bound_to` only."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, _encode(values), bound_to)


def decrypt(cipher: AESGCM, encrypted: bytes, bound_to: bytes) -> Any:
    """The reverse of `encrypt`. Raises `NotDecryptable`."""
    try:
        return unpack(cipher.decrypt(encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:], bound_to))
    except (InvalidTag, ValueError) as error:
        raise NotDecryptable from error


def unpack(data: bytes) -> Any:
    """Stored msgpack -> plain data. Raises `ValueError`."""
    return msgpack.unpackb(data, strict_map_key=False)


class EventDecoder:
    """Makes events of stored bytes. `ciphers`: a `KeyStore`, or `NO_KEYS` for readers who may not see personal data."""

    def __init__(self, ciphers: Ciphers) -> None:
        self._ciphers = ciphers

    def decode(self, stream: str, version: int, topic: str, data: bytes, strict: bool = False) -> Event:
        """The event as it was, personal fields included where their keys are there. Raises `TypeError` when the topic is none of ours,
        and whatever reading the bytes raises. `strict`, for what another server sent: raises `NotDecryptable` as well, instead of reading
        fields as erased, and `msgspec.ValidationError` when a field has another type or is out of the bounds of `domain/values.py`; to
        check them costs nothing, because the struct is made as fast without."""
        return self._decoded(stream, version, topic, unpack(data), strict)

    def _decoded(self, stream: str, version: int, topic: str, state: dict[str, Any], strict: bool) -> Event:
        if ":" in topic:  # the library would import a module of that name
            raise TypeError("not a topic")
        kind: Any = resolve_topic(topic)
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise TypeError("not an event")
        if kind.PERSONAL:
            self.decrypt_fields(state, kind, stream, version, strict)
        state["originator_id"], state["originator_version"] = stream, version
        for known in range(state.pop("class_version", 1), kind.class_version):
            getattr(kind, f"upcast_v{known}_v{known + 1}")(state)
        if kind.ERASES and isinstance(self._ciphers, KeyStore):
            self._ciphers.forget(stream_uid(stream))  # another process may have destroyed the key that is in memory
        return msgspec.convert(state, kind) if strict else _made(kind, state)

    def decrypt_fields(self, state: dict[str, Any], kind: type[Event], stream: str, version: int, strict: bool = False) -> None:
        """Decrypt the personal fields in the stored `state` of an event of the class `kind`. `strict`: as in `decode`."""
        for owner, encrypted in state.pop(ENCRYPTED, ()):
            cipher = self._ciphers.ready.get(owner) or self._ciphers.cipher(owner)
            try:
                if cipher is not None:
                    state.update(decrypt(cipher, encrypted, _place(stream, version, kind.TOPIC)))
                elif strict:
                    raise NotDecryptable(f"no key {owner}")
            except NotDecryptable:
                if strict:
                    raise
                log.error("personal_fields.not_decryptable", stream=stream, version=version, topic=kind.TOPIC, owner=owner)
        for field, empty in erased(kind).items():
            state.setdefault(field, empty)


class StoredEvent(Protocol):
    """An event as the log has it."""

    @property
    def stream(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def topic(self) -> str: ...

    @property
    def data(self) -> bytes: ...


class EventCodec(EventDecoder):
    """Makes stored bytes of events as well: on the event loop only. Any thread may decode."""

    def __init__(self, keys: KeyStore) -> None:
        super().__init__(keys)
        self._keys = keys

    def decode_all(self, rows: Sequence[StoredEvent]) -> list[Event]:
        """The events that lie in these rows. The keys that are not in memory are read in one visit. Raises as `decode` does."""
        states: list[dict[str, Any]] = [unpack(row.data) for row in rows]
        self._keys.fetch({owner for state in states for owner, _ in state.get(ENCRYPTED, ())})
        return [self._decoded(row.stream, row.version, row.topic, state, False) for row, state in zip(rows, states, strict=True)]

    def encode(self, events: Sequence[Event]) -> list[EventRecord]:
        """The events as they are stored; their positions are 0 until they have some. An owner whose key is destroyed loses the personal
        fields. Raises `KeysNeeded`."""
        taken = [_take_personal(event) for event in events]
        ready = self._keys.ready
        ciphers = {owner: ready.get(owner) for _, groups in taken for owner, _ in groups}
        if None in ciphers.values():
            ciphers = self._keys.at_hand(ciphers.keys())
        records = []
        for event, (state, groups) in zip(events, taken, strict=True):
            stream, version, topic = event.originator_id, event.originator_version, event.TOPIC
            if groups:
                place = _place(stream, version, topic)
                known = [(owner, cipher, values) for owner, values in groups if (cipher := ciphers[owner]) is not None]
                state[ENCRYPTED] = [(owner, encrypt(cipher, values, place)) for owner, cipher, values in known]
            records.append(EventRecord(0, stream, version, topic, event.at, _encode(state)))
        return records

    def for_mail(self, event: Event, record: EventRecord) -> EventRecord:
        """An event as it travels to another server in a box: that server has no key of ours, so nothing in it is encrypted."""
        return replace(record, data=_encode(_stored(event))) if event.PERSONAL else record


def _stored(event: Event) -> dict[str, Any]:
    """An event's fields without its stream and version, nothing encrypted."""
    state = asdict(event)
    for name in STREAM_AND_VERSION:
        del state[name]
    if event.class_version > 1:
        state["class_version"] = event.class_version
    return state


def _take_personal(event: Event) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any]]]]:
    """The fields of an event that are stored in the clear, and its personal ones by owner."""
    state = _stored(event)
    groups: list[tuple[int, dict[str, Any]]] = []
    if event.PERSONAL:
        for rule, fields in by_rule(type(event)):
            values = {field: state.pop(field) for field in fields if state[field]}
            if values:
                groups.append((event.stream_uid if rule is OWN else state[rule], values))
    return state, groups


def _place(stream: str, version: int, topic: str) -> bytes:
    """What the encrypted fields of an event are bound to."""
    return f"{stream}/{version}/{topic}".encode()


def _made(kind: type[Event], state: dict[str, Any]) -> Event:
    """The event with these fields; those that only a later version of Flash knows are left out. Raises `TypeError` when one is missing."""
    try:
        return kind(**state)
    except TypeError:
        return kind(**{name: value for name, value in state.items() if name in kind.__struct_fields__})
