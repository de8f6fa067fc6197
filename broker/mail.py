"""The mail of docs/protocol.md, which one server sends to another. Rule: whatever the bytes, reading them answers or raises `Malformed`.

    [2, head, box]      or [2, head, box, card] to a server that may not know the sender
                        head: [source, destination, source's life, destination's life, previous, last, again, [topic, …]]
                        in the box: [[{"position", "stream", "version", "topic", "time", "data"}, …], life, committed, [word, …]]

A mail says: everything for you above `previous` and up to `last` is here. So a receiver that has less than `previous` knows that some mail
is missing, whatever the broker forgot. The head is in the clear, so that people can see what a dead letter is; the box is bound to it.
Version 1 was an envelope (`broker/envelope.py`).
"""

from collections.abc import Sequence
from typing import Annotated, NoReturn

import msgspec
from msgspec import Meta

from broker.envelope import MAX_EVENTS, EventRecord, Name, Number, made
from domain.errors import Malformed

VERSION = 2
PURPOSE = "mail"  # of the box
BEGINNINGS = tuple(bytes((0x90 + items,)) for items in range(16))  # msgpack's short arrays: version 1 was a map
MAX_TOPICS = 256  # different topics of one mail: there are some forty
MAX_WORDS = 10_000  # statements about users in one mail

_pack = msgspec.msgpack.Encoder().encode


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What everybody may see of a mail. `previous`: the position of the mail before it to the same server; `last`: its own; `again`: it
    ends what was sent again, and what the log does not say must be asked for."""

    source: Name
    destination: Name
    source_life: Number
    destination_life: Number
    previous: Number
    last: Number
    again: bool
    topics: Annotated[Sequence[Name], Meta(max_length=MAX_TOPICS)]


class Body(msgspec.Struct, frozen=True, array_like=True):
    """What the receiver alone may see. `life`, `committed`: so far the sender has come in the receiver's own log; `words`: the Global
    Server's statements about the users of whom the records tell."""

    records: Annotated[Sequence[EventRecord], Meta(max_length=MAX_EVENTS)]
    life: Number
    committed: Number
    words: Annotated[Sequence[bytes], Meta(max_length=MAX_WORDS)]


class _Mail(msgspec.Struct, frozen=True, array_like=True):
    version: int
    head: bytes
    box: bytes
    card: bytes = b""


_mails = msgspec.msgpack.Decoder(_Mail)
_heads = msgspec.msgpack.Decoder(Head)
_bodies = msgspec.msgpack.Decoder(Body)


def encode_head(head: Head) -> bytes:
    """The head as it travels and as the box is bound to it."""
    return _pack(head)


def encode_body(body: Body) -> bytes:
    """What goes into the box. About 0.3 µs a record."""
    return _pack(body)


def encode(head: bytes, box: bytes, card: bytes = b"") -> bytes:
    """The whole mail as one message body. `card`: the sender's, for a receiver that may not know it."""
    return _pack((VERSION, head, box, card) if card else (VERSION, head, box))


def decode(message: bytes) -> tuple[Head, bytes, bytes, bytes]:
    """The head, its bytes, the box that nobody has opened yet, and the sender's card or nothing. Raises `Malformed`."""
    raw = made(message, _mails, "mail")
    if raw.version != VERSION:
        _refuse(f"the mail is not of version {VERSION}")
    head = made(raw.head, _heads, "head")
    if "\0" in "".join((head.source, head.destination, *head.topics)):
        _refuse("a name in the mail's head holds a NUL")
    if head.previous > head.last:
        _refuse("the mail ends before it begins")
    return head, raw.head, raw.box, raw.card


def decode_body(opened: bytes) -> Body:
    """What was in the box: 0.4 ms for 1,000 records. Raises `Malformed`."""
    body = made(opened, _bodies, "box")
    if "\0" in "".join([name for record in body.records for name in (record.stream, record.topic)]):
        _refuse("a name in the box holds a NUL")
    return body


def _refuse(why: str) -> NoReturn:
    raise Malformed(why)
