"""How the events change who has turns at a tenth. Rule: an event never fails to apply, and what is over is forgotten with the next one."""

from domain.aggregate import Folds
from domain.events.throttles import ThrottleBegan, ThrottleEnded
from domain.throttles.state import ThrottlesState


def _began(state: ThrottlesState, event: ThrottleBegan) -> None:
    for target in [target for target, until in state.until.items() if until <= event.at]:
        del state.until[target], state.givers[target]
    if event.target[1]:
        state.until[event.target], state.givers[event.target] = event.until, event.by


def _ended(state: ThrottlesState, event: ThrottleEnded) -> None:
    state.until.pop(event.target, None)
    state.givers.pop(event.target, None)


FOLDS: Folds = {ThrottleBegan: _began, ThrottleEnded: _ended}
