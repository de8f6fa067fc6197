"""The projections of each kind of server. Rule: the lists stand nowhere else; a field's name is the name of the projection's file."""

from dataclasses import dataclass, field, fields
from typing import Any

from projections.directory.directory import Directory
from projections.server.closed_accounts import ClosedAccounts
from projections.server.contacters import ContacterIndex
from projections.server.handles import Handles
from projections.server.presence import PresenceIndex
from projections.server.waiting_mail import WaitingIndex


@dataclass(frozen=True, slots=True)
class HomeProjections:
    """What a Home Server folds from its log."""

    presence: PresenceIndex = field(default_factory=PresenceIndex)
    contacters: ContacterIndex = field(default_factory=ContacterIndex)
    waiting: WaitingIndex = field(default_factory=WaitingIndex)
    closed: ClosedAccounts = field(default_factory=ClosedAccounts)
    handles: Handles = field(default_factory=Handles)


@dataclass(frozen=True, slots=True)
class GlobalProjections:
    """What the Global Server folds from its log."""

    directory: Directory = field(default_factory=Directory)
    closed: ClosedAccounts = field(default_factory=ClosedAccounts)


def by_name(projections: HomeProjections | GlobalProjections) -> dict[str, Any]:
    """Every projection of a server, by its name."""
    return {each.name: getattr(projections, each.name) for each in fields(projections)}
