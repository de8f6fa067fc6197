"""What this client has received, processed and acknowledged. Rule: sans-IO; the one place that decides what is new and what to ack.

Everything that has a seq passes through one queue in order, and each item knows the connection (epoch) it came on. Only what was
*processed* on the present connection, or what the home promised to start after, raises the position that is acknowledged: a number
from a mailbox that has since been lost or reset can therefore never acknowledge a message nobody has seen.
"""

from dataclasses import dataclass
from datetime import datetime

from flash_sdk.events import Event, Message, Receipt, Welcome
from flash_sdk.seen import MemorySeen, SeenStore, key_of

RECEIPTS_PER_ACK = 32  # half of a session's window of 64: lazy, yet the home never waits for us
MAX_AHEAD = 1_000  # as many as a mailbox holds


@dataclass(frozen=True, slots=True)
class Item:
    """Something for the consumer, in order. `event` None: a repeat or unknown part, only its number counts."""

    event: Event | None
    epoch: int
    seq: int | None = None
    eager: bool = False  # acknowledge at once after processing: messages, repeats of them included
    key: str | None = None  # to remember as shown


class Mailbox:
    """The state of one client over all its back connections."""

    def __init__(self, seen: SeenStore | None = None, *, peek: bool = False) -> None:
        """`peek`: nothing is ever acknowledged or remembered as shown."""
        self._seen: SeenStore = seen if seen is not None else MemorySeen()
        self._received = MemorySeen()  # handed to the queue, perhaps not processed yet; receipts too
        self._peek = peek
        self.ahead: dict[str, datetime] = {}  # what came straight, before the home's copy: id -> when it was sent
        self._epoch = 0
        self._asked_to_resume_after: int | None = None
        self._floor = self._nothing_since = 0
        self._lazy = 0
        self.session: str | None = None
        self.upto = 0
        self.acked = 0

    def resume(self) -> dict[str, object] | None:
        """What to tell the home on the next connection; None the first time."""
        if self.session is None:
            return None
        self._asked_to_resume_after = max(self.upto, self._nothing_since)
        return {"session": self.session, "seq": self._asked_to_resume_after}

    def welcome(self, welcome: Welcome) -> None:
        """A new connection stands. Only `replayed` says that the home starts after the number we gave; with `fresh` it knows of nothing
        after it: that number is said again next time, else a home would have to take us for one who has missed everything."""
        asked, self._asked_to_resume_after = self._asked_to_resume_after or 0, None
        self._epoch += 1
        self._floor = self.upto = asked if welcome.verdict == "replayed" else 0
        self._nothing_since = asked if welcome.verdict == "fresh" else 0
        self.acked = self._lazy = 0
        self.session = welcome.session

    def receive(self, event: Event | None, seq: int | None) -> Item | None:
        """Judge a part that came; None when there is nothing to do for it."""
        if seq is not None and seq <= self._nothing_since:
            self._nothing_since = 0  # the home counts anew
        if isinstance(event, Message):
            key = key_of(event.sender.uid, event.id)
            repeat = event.seq <= self._floor or key in self._received or key in self._seen
            self._received.add(key)
            self.ahead.pop(event.id, None)
            return Item(None if repeat else event, self._epoch, event.seq, eager=True, key=key)
        if isinstance(event, Receipt):
            key = f"{event.state} {key_of(event.to, event.id)}"
            repeat = (seq is not None and seq <= self._floor) or key in self._received
            self._received.add(key)
            return Item(None if repeat else event, self._epoch, seq)
        if event is None and seq is None:
            return None
        return Item(event, self._epoch, seq)

    def straight(self, message: Message) -> Item | None:
        """Judge a message that its sender handed over directly; None when it is known. It has no number: the home's copy is acked."""
        key = key_of(message.sender.uid, message.id)
        if key in self._received or key in self._seen:
            return None
        self._received.add(key)
        self.ahead[message.id] = message.sent_at
        if len(self.ahead) > MAX_AHEAD:
            del self.ahead[next(iter(self.ahead))]
        return Item(message, self._epoch, key=key)

    def processed(self, item: Item) -> bool:
        """The consumer is done with an item. True: acknowledge now; False: there is time."""
        if self._peek:
            return False
        if item.key is not None and item.key not in self._seen:
            self._seen.add(item.key)
        if item.seq is None or item.epoch != self._epoch:
            return False
        self.upto = max(self.upto, item.seq)
        if not item.eager:
            self._lazy += 1
        return item.eager or self._lazy >= RECEIPTS_PER_ACK

    def confirmed(self, upto: int, session: str) -> None:
        """The home has this acknowledgement."""
        if session == self.session and upto > self.acked:
            self.acked = upto
            self._lazy = 0

    @property
    def owes_ack(self) -> bool:
        """Whether something processed is not acknowledged yet."""
        return self.upto > self.acked
