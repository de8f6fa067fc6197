"""Typed reading of JSON from the wire. Rule: a missing or mistyped field is a `ProtocolError`; an unknown field is ignored."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from flash_sdk.errors import ProtocolError

Json = Mapping[str, Any]


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. Raises `ProtocolError` for anything else, also for NaN and for nesting that is too deep."""
    try:
        value = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the server sent something that is not JSON") from error
    if not isinstance(value, dict):
        raise ProtocolError("the server sent JSON that is not an object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def text(source: Json, name: str, default: str | None = None) -> str:
    """A string; `default` when it is missing or null and a default is given."""
    value = source.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise ProtocolError(f"{name} is not a text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half a character, which no window can show and no file can keep
            raise ProtocolError(f"{name} is not a text") from None
    return value


def optional_text(source: Json, name: str) -> str | None:
    """A string or null."""
    return None if source.get(name) is None else text(source, name)


def integer(source: Json, name: str) -> int:
    """A whole number."""
    value = source.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProtocolError(f"{name} is not a whole number")
    return value


def optional_integer(source: Json, name: str) -> int | None:
    """A whole number or null."""
    return None if source.get(name) is None else integer(source, name)


def seconds(source: Json, name: str) -> float | None:
    """A duration in seconds, not negative and not endless, or null."""
    value = source.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1e9:
        raise ProtocolError(f"{name} is not a number of seconds")
    return float(value)


def flag(source: Json, name: str) -> bool:
    """A boolean; missing or null is false."""
    return source.get(name) is True


def moment(source: Json, name: str) -> datetime:
    """An RFC 3339 time as an aware UTC datetime."""
    try:
        value = datetime.fromisoformat(text(source, name))
        if value.tzinfo is None:
            raise ValueError("no offset")
        return value.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ProtocolError(f"{name} is not a time") from error


def optional_moment(source: Json, name: str) -> datetime | None:
    """An RFC 3339 time as an aware UTC datetime, or null."""
    return None if source.get(name) is None else moment(source, name)


def section(source: Json, name: str) -> dict[str, Any]:
    """An object."""
    value = source.get(name)
    if not isinstance(value, dict):
        raise ProtocolError(f"{name} is not an object")
    return value


def sections(source: Json, name: str) -> list[dict[str, Any]]:
    """A list of objects; missing is empty."""
    value = source.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ProtocolError(f"{name} is not a list of objects")
    return value
