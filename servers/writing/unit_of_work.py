"""What one caller wants of the writer. Rule: its commands are on disk together or not at all, and the caller is told in either case."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eventsourcing.persistence import Tracking
from msgspec.structs import replace

from domain.errors import Rejected
from domain.event import Event
from domain.rules.rules import Command, Rules
from runtime.deferred import Deferred
from servers.writing.state_cache import StateCache

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
    events: list[Event] = field(default_factory=list)  # what the commands were decided into
    refusal: Rejected | None = None  # what a command was refused with, before anything was decided

    def decide(self, waiting: list[Command], now: float, states: StateCache, rules: Rules) -> str | None:
        """Decide the waiting commands, and those that follow from them. Returns the stream whose state must be loaded first, or None when
        all are decided."""
        decided = self.events
        deciders, folds, policies = rules.deciders, rules.folds, rules.policies  # plain tables: a call each costs more
        for number, command in enumerate(waiting):  # the list grows meanwhile
            stream = command.stream
            state = states.get(stream)
            if state is None:
                del waiting[:number]
                return stream
            states.move_to_end(stream)
            try:
                events = deciders[type(command)](state, command, now)
            except Rejected as refusal:
                if decided:
                    raise RuntimeError(f"{type(command).__name__} refused after its unit had decided") from refusal
                self.refusal = refusal
                return None
            for version, decision in enumerate(events, state.version + 1):
                event = replace(decision, originator_id=stream, originator_version=version)
                decided.append(event)  # before it is folded: if the fold fails half way, the changed state is known and forgotten
                kind = type(event)
                folds[kind](state, event)
                state.version = version
                if kind in policies:
                    waiting += policies[kind](event, rules.server, rules.server)
        return None
