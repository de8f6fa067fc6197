"""What is published to `flash.history`: an envelope of events that its server has signed. Rule: the signature is the last 64 bytes of the
message, and covers all the others.

The map of `broker/envelope.py`, which readers of earlier versions go on reading, and beside `v`, `source` and `events`:

    era, life, former, agreed   of the stream as the server knows it, and of the server's log (`domain/events/integrity.py`)
    after, last                 every event of the log in (after, last] that may leave it is here
    at                          when it was published, in seconds since 1970
    certificate                 what the Global Server stated of the server's key (`servers/trust/certificate.py`)
    signature                   by that key

A publication without events marks the beginning of an era. One without a signature is of before the first era.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from broker import envelope
from broker.envelope import VERSION, EventRecord, Number, made
from domain.errors import Malformed

SIGNATURE_BYTES = 64
MAX_CERTIFICATE = 4_096  # bytes: ours have some 250


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of the events that it publishes; see the module."""

    era: Number
    life: Number
    former: Number
    agreed: Number
    after: Number
    last: Number
    at: Annotated[float, Meta(ge=0, lt=1e12)]
    certificate: Annotated[bytes, Meta(max_length=MAX_CERTIFICATE)]


class _Body(msgspec.Struct):
    v: int
    source: str
    era: int
    life: int
    former: int
    agreed: int
    after: int
    last: int
    at: float
    certificate: bytes
    events: Sequence[EventRecord]
    signature: bytes


@dataclass(frozen=True, slots=True)
class Publication:
    """One message of the history. `head` is None where nothing was signed; `signed`: the bytes that `signature` covers."""

    source: str
    events: tuple[EventRecord, ...]
    head: Head | None = None
    signed: bytes = b""
    signature: bytes = b""


class _Signature(msgspec.Struct):
    signature: bytes | None = None


_pack = msgspec.msgpack.Encoder().encode
_heads = msgspec.msgpack.Decoder(Head)
_signatures = msgspec.msgpack.Decoder(_Signature)


def encode(source: str, head: Head, events: Sequence[EventRecord], sign: Callable[[bytes], bytes]) -> bytes:
    """A publication as it travels: 0.3 µs an event, and a signature."""
    body = _Body(
        VERSION, source, head.era, head.life, head.former, head.agreed, head.after, head.last, head.at, head.certificate, events,
        b"\0" * SIGNATURE_BYTES,
    )  # fmt: skip
    signed = _pack(body)[:-SIGNATURE_BYTES]
    return signed + sign(signed)


def decode(body: bytes) -> Publication:
    """Read a message of the history; nothing is proven by it. Raises `Malformed`."""
    told = envelope.decode(body)
    if (signature := made(body, _signatures, "publication").signature) is None:
        return Publication(told.source, told.events)
    if signature != body[-SIGNATURE_BYTES:]:
        raise Malformed("the signature is not the end of the message")
    head = made(body, _heads, "publication")
    positions = [record.position for record in told.events]
    if (
        head.after > head.last
        or positions != sorted(set(positions))
        or (positions and not head.after < positions[0] <= positions[-1] <= head.last)
    ):
        raise Malformed("the events do not lie between the positions that the message names")
    return Publication(told.source, told.events, head, body[:-SIGNATURE_BYTES], body[-SIGNATURE_BYTES:])
