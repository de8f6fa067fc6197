"""The rules of what an auditor leaves behind (`audit-<uid>`). Rule: pure; whoever looks is noted before they see anything."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from domain.event import Event
from domain.events.global_server import AuditRead, DeadLettersHandled


@dataclass(slots=True)
class TrailState:
    """An auditor's trail: nothing is decided by it."""

    stream: str
    version: int = 0

    def dump(self) -> list[Any]:
        """Plain data, for a snapshot."""
        return []

    def load(self, data: list[Any]) -> None:
        """The reverse of `dump`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRead:
    """`by` is about to read `what` of `whom`; see `AuditRead`."""

    by: int
    handle: str
    what: str
    whom: str
    cause: str

    @property
    def stream(self) -> str:
        return f"audit-{self.by}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteDeadLetters:
    """`by` is about to put dead letters back or to throw them away; see `DeadLettersHandled`."""

    by: int
    handle: str
    action: str
    letters: str
    cause: str

    @property
    def stream(self) -> str:
        return f"audit-{self.by}"


TrailCommand = NoteRead | NoteDeadLetters


def note_read(state: TrailState, command: NoteRead, now: float) -> list[Event]:
    """Every read, the same one again included."""
    return [AuditRead(by=command.by, handle=command.handle, what=command.what, whom=command.whom, at=now, cause=command.cause)]


def note_dead_letters(state: TrailState, command: NoteDeadLetters, now: float) -> list[Event]:
    """Every action."""
    return [
        DeadLettersHandled(
            by=command.by, handle=command.handle, action=command.action, letters=command.letters, at=now, cause=command.cause
        )
    ]


def evolve(state: TrailState, event: Event) -> None:
    """Apply one event of `audit-<uid>`, in order."""
    state.version = event.originator_version


DECIDERS: dict[type, Callable[[Any, Any, float], list[Event]]] = {NoteRead: note_read, NoteDeadLetters: note_dead_letters}
