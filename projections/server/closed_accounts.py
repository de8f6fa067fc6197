"""Whose accounts are closed for good. Rule: a pure fold of this server's own log; nobody listed here may still have a key."""

from typing import Any

from domain.event import Event

FORMAT = 1  # of the checkpoint; one of another format is thrown away, and the log is folded from its start


class ClosedAccounts:
    """The uids of the closed accounts that this server has heard of."""

    def __init__(self) -> None:
        self.position = 0
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
        return {"format": FORMAT, "position": self.position, "uids": sorted(self.uids)}

    def from_checkpoint(self, data: dict[str, Any]) -> bool:
        """Take over what `to_checkpoint` gave. `uids` stays the same set, because others hold it too. False, and nothing changed, for data
        of another format."""
        if data.get("format") != FORMAT:
            return False
        self.uids.clear()
        self.uids.update(data["uids"])
        self.position = data["position"]
        return True
