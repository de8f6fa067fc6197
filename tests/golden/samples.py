"""Reading and writing samples. Rule: a missing one is written, an existing one never touched."""

import json
import types
import typing
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from domain.event import Event, in_stream, stored_fields
from domain.events.every import every_event
from servers.encryption.event_codec import EventDecoder
from servers.encryption.key_store import NO_KEYS

FOLDER = Path(__file__).parent
STREAM, VERSION = "user-42", 7  # where the samples lie; any place will do

decoder = EventDecoder(NO_KEYS)


def path(topic: str, version: int) -> Path:
    """Where a sample lies."""
    return FOLDER / f"{topic}.v{version}.json"


def stored(event: Event) -> bytes:
    """An event as a store without keys keeps it."""
    version = {"class_version": event.class_version} if event.class_version > 1 else {}
    return msgspec.msgpack.encode(stored_fields(event) | version)


def decode(sample: dict[str, Any]) -> Event:
    """The event in a sample's stored bytes, upcast to today's class."""
    return decoder.decode(STREAM, VERSION, sample["topic"], bytes.fromhex(sample["stored"]))


def example(kind: type[Event]) -> Event:
    """An event with a value of the right type in every field that needs one, and in each that is personal."""
    fields = [field for field in structs.fields(kind) if field.required or field.name in kind.PERSONAL]
    return in_stream([kind(**{field.name: _value(field.name, field.type) for field in fields})], STREAM, VERSION - 1)[0]


def _value(name: str, kind: Any) -> Any:
    if name == "at":
        return 1_700_000_000.123456
    if name == "messages":
        return [["m-1", 7, "h2"], ["m-2", 8, "h1"]]
    if name == "gaps":
        return [[5, 6]]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):  # something rather than nothing
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    if typing.get_origin(kind) is typing.Annotated:  # with bounds, which only what other servers send must keep
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is dict:
        return {"full_name": "Ann Lée", "city": "Miami"}
    if typing.get_origin(kind) is list:
        return ["h1", "h2"]
    plain: dict[Any, Any] = {str: f"{name} ünï", int: 42, float: 1_700_000_001.5, bool: True}
    return plain[kind]


def write_missing() -> list[Path]:
    """Write the samples of today's classes that are not there; their paths."""
    written = []
    for kind in every_event():
        place_of_it = path(kind.TOPIC, kind.class_version)
        if not place_of_it.exists():
            event = example(kind)
            sample = {"topic": kind.TOPIC, "stored": stored(event).hex(), "event": stored_fields(event)}
            with place_of_it.open("x", encoding="utf-8") as file:
                file.write(json.dumps(sample, indent=1, ensure_ascii=False) + "\n")
            written.append(place_of_it)
    return written
