"""Which mailboxes are not empty: how many messages wait, and since when at the earliest. Rule: a pure fold of this home's own log."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.home import MailboxClosed, MessageErased, MessageExpired, MessageQueued, MessagesDelivered
from projections.server.log_fold import LogFold


class WaitingIndex(LogFold):
    """uid -> [messages waiting, when the first of them came or earlier]. Empty mailboxes are not listed."""

    def __init__(self) -> None:
        super().__init__()
        self.mailboxes: dict[int, list[Any]] = {}

    def since_before(self, time: float) -> list[int]:
        """The users whose mailboxes may hold a message from before `time`."""
        return [uid for uid, (_, since) in self.mailboxes.items() if since < time]

    def to_checkpoint(self) -> dict[str, Any]:
        """The whole index as plain data."""
        return self.checkpoint(mailboxes={uid: list(e) for uid, e in self.mailboxes.items()})

    def take(self, data: Mapping[str, Any]) -> None:
        """Take over the contents of a checkpoint."""
        self.mailboxes = data["mailboxes"]

    def _queued(self, event: MessageQueued) -> None:
        entry = self.mailboxes.setdefault(event.stream_uid, [0, event.at])
        entry[0] += 1

    def _delivered(self, event: MessagesDelivered) -> None:
        self._take(event.stream_uid, len(event.messages))

    def _taken_out(self, event: MessageExpired | MessageErased) -> None:
        self._take(event.stream_uid, 1)

    def _take(self, uid: int, messages: int) -> None:
        entry = self.mailboxes.get(uid)
        if entry is not None:
            entry[0] -= messages
            if entry[0] <= 0:
                del self.mailboxes[uid]

    def _closed(self, event: MailboxClosed) -> None:
        self.mailboxes.pop(event.stream_uid, None)

    FOLDS: ClassVar = {
        MessageQueued: _queued,
        MessagesDelivered: _delivered,
        MessageExpired: _taken_out,
        MessageErased: _taken_out,
        MailboxClosed: _closed,
    }
