"""The envelope: what goes in comes out, and no bytes whatever do more than be refused."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.envelope import MAX_EVENTS, MAX_INTEGER, MAX_NAME, VERSION, Envelope, EventRecord, decode, encode
from domain.errors import Malformed

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=MAX_NAME)
numbers = st.integers(0, MAX_INTEGER)
records = st.builds(
    EventRecord,
    position=numbers,
    stream=names,
    version=numbers,
    topic=names,
    time=st.floats(allow_nan=False, allow_infinity=False),
    data=st.binary(),
)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
things = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(scalars, inner, max_size=4), max_leaves=20)

GOOD = {"position": 1, "stream": "user-42", "version": 1, "topic": "user.logged_in", "time": 1.5, "data": b"\x80"}


def packed(**changes: object) -> bytes:
    body: bytes = msgpack.packb({"v": 1, "source": "h1", "events": [GOOD]} | changes)
    return body


@given(names, st.lists(records, max_size=10))
def test_what_goes_in_comes_out(source: str, events: list[EventRecord]) -> None:
    assert decode(encode(source, events)) == Envelope(source, tuple(events))


def test_the_bytes_are_those_of_the_protocol() -> None:
    event = EventRecord(1, "user-42", 1, "user.logged_in", 1.5, b"\x80")
    assert encode("h1", [event]) == packed()


@given(st.binary())
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(Malformed):
        decode(junk)


@given(things)
def test_msgpack_of_anything_else_is_refused(thing: object) -> None:
    with pytest.raises(Malformed):
        decode(msgpack.packb(thing))


@given(st.sampled_from(["v", "source", "events"]), things)
def test_a_field_of_another_kind_is_refused_or_right(field: str, thing: object) -> None:
    try:
        envelope = decode(packed(**{field: thing}))
    except Malformed:
        return
    assert envelope.source == thing or (field == "events" and thing == []) or (field == "v" and thing == VERSION)


@given(st.sampled_from(sorted(GOOD)), things)
def test_an_event_with_a_field_of_another_kind_is_refused_or_right(field: str, thing: object) -> None:
    try:
        [event] = decode(packed(events=[GOOD | {field: thing}])).events
    except Malformed:
        return
    assert getattr(event, field) == thing


@given(records, st.data())
def test_a_cut_or_changed_envelope_is_refused_or_an_envelope(record: EventRecord, data: st.DataObject) -> None:
    body = bytearray(encode("h1", [record]))
    with pytest.raises(Malformed):
        decode(bytes(body[: data.draw(st.integers(0, len(body) - 1))]))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert isinstance(decode(bytes(body)), Envelope)
    except Malformed:
        return


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x91" * 1_000_000,  # lists in lists
        b"\x81\xa1v" * 100_000,  # maps in maps
        b"\xdd\xff\xff\xff\xff",  # a list that says it has four billion items
        b"\xdf\xff\xff\xff\xff",  # a map that does
        b"\xc6\xff\xff\xff\xff",  # bytes that do
        b"\x81\x80\xc0",  # a map as the key of a map
        b"\xc7\x0c\xff" + b"\xff" * 12,  # a time beyond all calendars
        packed() + b"\xc0",  # something after the end
        packed(events=[0] * (MAX_EVENTS + 1)),
        b"\xdc\xff\xff" + b"\xc0" * 0xFFFF,
    ],
)
def test_bombs_are_refused(bomb: bytes) -> None:
    with pytest.raises(Malformed):
        decode(bomb)


def test_a_name_that_no_store_can_hold_is_refused() -> None:
    for bomb in (packed(source="h\0"), packed(events=[GOOD | {"stream": "user-1\0"}]), packed(events=[GOOD | {"topic": "\0"}])):
        with pytest.raises(Malformed, match="NUL"):
            decode(bomb)


@pytest.mark.parametrize("version", [0, 2, True, 1.0, "1", None])
def test_another_version_is_refused(version: object) -> None:
    with pytest.raises(Malformed, match=r"version|\$\.v"):
        decode(packed(v=version))


def test_keys_of_later_versions_are_ignored() -> None:
    assert decode(packed(later=[1, 2], events=[GOOD | {"also": {}}])) == decode(packed())


def test_a_whole_number_is_a_time_too() -> None:
    [event] = decode(packed(events=[GOOD | {"time": 2}])).events
    assert type(event.time) is float
