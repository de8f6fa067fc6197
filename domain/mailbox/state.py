"""A user's mailbox: what waits, numbered by `seq`, until a client acknowledges it. Rule: only `evolve.py` changes it.

The state keeps the waiting events themselves, because a session shows their fields.
"""

from dataclasses import dataclass, field
from typing import Any

from domain.event import stream_uid
from domain.events.home import MessageQueued, ReceiptQueued
from domain.personal import event_with_owners

MAX_WAITING = 1_000  # unacknowledged messages; beyond that the sender gets a `bounced` receipt
MAX_RECEIPTS = 1_000  # unacknowledged receipts; beyond that the oldest is forgotten: a client that never acks must not grow the mailbox
OPEN_MESSAGES = 1_000  # delivered messages that can still be marked done

Waiting = MessageQueued | ReceiptQueued


@dataclass(slots=True)
class MailboxState:
    """What a mailbox's events fold into. `waiting` is ordered by `seq`, `messages` says how many of it are messages. `open`: (message id,
    sender) -> the sender's home, or None once the message is done; an id is unique among one sender's messages only."""

    stream: str
    version: int = 0
    closed: bool = False  # for good
    last_seq: int = 0
    waiting: dict[int, Waiting] = field(default_factory=dict)
    messages: int = 0
    open: dict[tuple[str, int], str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        stream_uid(self.stream)  # nothing may be decided in a stream that no user can have, whatever another server sent

    def to_snapshot(self) -> dict[str, Any]:
        """The whole state as plain data and `Personal` values."""
        return {
            "last_seq": self.last_seq,
            "messages": self.messages,
            "closed": self.closed,
            "waiting": [[isinstance(e, MessageQueued), event_with_owners(e)] for e in self.waiting.values()],
            "open": [[id_, sender, home or "", home is None] for (id_, sender), home in self.open.items()],
        }

    def from_snapshot(self, data: dict[str, Any]) -> None:
        """Take over the state that `to_snapshot` gave."""
        self.last_seq, self.messages = data["last_seq"], data["messages"]
        self.closed = data.get("closed", False)
        self.open = {(id_, sender): None if done else home for id_, sender, home, done in data["open"]}
        for message, fields in data["waiting"]:
            event = (MessageQueued if message else ReceiptQueued)(**fields)
            self.waiting[event.seq] = event
