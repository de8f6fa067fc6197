"""What every aggregate is made of. Rule: the same four modules each time, and none of them knows another aggregate.

| module        | what it holds                                                                        |
|---------------|--------------------------------------------------------------------------------------|
| `state.py`    | what the events of one stream fold into, and its snapshot                            |
| `commands.py` | what can be asked; a command names the stream whose state decides                    |
| `decide.py`   | `DECIDERS`: state, command and time in; events out, or a refusal; nothing is changed |
| `evolve.py`   | `FOLDS`: how each event changes the state; never fails; `PLACES`, where it needs any |

Both are tables by class, because a look into a dictionary costs 60 ns and a `match` 40 ns for every class before the right one.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from domain.event import Event

Deciders = dict[type, Callable[[Any, Any, float], list[Event]]]  # class of a command -> (state, command, now) -> what happens
Folds = dict[type, Callable[[Any, Any], None]]  # class of an event -> how it changes the state of its stream
# Class of an event -> how the state notes where the log has an event that it has folded: (state, event, position, bytes as it is stored).
# An event is folded before it is on disk, so its place comes later.
Places = dict[type, Callable[[Any, Any, int, int], None]]


class State(Protocol):
    """What a stream's events fold into."""

    stream: str
    version: int


@runtime_checkable
class Snapshotable(State, Protocol):
    """A state that can be stored whole, so that a stream of 100,000 events loads fast."""

    def to_snapshot(self) -> Any:
        """The whole state as plain data and `Personal` values."""

    def from_snapshot(self, data: Any) -> None:
        """Take over the state that `to_snapshot` gave. The version is set by the caller."""


@runtime_checkable
class Placed(State, Protocol):
    """A state that knows where events lie."""

    @property
    def unplaced(self) -> int:
        """The version of the first event whose place it does not know, as in snapshots of before; 0 when it knows all."""


def unchanged(state: Any, event: Event) -> None:
    """The fold of an event that is kept for the history only."""
