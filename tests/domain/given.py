"""given(history).when(command).then(events), for every decider. Rule: a test says what happened and what follows, never how.

given = Story.of(RULES)
given(HandleClaimed(...)).when(ClaimHandle(...)).refuses(HandleTaken)
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from domain.errors import Rejected
from domain.event import Event, in_stream
from domain.rules.rules import Rules

NOW = 1_700_000_000.0  # any moment will do, as long as every test agrees on it


@dataclass(slots=True)
class Story:
    """What happened so far. The history is given in order, as events of one stream, or as `(stream, event)` for several."""

    rules: Rules
    history: Sequence[Event | tuple[str, Event]]

    @classmethod
    def of(cls, rules: Rules) -> "Callable[..., Story]":
        """A `given` for the rules of one server."""
        return partial(cls._begin, rules)

    @classmethod
    def _begin(cls, rules: Rules, *history: Event | tuple[str, Event] | Iterable[Event]) -> "Story":
        flat: list[Event | tuple[str, Event]] = []
        for item in history:
            if isinstance(item, (Event, tuple)):
                flat.append(item)
            else:
                flat.extend(item)
        return cls(rules, flat)

    def state(self, stream: str) -> Any:
        """The state of `stream` after the history. Events without a stream of their own belong to every stream asked for."""
        state = self.rules.new_state(stream)
        versions: defaultdict[str, int] = defaultdict(int)
        for item in self.history:
            where, event = item if isinstance(item, tuple) else (stream, item)
            if where == stream:
                (event,) = in_stream([event], stream, versions[stream])
                versions[stream] += 1
                self.rules.evolve(state, event)
        return state

    def when(self, command: Any, now: float = NOW) -> "Decision":
        """Decide `command` at `now`."""
        state = self.state(command.stream)
        before = repr(state)
        try:
            events = self.rules.decide(state, command, now)
            refusal = None
        except Rejected as error:
            events, refusal = [], error
        assert repr(state) == before, "a decider must not change the state: that is for evolve"
        return Decision(self, command, events, refusal)


@dataclass(slots=True)
class Decision:
    """What a command led to."""

    story: Story
    command: Any
    events: list[Event]
    refusal: Rejected | None

    def then(self, *expected: Event) -> "Decision":
        """Exactly these events follow (places take no part), and the state takes them in."""
        assert self.refusal is None, f"refused: {self.refusal!r}"
        assert self.events == list(expected)
        state = self.story.state(self.command.stream)
        for event in in_stream(self.events, state.stream, state.version):
            self.story.rules.evolve(state, event)
            assert state.version == event.originator_version
        return self

    def then_nothing(self) -> "Decision":
        """It is accepted, and changes nothing."""
        return self.then()

    def refuses(self, error: type[Rejected], **extra: Any) -> "Decision":
        """It is refused with `error`, whose `extra` has these fields."""
        assert type(self.refusal) is error, f"expected {error.__name__}, got {self.refusal or self.events!r}"
        assert extra.items() <= self.refusal.extra.items()
        return self
