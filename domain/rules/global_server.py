"""All rules of the Global Server in tables. Rule: nothing is decided here, only looked up."""

from collections.abc import Callable, Collection
from typing import Any

from domain.events.global_server import AccountClosed, HomeRevoked, ProfileChanged, UserRegistered
from domain.events.integrity import LogSealed
from domain.integrity import decide as seal_deciders
from domain.integrity import evolve as seal_folds
from domain.integrity.state import LifeState, SealedState
from domain.registry import decide, evolve
from domain.registry.registered_home import GLOBAL
from domain.registry.state import AccountState, HandleState, HomeState, TrailState, UidsState
from domain.rules.rules import Rules
from domain.rules.sealing import witness

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
    },
    deciders=decide.DECIDERS | seal_deciders.DECIDERS,
    folds=evolve.FOLDS | seal_folds.FOLDS,
    policies={LogSealed: witness},
)
# The homes that must hear of an event: the user's own home, which adopts the user under this name, and every home when a user
# leaves or a home is revoked.
RECIPIENTS: dict[type, Callable[[Any], Collection[str]]] = {
    UserRegistered: lambda event: (event.home,),
    ProfileChanged: lambda event: (event.home,),
    AccountClosed: lambda event: set(event.homes),
    HomeRevoked: lambda event: set(event.homes),
}
