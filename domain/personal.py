"""Which fields of an event or a snapshot are personal, and whose they are. Rule: a personal value is stored encrypted with its owner's key.

Once the key is destroyed, the value reads as erased: as an empty text, None or an empty map.
"""

from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from msgspec.structs import asdict, fields

from domain.event import Event, stream_uid

OWN = "originator_id"  # the owner is the user whose stream it is: `user-42`, `account-42`


@dataclass(frozen=True, slots=True)
class Personal:
    """A personal value in a snapshot or a checkpoint. `owner`: the uid of the person whom it describes, or who wrote it."""

    owner: int
    value: Any


def owner(rule: str, stream: str, state: dict[str, Any]) -> int:
    """The uid of the person a field belongs to. `rule`: as in `Event.PERSONAL`."""
    if rule is OWN:
        return stream_uid(stream)
    uid: int = state[rule]
    return uid


def owners(event: Event) -> set[int]:
    """The uids of the people whose personal data an event holds."""
    state = asdict(event)
    return {owner(rule, event.originator_id, state) for field, rule in event.PERSONAL.items() if state[field]}


@cache
def by_rule(kind: type[Event]) -> list[tuple[str, list[str]]]:
    """The personal fields of a class of event, grouped by owner: (rule, fields)."""
    rules: dict[str, list[str]] = {}
    for field, rule in kind.PERSONAL.items():
        rules.setdefault(rule, []).append(field)
    return list(rules.items())


@cache
def erased(kind: type[Event]) -> dict[str, Any]:
    """The personal fields of a class of event, with the values that they have once their owner's key is gone."""
    return {f.name: _empty(f.type) for f in fields(kind) if f.name in kind.PERSONAL}


def _empty(kind: Any) -> Any:
    if get_origin(kind) is Annotated:  # a bound is no part of the kind
        kind = get_args(kind)[0]
    return None if get_origin(kind) in (Union, UnionType) else (get_origin(kind) or kind)()
