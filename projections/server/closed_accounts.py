"""Who has left for good. Rule: a pure fold of this server's own log; whoever is listed here must have no key any more."""

from typing import Any

from domain.event import Event

FORMAT = 1  # of the dump; another one is thrown away and folded anew


class ClosedAccounts:
    """The uids of closed accounts, as this server has heard of them."""

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

    def dump(self) -> dict[str, Any]:
        """Plain data of the whole index."""
        return {"format": FORMAT, "position": self.position, "uids": sorted(self.uids)}

    def load(self, data: dict[str, Any]) -> bool:
        """The reverse of `dump`; `uids` stays the same set, for others look at it too. False, and nothing changed, for data of another
        format."""
        if data.get("format") != FORMAT:
            return False
        self.uids.clear()
        self.uids.update(data["uids"])
        self.position = data["position"]
        return True
