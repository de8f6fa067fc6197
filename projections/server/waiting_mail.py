"""Which mailboxes are not empty: how many messages wait, from whom, since when at the earliest. Rule: a pure fold of this home's log."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.home import MailboxClosed, MessageErased, MessageExpired, MessageQueued, MessagesDelivered
from projections.server.log_fold import LogFold


class WaitingIndex(LogFold):
    """`mailboxes`: uid -> [messages waiting, when the first of them came or earlier]. Empty mailboxes are not listed.

    `recipients`: a sender -> the mailboxes in which a message of that sender waits.
    """

    FORMAT: ClassVar = 2  # 2: with the senders

    def __init__(self) -> None:
        super().__init__()
        self.mailboxes: dict[int, list[Any]] = {}
        self.recipients: dict[int, set[int]] = {}
        self._senders: dict[int, list[int]] = {}  # of each mailbox, one entry for each message

    def since_before(self, time: float) -> list[int]:
        """The users whose mailboxes may hold a message from before `time`."""
        return [uid for uid, (_, since) in self.mailboxes.items() if since < time]

    def to_checkpoint(self) -> dict[str, Any]:
        """The whole index as plain data."""
        return self.checkpoint(
            mailboxes={uid: list(e) for uid, e in self.mailboxes.items()}, senders={uid: list(s) for uid, s in self._senders.items()}
        )

    def take(self, data: Mapping[str, Any]) -> None:
        """Take over the contents of a checkpoint."""
        self.mailboxes, self._senders = data["mailboxes"], data["senders"]
        for uid, senders in self._senders.items():
            for sender in senders:
                self.recipients.setdefault(sender, set()).add(uid)

    def _queued(self, event: MessageQueued) -> None:
        uid, sender = event.stream_uid, event.uid
        entry = self.mailboxes.setdefault(uid, [0, event.at])
        entry[0] += 1
        self._senders.setdefault(uid, []).append(sender)
        self.recipients.setdefault(sender, set()).add(uid)

    def _delivered(self, event: MessagesDelivered) -> None:
        for _, sender, _ in event.messages:
            self._take(event.stream_uid, sender)

    def _taken_out(self, event: MessageExpired | MessageErased) -> None:
        self._take(event.stream_uid, event.uid)

    def _take(self, uid: int, sender: int) -> None:
        senders = self._senders.get(uid, [])
        if sender not in senders:
            return
        senders.remove(sender)
        if sender not in senders:
            self._part(uid, sender)
        if senders:
            self.mailboxes[uid][0] -= 1
        else:
            del self.mailboxes[uid], self._senders[uid]

    def _part(self, uid: int, sender: int) -> None:
        recipients = self.recipients[sender]
        recipients.discard(uid)
        if not recipients:
            del self.recipients[sender]

    def _closed(self, event: MailboxClosed) -> None:
        uid = event.stream_uid
        self.mailboxes.pop(uid, None)
        for sender in set(self._senders.pop(uid, ())):
            self._part(uid, sender)

    FOLDS: ClassVar = {
        MessageQueued: _queued,
        MessagesDelivered: _delivered,
        MessageExpired: _taken_out,
        MessageErased: _taken_out,
        MailboxClosed: _closed,
    }
