"""The base of every event and snapshot. Rule: an event's `TOPIC` and stored fields outlive every rename of files and classes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from eventsourcing.utils import register_topic


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened, in the past tense.

    `originator_id` is the stream (`user-42`), `originator_version` the place in it, from 1. Deciders leave both unset;
    `place` fills them in once, before anyone else sees the event. They take no part in comparisons.
    """

    TOPIC: ClassVar[str]
    PRIVATE: ClassVar[bool] = False  # a private event never leaves the store: no history, no inbox
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
