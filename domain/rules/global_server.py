"""All rules of the Global Server in one table, for its writer. Rule: nothing is decided here, only looked up."""

from collections.abc import Callable, Collection
from typing import Any

from domain.event import Event
from domain.events.global_server import AccountClosed, ProfileChanged, UserRegistered
from domain.integrity import seal as seals
from domain.integrity.seal import SealCommand
from domain.registry import account, audit_trail, registered_home
from domain.registry.account import AccountCommand, AccountState, HandleState
from domain.registry.audit_trail import TrailCommand, TrailState
from domain.registry.registered_home import HomeCommand, HomeState

Command = AccountCommand | HomeCommand | TrailCommand | SealCommand

STATES: dict[str, type] = {"account": AccountState, "handle": HandleState, "home": HomeState, "audit": TrailState, **seals.STATES}
FOLDS: dict[str, Callable[[Any, Event], None]] = {
    "account": account.evolve,
    "handle": account.evolve_handle,
    "home": registered_home.evolve,
    "audit": audit_trail.evolve,
    **seals.FOLDS,
}
DECIDERS: dict[type, Callable[[Any, Any, float], list[Event]]] = {
    **account.DECIDERS,
    **registered_home.DECIDERS,
    **audit_trail.DECIDERS,
    **seals.DECIDERS,
}
# The homes that must hear of an event: the user's own, which adopts them under this name; all of them when a user leaves.
RECIPIENTS: dict[type, Callable[[Any], Collection[str]]] = {
    UserRegistered: lambda event: (event.home,),
    ProfileChanged: lambda event: (event.home,),
    AccountClosed: lambda event: set(event.homes),
}
