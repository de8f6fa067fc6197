"""How the events about a log change `SealedState`. Rule: an event never fails to apply."""

from domain.aggregate import Folds, unchanged
from domain.events.integrity import ClockCorrected, LogRestored, LogSealed, SealEvent, SealReceived
from domain.integrity.state import SealedState


def _sealed(state: SealedState, event: SealEvent) -> None:
    state.last, state.digest = event.last, event.digest


FOLDS: Folds = {LogSealed: _sealed, SealReceived: _sealed, LogRestored: unchanged, ClockCorrected: unchanged}
