"""How the events about a log change `SealedState`. Rule: an event never fails to apply."""

from domain.aggregate import Folds, unchanged
from domain.events.integrity import ClockCorrected, LifeBegan, LogRestored, LogSealed, SealEvent, SealReceived
from domain.integrity.state import LifeState, SealedState


def _sealed(state: SealedState, event: SealEvent) -> None:
    state.last, state.digest = event.last, event.digest


def _life_began(state: LifeState, event: LifeBegan) -> None:
    state.life, state.former, state.agreed = event.life, event.former, event.agreed


FOLDS: Folds = {LogSealed: _sealed, SealReceived: _sealed, LogRestored: unchanged, ClockCorrected: unchanged, LifeBegan: _life_began}
