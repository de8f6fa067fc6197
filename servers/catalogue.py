"""What a server is made of, for the writer: states, folds, deciders and reactions. Rule: the writer knows no event by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from domain.event import Event, State


class Command(Protocol):
    """A wish; the state of `stream` decides on it."""

    @property
    def stream(self) -> str:
        """The stream whose state decides."""

    @property
    def cause(self) -> str:
        """Why: the id that the resulting events carry."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One server's rules. Keys of `states` and `folds`: the stream's name before the first "-"."""

    states: Mapping[str, type]
    folds: Mapping[str, Callable[[Any, Event], None]]
    deciders: Mapping[type, Callable[[Any, Any, float], list[Event]]]
    react: Callable[[Event], Sequence[Command]]  # what this server does at once about its own event, in the same transaction

    def new_state(self, stream: str) -> State:
        """The state of a stream without events."""
        state: State = self.states[stream.partition("-")[0]](stream)
        return state

    def fold(self, stream: str) -> Callable[[Any, Event], None]:
        """How an event of `stream` changes its state."""
        return self.folds[stream.partition("-")[0]]
