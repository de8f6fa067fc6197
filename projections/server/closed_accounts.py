"""Whose accounts are closed for good. Rule: a pure fold of this server's own log; nobody listed here may still have a key."""

from collections.abc import Mapping
from typing import Any

from domain.event import Event
from projections.server.log_fold import LogFold


class ClosedAccounts(LogFold):
    """The uids of the closed accounts that this server has heard of."""

    def __init__(self) -> None:
        super().__init__()
        self.uids: set[int] = set()

    def apply(self, position: int, event: Event) -> None:
        """Fold one event of this server's own log."""
        if position <= self.position:
            return
        self.position = position
        if event.ERASES:
            self.uids.add(event.stream_uid)

    def to_checkpoint(self) -> dict[str, Any]:
        """The whole index as plain data."""
        return self.checkpoint(uids=sorted(self.uids))

    def take(self, data: Mapping[str, Any]) -> None:
        """Take over the contents of a checkpoint. `uids` stays the same set, because others hold it too."""
        self.uids.clear()
        self.uids.update(data["uids"])
