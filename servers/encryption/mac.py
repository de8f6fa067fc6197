"""Proves that a server itself wrote what lies beside its log. Rule: the key lies with the keys of personal data, never with what it proves.

Snapshots and checkpoints only shorten the way to a state, and are believed when they are loaded. So each carries an HMAC-SHA256 under the
server's own key (32 bytes, `OWN` in the table of keys), bound to the place for which it was written. Some 3 µs, and 1 ms for a megabyte.
"""

import hmac
from hashlib import sha256

OWN = 0  # the owner under which the server's own key lies: users are numbered from 1, transit keys from -1 downwards
MARK = b"\xc1"  # no msgpack begins with this byte, so that snapshots of before, which carry no proof, are told apart
SIZE = 32


class NotOurs(ValueError):
    """Bytes without a proof, or with a wrong one: what they say must be computed anew."""


def mac(key: bytes, place: str, data: bytes) -> bytes:
    """What proves `data` at `place`."""
    return hmac.digest(key, b"flash mac 1:" + place.encode() + b"\0" + data, sha256)


def proven(key: bytes, place: str, data: bytes) -> bytes:
    """`data` with its proof in front."""
    return MARK + mac(key, place, data) + data


def checked(key: bytes, place: str, stored: object) -> bytes:
    """The data that `proven` was given. Raises `NotOurs`, whatever somebody stored there."""
    if not isinstance(stored, bytes) or not stored.startswith(MARK):
        raise NotOurs("it carries no proof, as before this version")
    data = stored[1 + SIZE :]
    if not hmac.compare_digest(mac(key, place, data), stored[1 : 1 + SIZE]):
        raise NotOurs("its proof is wrong")
    return data
