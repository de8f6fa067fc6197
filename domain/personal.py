"""What is personal in an event or a dump, and whose it is. Rule: whoever stores a personal value seals it with its owner's key.

When the key is destroyed, what was sealed reads as erased: an empty text, nothing, an empty map.
"""

from dataclasses import dataclass, fields
from functools import cache
from types import UnionType
from typing import Any, get_origin

OWN = "originator_id"  # the owner is the user whose stream it is: `user-42`, `account-42`


@dataclass(frozen=True, slots=True)
class Personal:
    """A personal value in a state's or projection's dump. `owner`: the uid of the person whom it describes or who wrote it."""

    owner: int
    value: Any


def uid_of(stream: str) -> int:
    """The user of a stream: 42 of `user-42`."""
    return int(stream.rpartition("-")[2])


def owner(rule: str, stream: str, state: dict[str, Any]) -> int:
    """The uid of the person a field belongs to. `rule`: as in `Event.PERSONAL`."""
    if rule is OWN:
        return uid_of(stream)
    uid: int = state[rule]
    return uid


def dump_event(event: Any) -> dict[str, Any]:
    """All fields of an event, for a dump."""
    dumped = dict(vars(event))
    for field, rule in event.PERSONAL.items():
        dumped[field] = Personal(owner(rule, event.originator_id, vars(event)), dumped[field])
    return dumped


def owners(event: Any) -> set[int]:
    """Whose personal data an event holds."""
    return {owner(rule, event.originator_id, event.__dict__) for field, rule in event.PERSONAL.items() if event.__dict__[field]}


@cache
def by_rule(kind: type) -> list[tuple[str, list[str]]]:
    """The personal fields of a class of event, those of one owner together: (rule, fields)."""
    rules: dict[str, list[str]] = {}
    for field, rule in kind.PERSONAL.items():  # type: ignore[attr-defined]
        rules.setdefault(rule, []).append(field)
    return list(rules.items())


@cache
def erased(kind: type) -> dict[str, Any]:
    """What the personal fields of a class of event read as once their owner's key is gone."""
    return {f.name: _empty(f.type) for f in fields(kind) if f.name in kind.PERSONAL}  # type: ignore[attr-defined]


def _empty(kind: Any) -> Any:
    return None if isinstance(kind, UnionType) else (get_origin(kind) or kind)()
