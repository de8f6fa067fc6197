"""Which events of other servers are new here. Rule: pure, without input or output; what the store says is handed in.

A source's position only rises, and events at or below it are repeats. The position also rises past an event that could not be applied. So
such an event is noted as skipped, in the same commit; when its dead letter is put back, it is applied, once (decision 28).

Each mail says which one was before it. Where that one has not come, mail is missing: nothing of the later one counts, and it comes again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.event import Event
from servers.store.log.positions import APPLIED_LATER, SKIPPED

MOST_NOTES = 10_000  # of one source, some 1 MB: a dead letter beyond them cannot be put back


class Arrived(NamedTuple):
    """The events of one delivery, in order. `events`: by position, None for one that is unreadable. Everything that its source has for us
    above `previous` and up to `last` is there; mail of version 1 (`last` is 0) does not say so."""

    source: str
    events: Sequence[tuple[int, Event | None]]
    previous: int = 0
    last: int = 0


@dataclass(slots=True)
class Fresh:
    """What a batch brings."""

    events: list[tuple[Event, str]] = field(default_factory=list)  # to be applied, each with its source
    positions: dict[str, int] = field(default_factory=dict)  # how far each source has come with them
    notes: dict[tuple[str, int], int] = field(default_factory=dict)  # what is to be noted of events, by source and position
    unexplained: list[int] = field(default_factory=list)  # deliveries, by number, of which nothing is new and nothing was skipped
    holes: list[int] = field(default_factory=list)  # deliveries, by number, before which mail is missing: nothing of them counts
    old: list[int] = field(default_factory=list)  # deliveries, by number, all of which came before
    repeats: int = 0


class Dedup:
    """Knows of each source how far it has come, and which of its events were skipped or applied later."""

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}
        self._notes: dict[str, dict[int, int]] = {}  # for every source in `_positions`

    def knows(self, source: str) -> bool:
        """Whether the store has said how far this source has come."""
        return source in self._positions

    def position(self, source: str) -> int:
        """How far this source has come; 0 for an unknown one."""
        return self._positions.get(source, 0)

    def learn(self, source: str, position: int, notes: Mapping[int, int]) -> None:
        """Take over what the store says of a source."""
        self._positions[source] = position
        self._notes[source] = dict(notes)

    def forget(self, sources: Iterable[str]) -> None:
        """The store must be asked again about these sources."""
        for source in sources:
            self._positions.pop(source, None)

    def sort(self, batch: Sequence[Arrived]) -> Fresh:
        """Tell new events from repeats. Every source must be known."""
        fresh = Fresh()
        for number, (source, events, previous, end) in enumerate(batch):
            if not events and not end:
                continue
            last, noted, explained = fresh.positions.get(source, self._positions[source]), self._notes[source], False
            if previous > last:
                fresh.holes.append(number)
                continue
            came_before = 0 < end <= last
            for position, event in events:
                note = fresh.notes.get((source, position)) or noted.get(position)
                new = note is None and position > last
                explained |= new or note is not None
                if event is None:
                    if (
                        new and len(noted) + len(fresh.notes) < MOST_NOTES
                    ):  # below the position it may have been applied when it was readable
                        fresh.notes[source, position] = SKIPPED
                elif new or note == SKIPPED:
                    fresh.events.append((event, source))
                    if note == SKIPPED:
                        fresh.notes[source, position] = APPLIED_LATER
                    if position > last:
                        fresh.positions[source] = last = position
                else:
                    fresh.repeats += 1
            if end > last:
                fresh.positions[source] = end
            if came_before:
                fresh.old.append(number)
                fresh.repeats += not events
            if not explained:
                fresh.unexplained.append(number)
        return fresh

    def committed(self, fresh: Fresh) -> None:
        """What a batch brought is on disk."""
        self._positions.update(fresh.positions)
        for (source, position), note in fresh.notes.items():
            self._notes[source][position] = note
