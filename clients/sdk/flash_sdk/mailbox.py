"""What this client has received, processed and acknowledged. Rule: sans-IO; the one place that decides what is new and what to ack.

Everything that has a seq passes through one queue in order, and each item knows the connection (epoch) on which it came. Only an item
that was *processed* on the present connection, or the number after which the home promised to start, raises the position that is
acknowledged. So a number of a mailbox that has since been lost or reset never acknowledges a message that nobody has seen.
"""

from dataclasses import dataclass
from datetime import datetime

from flash_sdk.events import Event, Message, Receipt, Welcome
from flash_sdk.seen import MemorySeen, SeenStore, key_of

RECEIPTS_PER_ACK = 32  # half of a session's window of 64: few requests, and the home never waits for us
MAX_WITHOUT_COPY = 1_000  # as many as a mailbox holds


@dataclass(frozen=True, slots=True)
class Item:
    """Something for the consumer, in order. `event` is None for a repeat or an unknown part, of which only the number counts."""

    event: Event | None
    epoch: int
    seq: int | None = None
    eager: bool = False  # acknowledge right after processing: messages, and repeats of them
    key: str | None = None  # to remember as shown
    size: int = 0  # bytes of the part on the wire


class Mailbox:
    """The state of one client over all its back connections."""

    def __init__(self, seen: SeenStore | None = None, *, peek: bool = False) -> None:
        """`peek`: nothing is ever acknowledged or remembered as shown."""
        self._seen: SeenStore = seen if seen is not None else MemorySeen()
        self._received = MemorySeen()  # what was put into the queue, processed or not; receipts too
        self._peek = peek
        self.without_copy: dict[str, datetime] = {}  # what came directly and the home has no copy of yet: id -> when it was sent
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
        """A new connection stands. Only `replayed` says that the home starts after the number that we gave. With `fresh` it has nothing
        after that number, which we give again next time: otherwise a home would have to assume that we have missed everything."""
        asked, self._asked_to_resume_after = self._asked_to_resume_after or 0, None
        self._epoch += 1
        self._floor = self.upto = asked if welcome.verdict == "replayed" else 0
        self._nothing_since = asked if welcome.verdict == "fresh" else 0
        self.acked = self._lazy = 0
        self.session = welcome.session

    def receive(self, event: Event | None, seq: int | None, size: int = 0) -> Item | None:
        """The item for a part that came; None when the part asks for nothing. `size`: its bytes on the wire."""
        if seq is not None and seq <= self._nothing_since:
            self._nothing_since = 0  # the home has started to count again
        if isinstance(event, Message):
            key = key_of(event.sender.uid, event.id)
            repeat = event.seq <= self._floor or key in self._received or key in self._seen
            self._received.add(key)
            self.without_copy.pop(event.id, None)
            return Item(None if repeat else event, self._epoch, event.seq, eager=True, key=key, size=size)
        if isinstance(event, Receipt):
            key = f"{event.state} {key_of(event.to, event.id)}"
            repeat = (seq is not None and seq <= self._floor) or key in self._received
            self._received.add(key)
            return Item(None if repeat else event, self._epoch, seq, size=size)
        if event is None and seq is None:
            return None
        return Item(event, self._epoch, seq, size=size)

    def receive_direct(self, message: Message) -> Item | None:
        """The item for a message that its sender handed over; None for a known one. It has no number, because the home's copy has one."""
        key = key_of(message.sender.uid, message.id)
        if key in self._received or key in self._seen:
            return None
        self._received.add(key)
        self.without_copy[message.id] = message.sent_at
        if len(self.without_copy) > MAX_WITHOUT_COPY:
            del self.without_copy[next(iter(self.without_copy))]
        return Item(message, self._epoch, key=key, size=len(message.text))

    def processed(self, item: Item) -> bool:
        """The consumer has processed an item. Gives True when it must be acknowledged now, False when there is time."""
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
        """The home has confirmed this acknowledgement."""
        if session == self.session and upto > self.acked:
            self.acked = upto
            self._lazy = 0

    @property
    def owes_ack(self) -> bool:
        """Whether something processed is not acknowledged yet."""
        return self.upto > self.acked
