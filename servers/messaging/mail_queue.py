"""Mail that came and waits to be read. Rule: publishers have turns, and who fills the memory is refused; what is refused comes again.

The broker counts what it hands out in messages, and a message may have megabytes. So there is a bound in bytes, and a publisher may hold
as much as is still free: half of it when it is alone. Mail that finds no place is taken from the broker and let go of: it is missing then,
as after a loss, and its source sends it again (decision 38) when there is room.
"""

from collections.abc import Iterator

import structlog

from broker.port import Delivery
from runtime.bounds import Bound, Holding
from runtime.lanes import Lanes
from runtime.per_minute import LINES_A_MINUTE, PerMinute
from servers.messaging.inbox_parts import InboxConfig

QUEUE = Bound(
    name="inbox",
    holds="mail that came and waits to be read",
    filled_by="servers that send mail",
    past="mail of a server that holds as much as is free is let go of, and is sent again",
    within=("MailQueue._lanes", "MailQueue._bytes"),
    entries=2 * InboxConfig().prefetch,  # those of the connection before are let go of when it is full
    bytes=InboxConfig().waiting_bytes,
)

log = structlog.get_logger()


class MailQueue:
    """The waiting mail of one inbox."""

    def __init__(self, config: InboxConfig) -> None:
        self._config = config
        self._lanes: Lanes[str | None, Delivery] = Lanes()  # by publisher
        self._bytes: dict[str | None, int] = {}  # by publisher
        self._lines = PerMinute("mail without a place", LINES_A_MINUTE)
        self.bytes = 0
        self.refused = 0

    @property
    def size(self) -> int:
        """How many deliveries wait."""
        return self._lanes.size

    def put(self, delivery: Delivery, *, comes_again: bool) -> bool:
        """Let a delivery wait. False when there is no place for it; `comes_again`: only then may that be."""
        if self._lanes.size >= self._config.prefetch:  # while the store is away, each new connection delivers all of them again
            self._let_go()
        publisher, size = delivery.publisher, len(delivery.body)
        held = self._bytes.get(publisher, 0)
        if comes_again and held + size > self._config.waiting_bytes - self.bytes:
            self.refused += 1
            who = f"user {publisher or 'unknown'}"
            if self._lines.takes(who):
                log.warning("inbox.no_place", publisher=publisher, size=size, held=held, left_out=self._lines.rest(who))
            return False
        self._lanes.put(publisher, delivery)
        self._bytes[publisher] = held + size
        self.bytes += size
        return True

    def take(self) -> Delivery:
        """The first delivery of the publisher whose turn it is. Raises `IndexError`."""
        delivery = self._lanes.take()
        self._took(delivery)
        return delivery

    def holdings(self) -> Iterator[Holding]:
        """What waits to be read."""
        yield QUEUE.holding(self.size, self.bytes, refused=self.refused)
        yield from self._lines.holdings()

    def _took(self, delivery: Delivery) -> None:
        publisher, size = delivery.publisher, len(delivery.body)
        self.bytes -= size
        self._bytes[publisher] -= size
        if not self._lanes.length(publisher):
            del self._bytes[publisher]

    def _let_go(self) -> None:
        self._lanes.keep(lambda waiting: not waiting.gone)
        self._bytes = {}
        for each in self._lanes:
            self._bytes[each.publisher] = self._bytes.get(each.publisher, 0) + len(each.body)
        self.bytes = sum(self._bytes.values())
