"""The msgpack envelope of docs/protocol.md in which stored events travel. Rule: whatever the bytes, `decode` answers or raises `Malformed`.

    {"v": 1, "source": "h1", "events": [{"position", "stream", "version", "topic", "time", "data"}, ...]}

`data` is the stored state, unchanged. Keys that this version does not know are ignored, so that later versions may add some.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NoReturn, TypeVar

import msgpack
import msgspec
from msgspec import Meta

from domain.errors import Malformed

VERSION = 1
MAX_BYTES = 64 * 1024 * 1024  # half of RabbitMQ's default limit of 128 MiB a message; Flash sends nothing larger
MAX_EVENTS = 100_000  # a commit holds hundreds of events; the limit bounds how many objects a few bytes each can make
MAX_KEYS = 64  # keys of one map: this version writes 6, the rest is room for later versions
MAX_NAME = 255  # characters of a source, stream or topic: AMQP's limit for names
NEVER = float("inf")
MAX_INTEGER = 2**63 - 1  # what PostgreSQL and SQLite can hold

T = TypeVar("T")
Number = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Time = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]  # finite; other writers may pack a whole number as an integer


class EventRecord(msgspec.Struct, frozen=True):
    """A stored event on its way. `position` counts in the log of the source, from 1; `version` counts in its stream, from 1; `time` is
    seconds since 1970; `data` is the stored state as msgpack. The bounds hold for what `made` has read."""

    position: Number
    stream: Name
    version: Number
    topic: Name
    time: Time
    data: bytes


class Envelope(msgspec.Struct, frozen=True):
    """Events of one server, in the order in which the server stored them."""

    source: Name
    events: tuple[EventRecord, ...]


class _Body(msgspec.Struct):
    v: int
    source: str
    events: Sequence[EventRecord]


# msgspec writes records as maps without making the maps first. Foreign bytes are read by `msgpack`, because only `msgpack` has bounds.
_pack = msgspec.msgpack.Encoder().encode


def encode(source: str, events: Sequence[EventRecord]) -> bytes:
    """The events as one message body. About 0.3 µs an event."""
    return _pack(_Body(VERSION, source, events))


def decode(body: bytes) -> Envelope:
    """Read a message body. Raises `Malformed` for the first thing that is wrong, and nothing else."""
    return read(unpacked(body))


def unpacked(body: bytes) -> dict[Any, Any]:
    """The map of a message body. Raises `Malformed`."""
    if len(body) > MAX_BYTES:
        _refuse(f"the envelope has {len(body)} bytes, more than {MAX_BYTES}")
    try:
        raw = msgpack.unpackb(body, raw=False, strict_map_key=False, max_array_len=MAX_EVENTS, max_map_len=MAX_KEYS)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:  # TypeError: a map as the key of a map
        raise Malformed(f"the envelope is not msgpack ({type(error).__name__})") from error
    if type(raw) is not dict:
        _refuse("the envelope is not a map")
    return raw


def read(raw: dict[Any, Any]) -> Envelope:
    """The envelope in an unpacked map. Raises `Malformed`."""
    version = raw.get("v")
    if type(version) is not int or version != VERSION:
        _refuse(f"the envelope's version is not {VERSION}")
    told = made(raw, Envelope)
    refuse_nul([told.source, *[name for record in told.events for name in (record.stream, record.topic)]])
    return told


def made(raw: Any, kind: type[T]) -> T:
    """What was unpacked as a value of this type, within its bounds. Raises `Malformed`."""
    try:
        return msgspec.convert(raw, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise Malformed(f"the message says something else than it may ({error})") from None


def refuse_nul(names: Iterable[str]) -> None:
    """Raises `Malformed` for a name with a NUL, because PostgreSQL cannot store it in a text."""
    if "\0" in "".join(names):
        _refuse("a name holds a NUL")


def newest_time(body: bytes) -> float:
    """The time of the newest event in an envelope; that of no event for one that is unreadable or no envelope."""
    try:
        told = decode(body)
    except Malformed:
        return NEVER
    return told.events[-1].time if told.events else NEVER


def _refuse(why: str) -> NoReturn:
    raise Malformed(why)
