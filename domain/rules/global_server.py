"""All rules of the Global Server in tables. Rule: nothing is decided here, only looked up."""

from collections.abc import Callable, Collection
from typing import Any

from domain.events.global_server import AccountClosed, HomeRevoked, ProfileChanged, UserRegistered
from domain.events.integrity import LogSealed
from domain.events.throttles import ThrottleBegan, ThrottleEnded
from domain.integrity import decide as seal_deciders
from domain.integrity import evolve as seal_folds
from domain.integrity.state import LifeState, SealedState
from domain.registry import decide, evolve
from domain.registry.registered_home import GLOBAL
from domain.registry.state import AccountState, HandleState, HomeState, TrailState, UidsState
from domain.rules.rules import Rules
from domain.rules.sealing import witness
from domain.throttles import decide as throttle_deciders
from domain.throttles import evolve as throttle_folds
from domain.throttles.state import ThrottlesState

RULES = Rules(
    server=GLOBAL,
    states={
        "account": AccountState,
        "handle": HandleState,
        "home": HomeState,
        "audit": TrailState,
        "log": SealedState,
        "witness": SealedState,
        "restored": SealedState,
        "clock": SealedState,
        "life": LifeState,
        "uids": UidsState,
        "throttles": ThrottlesState,
    },
    deciders=decide.DECIDERS | seal_deciders.DECIDERS | throttle_deciders.DECIDERS,
    folds=evolve.FOLDS | seal_folds.FOLDS | throttle_folds.FOLDS,
    policies={LogSealed: witness},
)
# The homes that must hear of an event: the user's own home, which adopts the user under this name, and every home when a user
# leaves, a home is revoked, or somebody has turns at a tenth.
RECIPIENTS: dict[type, Callable[[Any], Collection[str]]] = {
    UserRegistered: lambda event: (event.home,),
    ProfileChanged: lambda event: (event.home,),
    AccountClosed: lambda event: set(event.homes),
    HomeRevoked: lambda event: set(event.homes),
    ThrottleBegan: lambda event: set(event.homes),
    ThrottleEnded: lambda event: set(event.homes),
}
