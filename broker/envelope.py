"""The msgpack envelope of docs/protocol.md in which stored events travel. Rule: whatever the bytes, `decode` answers or raises `Malformed`.

    {"v": 1, "source": "h1", "events": [{"position", "stream", "version", "topic", "time", "data"}, ...]}

`data` is the stored state, unchanged. Keys that this version does not know are ignored, so that later versions may add some.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from domain.errors import Malformed

VERSION = 1
MAX_BYTES = 4_000_000  # what every version sends has 1 MB of events, one event more, and the words about their users
MAX_EVENTS = 1_000  # as every version sends them: `OutboxConfig.max_batch`
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


Events = Annotated[tuple[EventRecord, ...], Meta(max_length=MAX_EVENTS)]


class Envelope(msgspec.Struct, frozen=True):
    """Events of one server, in the order in which the server stored them."""

    source: Name
    events: Events


class _Version(msgspec.Struct):
    v: int


class _Body(msgspec.Struct):
    v: int
    source: str
    events: Sequence[EventRecord]


_pack = msgspec.msgpack.Encoder().encode
_versions = msgspec.msgpack.Decoder(_Version)
_envelopes = msgspec.msgpack.Decoder(Envelope)


def encode(source: str, events: Sequence[EventRecord]) -> bytes:
    """The events as one message body. About 0.3 µs an event."""
    return _pack(_Body(VERSION, source, events))


def decode(body: bytes) -> Envelope:
    """Read a message body. Raises `Malformed` for the first thing that is wrong, and nothing else."""
    check_version(body)
    told = made(body, _envelopes, "envelope")
    refuse_nul([told.source, *[name for record in told.events for name in (record.stream, record.topic)]])
    return told


def check_version(body: bytes) -> None:
    """Raises `Malformed` unless it is an envelope of this version, of a size that may be."""
    if made(body, _versions, "envelope").v != VERSION:
        _refuse(f"the envelope's version is not {VERSION}")


def made(body: bytes, decoder: msgspec.msgpack.Decoder[T], what: str) -> T:
    """What a message says, within the bounds of its type. No object is made of what lies beyond them, or of a later version's keys: they
    are passed over, some nanoseconds each. Raises `Malformed`."""
    if len(body) > MAX_BYTES:
        _refuse(f"the {what} has {len(body)} bytes, more than {MAX_BYTES}")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Malformed(f"the {what} says something else than it may ({error})") from None
    except (ValueError, RecursionError) as error:  # msgspec's other errors are values' errors, too
        raise Malformed(f"the {what} is not msgpack ({type(error).__name__})") from error


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
