"""The mail of docs/protocol.md, which one server sends to another. Rule: whatever the bytes, reading them answers or raises `Malformed`.

    [2, head, box]      or [2, head, box, card] to a server that may not know the sender
                        head: [source, destination, source's life, destination's life, previous, last, again, [topic, …]]
                        in the box: [[{"position", "stream", "version", "topic", "time", "data"}, …], life, committed, [word, …]]

A mail says: everything for you above `previous` and up to `last` is here. So a receiver that has less than `previous` knows that some mail
is missing, whatever the broker forgot. The head is in the clear, so that people can see what a dead letter is; the box is bound to it.
Version 1 was an envelope (`broker/envelope.py`).
"""

from collections.abc import Sequence
from typing import Any, NoReturn

import msgpack
import msgspec

from broker import envelope
from broker.envelope import MAX_BYTES, MAX_EVENTS, MAX_INTEGER, MAX_KEYS, MAX_NAME, EventRecord
from domain.errors import Malformed

VERSION = 2
PURPOSE = "mail"  # of the box
MAX_TOPICS = 256  # different topics of one mail: there are some forty
MAX_WORDS = 10_000  # statements about users in one mail

_pack = msgspec.msgpack.Encoder().encode


class Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What everybody may see of a mail. `previous`: the position of the mail before it to the same server; `last`: its own; `again`: it
    ends what was sent again, and what the log does not say must be asked for."""

    source: str
    destination: str
    source_life: int
    destination_life: int
    previous: int
    last: int
    again: bool
    topics: Sequence[str]


class Body(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the receiver alone may see. `life`, `committed`: so far the sender has come in the receiver's own log; `words`: the Global
    Server's statements about the users of whom the records tell."""

    records: Sequence[EventRecord]
    life: int
    committed: int
    words: Sequence[bytes] = ()


def encode_head(head: Head) -> bytes:
    """The head as it travels and as the box is bound to it."""
    return _pack(head)


def encode_body(body: Body) -> bytes:
    """What goes into the box. About 0.3 µs a record."""
    return _pack(body)


def encode(head: bytes, box: bytes, card: bytes = b"") -> bytes:
    """The whole mail as one message body. `card`: the sender's, for a receiver that may not know it."""
    return _pack((VERSION, head, box, card) if card else (VERSION, head, box))


def is_mail(message: bytes) -> bool:
    """Whether a message is meant as mail of version 2 or later: an array, where version 1 was a map."""
    return bool(message) and message[0] & 0xF0 == 0x90  # msgpack's arrays of up to 15 items


def decode(message: bytes) -> tuple[Head, bytes, bytes, bytes]:
    """The head, its bytes, the box that nobody has opened yet, and the sender's card or nothing. Raises `Malformed`."""
    if len(message) > MAX_BYTES:
        _refuse(f"the mail has {len(message)} bytes, more than {MAX_BYTES}")
    raw = _unpacked(message, "mail", 16)
    if type(raw) is not list or len(raw) < 3 or type(raw[0]) is not int or raw[0] != VERSION:
        _refuse(f"the mail is not of version {VERSION}")
    head, box, card = raw[1], raw[2], raw[3] if len(raw) > 3 else b""
    if type(head) is not bytes or type(box) is not bytes or type(card) is not bytes:
        _refuse("the mail's head, box or card is not binary")
    return _head(head), head, box, card


def decode_body(opened: bytes) -> Body:
    """What was in the box. Raises `Malformed`."""
    raw = _unpacked(opened, "box", MAX_EVENTS)
    if type(raw) is not list or len(raw) < 4 or type(raw[0]) is not list or type(raw[3]) is not list or len(raw[3]) > MAX_WORDS:
        _refuse("the box holds something else than mail")
    records, life, committed, words = raw[:4]
    if not all(type(word) is bytes for word in words):
        _refuse("a word in the box is not binary")
    return Body([envelope.record(item) for item in records], _integer(life), _integer(committed), words)


def _head(packed: bytes) -> Head:
    raw = _unpacked(packed, "head", MAX_TOPICS)
    if type(raw) is not list or len(raw) < 8 or type(raw[7]) is not list or type(raw[6]) is not bool:
        _refuse("the mail's head is something else")
    source, destination, source_life, destination_life, previous, last, again, topics = raw[:8]
    head = Head(
        _name(source), _name(destination), _integer(source_life), _integer(destination_life), _integer(previous), _integer(last), again,
        [_name(topic) for topic in topics],
    )  # fmt: skip
    if head.previous > head.last:
        _refuse("the mail ends before it begins")
    return head


def _unpacked(packed: bytes, what: str, longest: int) -> Any:
    try:
        return msgpack.unpackb(packed, raw=False, strict_map_key=False, max_array_len=longest, max_map_len=MAX_KEYS)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise Malformed(f"the {what} is not msgpack ({type(error).__name__})") from error


def _integer(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        _refuse(f"a number of the mail is not a whole one from 0 to {MAX_INTEGER}")
    return value


def _name(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_NAME or "\0" in value:
        _refuse(f"a name in the mail is not a text of 1 to {MAX_NAME} characters without NUL")
    return value


def _refuse(why: str) -> NoReturn:
    raise Malformed(why)
