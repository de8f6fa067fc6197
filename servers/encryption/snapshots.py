"""Snapshots of states and checkpoints of projections as bytes. Rule: every `Personal` value in them is encrypted with its owner's key."""

from typing import Any

import msgpack
import structlog

from domain.personal import Personal
from servers.encryption.event_codec import NotDecryptable, decrypt, encrypt
from servers.encryption.key_store import Ciphers, KeysNeeded, KeyStore, cipher_of

BOUND_TO = b"dump"  # ciphertexts of a snapshot are bound to this, because a snapshot has no stream and version of its own
EXTENSION = 1  # msgpack's number for an encrypted value

log = structlog.get_logger()


def pack_snapshot(data: Any, keys: KeyStore) -> bytes:
    """Plain data with `Personal` values -> bytes. Blocks. Raises `Unavailable`."""
    owners: set[int] = set()

    def note_owner(value: Any) -> Any:
        if not isinstance(value, Personal):
            raise TypeError(f"{type(value).__name__} in a snapshot")
        if value.value:
            owners.add(value.owner)

    msgpack.packb(data, default=note_owner)
    try:
        ciphers = keys.at_hand(owners)
    except KeysNeeded:  # kept local: the keys of everybody at a large home would push out those of the users who are active now
        ciphers = {owner: cipher_of(key) for owner, key in keys.have(owners).items()}

    def hide(value: Personal) -> Any:
        if not value.value:
            return value.value
        cipher = ciphers[value.owner]
        encrypted = encrypt(cipher, value.value, BOUND_TO) if cipher is not None else b""
        return msgpack.ExtType(EXTENSION, msgpack.packb((value.owner, encrypted, type(value.value)())))

    packed: bytes = msgpack.packb(data, default=hide)
    return packed


def unpack_snapshot(packed: bytes, ciphers: Ciphers) -> Any:
    """The reverse of `pack_snapshot`, with plain values; what cannot be decrypted is empty. Raises `ValueError` for other bytes."""

    def show(code: int, value: bytes) -> Any:
        owner, encrypted, empty = msgpack.unpackb(value)
        cipher = ciphers.cipher(owner)
        try:
            return decrypt(cipher, encrypted, BOUND_TO) if cipher is not None and encrypted else empty
        except NotDecryptable:
            log.error("personal_fields.not_decryptable", owner=owner)
            return empty

    return msgpack.unpackb(packed, strict_map_key=False, use_list=True, ext_hook=show)
