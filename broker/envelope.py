"""The msgpack envelope of docs/protocol.md in which stored events travel. Rule: whatever the bytes, `decode` answers or raises `Malformed`.

    {"v": 1, "source": "h1", "events": [{"position", "stream", "version", "topic", "time", "data"}, ...]}

`data` is the stored state, unchanged. Keys that this version does not know are ignored, so that later versions may add some.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import msgpack
import msgspec

from domain.errors import Malformed

VERSION = 1
MAX_BYTES = 64 * 1024 * 1024  # half of RabbitMQ's default limit of 128 MiB a message; Flash sends nothing larger
MAX_EVENTS = 100_000  # a commit holds hundreds of events; the limit bounds how many objects a few bytes each can make
MAX_KEYS = 64  # keys of one map: this version writes 6, the rest is room for later versions
MAX_NAME = 255  # characters of a source, stream or topic: AMQP's limit for names
NEVER = float("inf")
MAX_INTEGER = 2**63 - 1  # what PostgreSQL and SQLite can hold


class EventRecord(msgspec.Struct, frozen=True, gc=False):
    """A stored event on its way. `position` counts in the log of the source, from 1; `version` counts in its stream, from 1; `time` is
    seconds since 1970; `data` is the stored state as msgpack."""

    position: int
    stream: str
    version: int
    topic: str
    time: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """Events of one server, in the order in which the server stored them."""

    source: str
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
    source = _name(raw, "source")
    events = raw.get("events")
    if type(events) is not list:
        _refuse("the envelope's events are not a list")
    return Envelope(source, tuple([record(item) for item in events]))


def newest_time(body: bytes) -> float:
    """The time of the newest event in an envelope; that of no event for one that is unreadable or no envelope."""
    try:
        told = decode(body)
    except Malformed:
        return NEVER
    return told.events[-1].time if told.events else NEVER


def record(item: Any) -> EventRecord:
    """The stored event in an unpacked map. Raises `Malformed`."""
    if type(item) is not dict:
        _refuse("an event is not a map")
    time = item.get("time")
    if type(time) is int and abs(time) <= MAX_INTEGER:
        time = float(time)  # other writers may pack a whole number as an integer
    if type(time) is not float or time != time or time in (float("inf"), float("-inf")):
        _refuse("an event's time is not a finite number")
    data = item.get("data")
    if type(data) is not bytes:
        _refuse("an event's data is not binary")
    return EventRecord(
        whole_number(item, "position"), _name(item, "stream"), whole_number(item, "version"), _name(item, "topic"), time, data
    )


def whole_number(item: dict[Any, Any], field: str) -> int:
    """A number that every database can hold. Raises `Malformed`."""
    value = item.get(field)
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        _refuse(f"{field} is not a whole number from 0 to {MAX_INTEGER}")
    return value


def _name(item: dict[Any, Any], field: str) -> str:
    value = item.get(field)
    if type(value) is not str or not 0 < len(value) <= MAX_NAME or "\0" in value:  # PostgreSQL cannot store NUL in a text
        _refuse(f"{field} is not a text of 1 to {MAX_NAME} characters without NUL")
    return value


def _refuse(why: str) -> NoReturn:
    raise Malformed(why)
