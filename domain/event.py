"""The base of every event and snapshot. Rule: an event's `TOPIC` and stored fields outlive every rename of files and classes."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeVar, dataclass_transform, runtime_checkable

from eventsourcing.utils import register_topic

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def event(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass with keyword fields, whose instances are made in one step.

    What `dataclass(frozen=True)` generates sets field by field around the freeze: 4 µs for a message, more than all else that
    deciding costs.
    """
    frozen = dataclass(frozen=True, kw_only=True, init=False)(cls)
    required = [f.name for f in fields(frozen) if f.default is MISSING]  # type: ignore[arg-type]
    lines = [f"def __init__(self, *, {', '.join(required)}):", " values = self.__dict__", *(f" values[{n!r}] = {n}" for n in required)]
    made: dict[str, Any] = {}
    exec("\n".join(lines), made)  # noqa: S102 - as `dataclass` makes its own; only names of fields are in it
    frozen.__init__ = made["__init__"]  # type: ignore[method-assign]
    return frozen


@event
class Event:
    """Something that happened, in the past tense.

    `originator_id` is the stream (`user-42`), `originator_version` the place in it, from 1. Deciders leave both unset;
    `place` fills them in once, before anyone else sees the event. They take no part in comparisons.
    """

    TOPIC: ClassVar[str]
    PRIVATE: ClassVar[bool] = False  # a private event never leaves the store: no history, no inbox
    PERSONAL: ClassVar[Mapping[str, str]] = {}  # personal field -> the field with its owner's uid, or `OWN`; stored under the owner's key
    ERASES: ClassVar[bool] = False  # once this event is stored, the key of its stream's user is destroyed for good
    class_version: ClassVar[int] = 1

    originator_id: str = field(default="", compare=False)
    originator_version: int = field(default=0, compare=False)
    at: float  # seconds since 1970, UTC, to the microsecond
    cause: str  # the id of the command or message behind it: one popup's whole life shares one cause

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "TOPIC" in cls.__dict__:
            register_topic(cls.TOPIC, cls)


class State(Protocol):
    """What a stream's events fold into."""

    stream: str
    version: int


@runtime_checkable
class Snapshotable(State, Protocol):
    """A state that may grow old: it can be stored whole, so that a stream of 100,000 events loads fast."""

    def dump(self) -> dict[str, Any]:
        """Plain data of the whole state."""

    def load(self, data: dict[str, Any]) -> None:
        """The reverse of `dump`."""


def place(events: Iterable[Event], stream: str, version: int) -> None:
    """Give fresh events their places in `stream`, after `version`. The only writer of a frozen event, before it is published."""
    for event in events:
        version += 1
        event.__dict__["originator_id"] = stream
        event.__dict__["originator_version"] = version
