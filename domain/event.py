"""The bases of events and of commands, and the streams that both name. Rule: a topic, a stored field and a stream are never renamed."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from eventsourcing.utils import register_topic
from msgspec import Struct
from msgspec.structs import asdict, replace

from domain.values import Cause, Moment


def stream_kind(stream: str) -> str:
    """Which aggregate a stream belongs to: "user" for `user-42`."""
    return stream.partition("-")[0]


def stream_uid(stream: str) -> int:
    """Whose stream it is: 42 for `user-42`. Raises `ValueError` for a stream that belongs to no user, such as `home-h1`."""
    return int(stream.partition("-")[2])


class AggregateCommand(Struct, frozen=True, kw_only=True):
    """A wish concerning one aggregate of one user."""

    AGGREGATE: ClassVar[str]
    uid: int
    cause: str

    @property
    def stream(self) -> str:
        """The stream whose state decides: `user-42` for the aggregate `user`."""
        return f"{self.AGGREGATE}-{self.uid}"


STREAM_AND_VERSION = ("originator_id", "originator_version")  # stored beside the fields of an event


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened, in the past tense.

    `originator_id` is the stream (`user-42`), `originator_version` the event's number in it, from 1. Deciders leave both unset;
    the writer makes copies that have both.
    """

    TOPIC: ClassVar[str]
    PRIVATE: ClassVar[bool] = False  # a private event never leaves the store: it goes into no history and no inbox
    PERSONAL: ClassVar[Mapping[str, str]] = {}  # personal field -> the field with its owner's uid, or `OWN`; stored encrypted
    ERASES: ClassVar[bool] = False  # once this event is stored, the key of the stream's user is destroyed for good
    class_version: ClassVar[int] = 1

    originator_id: str = ""
    originator_version: int = 0
    at: Moment  # to the microsecond
    cause: Cause  # the id of the command or message that led to it; all events of one popup's life share it

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "TOPIC" in cls.__dict__:
            register_topic(cls.TOPIC, cls)

    @property
    def stream_uid(self) -> int:
        """The user whose stream this event is in. Many events have a stored field `uid` as well, which may name somebody else."""
        return int(self.originator_id.partition("-")[2])


def in_stream(events: Iterable[Event], stream: str, version: int) -> list[Event]:
    """The same events with their stream and version, the first after `version`: for logs that are made without a writer, as load tests
    make them."""
    return [replace(event, originator_id=stream, originator_version=number) for number, event in enumerate(events, version + 1)]


def stored_fields(event: Event) -> dict[str, Any]:
    """What an event says, without its stream and version, in the order in which it is stored."""
    fields = asdict(event)
    for name in STREAM_AND_VERSION:
        del fields[name]
    return fields
