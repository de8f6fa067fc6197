"""What a server is made of, for the writer: states, folds, deciders and reactions. Rule: the writer knows no event by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from domain.event import Event, State, stream_kind


class Command(Protocol):
    """A wish; the state of `stream` decides on it."""

    @property
    def stream(self) -> str:
        """The stream whose state decides."""

    @property
    def cause(self) -> str:
        """Why: the id that the resulting events carry."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One server's rules. Keys of `states` and `folds`: the stream's name before the first "-"."""

    states: Mapping[str, type]
    folds: Mapping[str, Callable[[Any, Event], None]]
    deciders: Mapping[type, Callable[[Any, Any, float], list[Event]]]
    # What this server does at once about an event of its own, in the same transaction.
    reactions: Mapping[type, Callable[[Any], Sequence[Command]]] = field(default_factory=dict)

    def new_state(self, stream: str) -> State:
        """The state of a stream without events."""
        state: State = self.states[stream_kind(stream)](stream)
        return state

    def fold(self, stream: str) -> Callable[[Any, Event], None]:
        """How an event of `stream` changes its state."""
        return self.folds[stream_kind(stream)]
