"""Who may seal, and what the Global Server does about a home's seal. Rule: pure; hashing is done before a command is made."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from domain.event import Event
from domain.events.integrity import LogSealed, SealEvent, SealReceived
from domain.integrity.chain import Seal, before_all


@dataclass(slots=True)
class SealedState:
    """How far a log is sealed (`log-<server>`), or was told to be (`witness-<server>`); of `restored-<server>` only the version."""

    stream: str
    version: int = 0
    last: int = 0
    digest: str = ""

    def dump(self) -> list[Any]:
        """Plain data, for a snapshot."""
        return [self.last, self.digest]

    def load(self, data: list[Any]) -> None:
        """The reverse of `dump`."""
        self.last, self.digest = data


@dataclass(frozen=True, slots=True, kw_only=True)
class SealLog:
    """Store this seal of our own log."""

    server: str
    seal: Seal
    cause: str

    @property
    def stream(self) -> str:
        return f"log-{self.server}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSeal:
    """Keep a home's seal."""

    server: str
    seal: Seal
    number: int
    sealed_at: float
    cause: str

    @property
    def stream(self) -> str:
        return f"witness-{self.server}"


SealCommand = SealLog | WitnessSeal


def seal_log(state: SealedState, command: SealLog, now: float) -> list[Event]:
    """Nothing happens when the log is sealed beyond what this seal continues: another process on the same store was first."""
    if command.seal.first != state.last + 1:
        return []
    return [LogSealed(**asdict(command.seal), server=command.server, at=now, cause=command.cause)]


def witness_seal(state: SealedState, command: WitnessSeal, now: float) -> list[Event]:
    """Every seal is kept, also one that contradicts those before: that is what a witness is for."""
    seal = command.seal
    follows = seal.first == state.last + 1 and seal.previous == (state.digest or before_all(command.server))
    return [
        SealReceived(
            **asdict(seal),
            server=command.server,
            number=command.number,
            sealed_at=command.sealed_at,
            follows=follows,
            at=now,
            cause=command.cause,
        )
    ]


def heard(event: Event, source: str) -> list[SealCommand]:
    """What the Global Server does about an event of `source`: it keeps its seals, and nobody speaks for another."""
    if not isinstance(event, LogSealed) or event.server != source:
        return []
    return [WitnessSeal(server=source, seal=seal_in(event), number=event.originator_version, sealed_at=event.at, cause=event.cause)]


def seal_in(event: SealEvent) -> Seal:
    """The seal that an event tells of."""
    return Seal(event.first, event.last, event.count, event.gaps, event.previous, event.digest, event.marks)


def evolve(state: SealedState, event: Event) -> None:
    """Apply one event of `log-<server>` or `witness-<server>`, in order."""
    if isinstance(event, SealEvent):
        state.last, state.digest = event.last, event.digest
    state.version = event.originator_version


STATES: dict[str, type] = {"log": SealedState, "witness": SealedState, "restored": SealedState}
FOLDS: dict[str, Callable[[Any, Event], None]] = {"log": evolve, "witness": evolve, "restored": evolve}
DECIDERS: dict[type, Callable[[Any, Any, float], list[Event]]] = {SealLog: seal_log, WitnessSeal: witness_seal}
