"""The projections of each kind of server. Rule: the lists stand nowhere else; a field's name is the name of the projection's file."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from projections.directory.directory import Directory
from projections.server.closed_accounts import ClosedAccounts
from projections.server.contacters import ContacterIndex
from projections.server.handles import Handles
from projections.server.presence import PresenceIndex
from projections.server.throttles import Throttles
from projections.server.waiting_mail import WaitingIndex


@dataclass(frozen=True, slots=True)
class HomeProjections:
    """What a Home Server folds from its log."""

    presence: PresenceIndex = field(default_factory=PresenceIndex)
    contacters: ContacterIndex = field(default_factory=ContacterIndex)
    waiting: WaitingIndex = field(default_factory=WaitingIndex)
    closed: ClosedAccounts = field(default_factory=ClosedAccounts)
    handles: Handles = field(default_factory=Handles)
    throttles: Throttles = field(default_factory=Throttles)

    def streams_with(self, uid: int) -> Iterator[str]:
        """The streams whose states hold something that this user wrote or is called: their own, the contact lists on which they stand,
        the mailboxes in which their messages wait, and the throttles, whose addresses they may have given."""
        yield from (f"user-{uid}", f"mailbox-{uid}")
        yield from (f"user-{watcher}" for watcher in self.contacters.watchers.get(uid, ()))
        yield from (f"mailbox-{recipient}" for recipient in self.waiting.recipients.get(uid, ()))
        yield from self.throttles.streams


@dataclass(frozen=True, slots=True)
class GlobalProjections:
    """What the Global Server folds from its log."""

    directory: Directory = field(default_factory=Directory)
    closed: ClosedAccounts = field(default_factory=ClosedAccounts)
    throttles: Throttles = field(default_factory=Throttles)

    def streams_with(self, uid: int) -> Iterator[str]:
        """The streams whose states hold something of this user."""
        yield f"account-{uid}"
        yield from self.throttles.streams


def by_name(projections: HomeProjections | GlobalProjections) -> dict[str, Any]:
    """Every projection of a server, by its name."""
    return {each.name: getattr(projections, each.name) for each in fields(projections)}
