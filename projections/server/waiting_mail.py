"""Which mailboxes are not empty. Rule: a pure fold of this home's own log; how many messages, and since when at the earliest."""

from typing import Any, ClassVar

from domain.event import Event
from domain.events.home import MailboxClosed, MessageErased, MessageExpired, MessageQueued, MessagesDelivered

FORMAT = 1  # of the dump; another one is thrown away and folded anew


class WaitingIndex:
    """uid -> [messages waiting, when the first of them came or earlier]. Empty mailboxes are not listed."""

    FOLDS: ClassVar[frozenset[type]] = frozenset(
        (MessageQueued, MessagesDelivered, MessageExpired, MessageErased, MailboxClosed)
    )  # the events that matter here

    def __init__(self) -> None:
        self.position = 0
        self.mailboxes: dict[int, list[Any]] = {}

    def apply(self, position: int, event: Event) -> None:
        """Fold one event of this home's own log."""
        if position <= self.position:
            return
        self.position = position
        if isinstance(event, MessageQueued):
            entry = self.mailboxes.setdefault(event.stream_uid, [0, event.at])
            entry[0] += 1
        elif isinstance(event, MessagesDelivered):
            self._take(event.stream_uid, len(event.messages))
        elif isinstance(event, MessageExpired | MessageErased):
            self._take(event.stream_uid, 1)
        elif isinstance(event, MailboxClosed):
            self.mailboxes.pop(event.stream_uid, None)

    def _take(self, uid: int, messages: int) -> None:
        entry = self.mailboxes.get(uid)
        if entry is not None:
            entry[0] -= messages
            if entry[0] <= 0:
                del self.mailboxes[uid]

    def since_before(self, time: float) -> list[int]:
        """The users whose mailboxes may hold a message from before `time`."""
        return [uid for uid, (_, since) in self.mailboxes.items() if since < time]

    def dump(self) -> dict[str, Any]:
        """Plain data of the whole index."""
        return {"format": FORMAT, "position": self.position, "mailboxes": {uid: list(e) for uid, e in self.mailboxes.items()}}

    def load(self, data: dict[str, Any]) -> bool:
        """The reverse of `dump`. False, and nothing changed, for data of another format."""
        if data.get("format") != FORMAT:
            return False
        self.position, self.mailboxes = data["position"], data["mailboxes"]
        return True
