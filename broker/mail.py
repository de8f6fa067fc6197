"""The mail of docs/protocol.md, which one server sends to another. Rule: whatever the bytes, reading them answers or raises `Malformed`.

    [2, head, box]      or [2, head, box, card] to a server that may not know the sender
                        head: [source, destination, source's life, destination's life, previous, last, again, [topic, …]]
                        in the box: [[{"position", "stream", "version", "topic", "time", "data"}, …], life, committed, [word, …]]

A mail says: everything for you above `previous` and up to `last` is here. So a receiver that has less than `previous` knows that some mail
is missing, whatever the broker forgot. The head is in the clear, so that people can see what a dead letter is; the box is bound to it.
Version 1 was an envelope (`broker/envelope.py`).
"""

from collections.abc import Generator, Sequence
from typing import Annotated, NoReturn

import msgpack
import msgspec
from msgspec import Meta

from broker.envelope import MAX_BYTES, MAX_EVENTS, MAX_KEYS, EventRecord, Name, Number, T
from domain.errors import Malformed

VERSION = 2
PURPOSE = "mail"  # of the box
BEGINNINGS = tuple(bytes((0x90 + items,)) for items in range(16))  # msgpack's short arrays: version 1 was a map
MAX_TOPICS = 256  # different topics of one mail: there are some forty
MAX_WORDS = 10_000  # statements about users in one mail
UNREADABLE = (ValueError, TypeError, RecursionError, msgpack.UnpackException, msgspec.ValidationError)
STEP = 100  # records read at a time of a long mail: some 0.2 ms

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

    records: Sequence[EventRecord]
    life: Number
    committed: Number
    words: Annotated[Sequence[bytes], Meta(max_length=MAX_WORDS)]


class _AfterRecords(msgspec.Struct, frozen=True, array_like=True):
    life: Number
    committed: Number
    words: Annotated[Sequence[bytes], Meta(max_length=MAX_WORDS)]


class _Mail(msgspec.Struct, frozen=True, array_like=True):
    version: int
    head: bytes
    box: bytes
    card: bytes = b""


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
    if len(message) > MAX_BYTES:
        _refuse(f"the mail has {len(message)} bytes, more than {MAX_BYTES}")
    raw = _read(message, _Mail, "mail", 16)
    if raw.version != VERSION:
        _refuse(f"the mail is not of version {VERSION}")
    head = _read(raw.head, Head, "head", MAX_TOPICS)
    if "\0" in "".join((head.source, head.destination, *head.topics)):
        _refuse("a name in the mail's head holds a NUL")
    if head.previous > head.last:
        _refuse("the mail ends before it begins")
    return head, raw.head, raw.box, raw.card


def decode_body(opened: bytes) -> Body:
    """What was in the box. Raises `Malformed`."""
    body = _read(opened, Body, "box", MAX_EVENTS)
    for record in body.records:
        _check(record)
    return body


def body_steps(opened: bytes) -> Generator[None, None, Body]:
    """The same in steps of `STEP` records, because those of a long mail take longer than others may wait. Raises `Malformed`."""
    unpacker = msgpack.Unpacker(
        raw=False, strict_map_key=False, max_array_len=MAX_EVENTS, max_map_len=MAX_KEYS, max_buffer_size=len(opened) + 1
    )
    unpacker.feed(opened)
    records: list[EventRecord] = []
    try:
        if unpacker.read_array_header() < 4:
            _refuse("the box holds something else than mail")
        for number in range(unpacker.read_array_header()):
            if number % STEP == STEP - 1:
                yield None
            record = msgspec.convert(unpacker.unpack(), EventRecord, builtin_types=(bytes,))
            _check(record)
            records.append(record)
        rest = msgspec.convert([unpacker.unpack() for _ in range(3)], _AfterRecords, builtin_types=(bytes,))
    except UNREADABLE as error:
        raise _malformed("box", error) from error
    return Body(records, rest.life, rest.committed, rest.words)


def _check(record: EventRecord) -> None:
    if "\0" in record.stream or "\0" in record.topic:
        _refuse("a name in the box holds a NUL")


def _read(packed: bytes, kind: type[T], what: str, longest: int) -> T:
    try:
        raw = msgpack.unpackb(packed, raw=False, strict_map_key=False, max_array_len=longest, max_map_len=MAX_KEYS)
        return msgspec.convert(raw, kind, builtin_types=(bytes,))
    except UNREADABLE as error:
        raise _malformed(what, error) from error


def _malformed(what: str, error: Exception) -> Malformed:
    if isinstance(error, msgspec.ValidationError):
        return Malformed(f"the {what} says something else than it may ({error})")
    return Malformed(f"the {what} is not msgpack ({type(error).__name__})")


def _refuse(why: str) -> NoReturn:
    raise Malformed(why)
