"""What a server's rules are made of. Rule: the writer, the inbox and the store know no event by name; they ask here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from domain.aggregate import State
from domain.event import Event, stream_kind


class Command(Protocol):
    """A wish; the state of `stream` decides on it."""

    @property
    def stream(self) -> str:
        """The stream whose state decides."""

    @property
    def cause(self) -> str:
        """Why: the id that the resulting events carry."""


# (event, the server that stored it, the server that reacts) -> what that server wants to happen. A policy's command is never refused.
Policy = Callable[[Any, str, str], Sequence[Command]]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of `server`. `states`: kind of stream (`user` of `user-42`) -> class of its state; the other tables are by class."""

    server: str
    states: Mapping[str, type]
    deciders: Mapping[type, Callable[[Any, Any, float], list[Event]]]
    folds: Mapping[type, Callable[[Any, Any], None]]
    policies: Mapping[type, Policy] = field(default_factory=dict)
    places: Mapping[type, Callable[[Any, Any, int, int], None]] = field(default_factory=dict)

    def new_state(self, stream: str) -> State:
        """The state of a stream without events."""
        state: State = self.states[stream_kind(stream)](stream)
        return state

    def decide(self, state: State, command: Command, now: float) -> list[Event]:
        """What happens because of `command`; stream and version are not set yet. Raises `Rejected`."""
        return self.deciders[type(command)](state, command, now)

    def evolve(self, state: State, event: Event) -> None:
        """Apply the next event of the state's stream."""
        self.folds[type(event)](state, event)
        state.version = event.originator_version

    def place(self, state: State, event: Event, position: int, size: int) -> None:
        """Note where the log has an event that was applied: its position, and how many bytes are stored there."""
        note = self.places.get(type(event))
        if note is not None:
            note(state, event, position, size)

    def react(self, event: Event, source: str) -> Sequence[Command]:
        """What this server wants to happen because of an event that `source` has stored."""
        policy = self.policies.get(type(event))
        return policy(event, source, self.server) if policy else ()
