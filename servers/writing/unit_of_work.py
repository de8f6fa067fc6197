"""What one caller wants of the writer. Rule: its commands are on disk together or not at all, and the caller is told in either case."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eventsourcing.persistence import Tracking

from domain.errors import Rejected
from domain.event import Event
from domain.rules.rules import Command
from runtime.deferred import Deferred

Lane = int | str  # a user's uid, a server's name, or the house's own
HOUSE: Lane = ""


@dataclass(slots=True, eq=False)
class UnitOfWork:
    """Commands that happen together or not at all, and the positions that are stored with their events."""

    commands: Sequence[Command]
    trackings: Sequence[Tracking]
    result: Deferred[Any]
    lane: Lane = HOUSE
    size: int = 0  # bytes of the texts in its commands
    since: float = 0.0  # when it was asked for, as `time.monotonic` says it
    events: list[Event] = field(default_factory=list)  # what the commands were decided into
    refusal: Rejected | None = None  # what a command was refused with, before anything was decided
