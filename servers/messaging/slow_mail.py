"""Mail of servers that have turns at a tenth. Rule: it keeps no room from other mail, and nothing of it is lost.

The broker hands out so many deliveries before some are acked, of all servers together. So only a few of a slow server are held; the rest is
acked unread. That is a hole in its mail, and it is asked to send it again from its log, with growing pauses.
"""

from collections.abc import Callable
from functools import partial

from broker.port import Delivery
from runtime.brake import Turn
from servers.fairness.throttling import Throttling

MOST_HELD = 32  # deliveries of one server


class SlowMail:
    """What one inbox holds back. `source_of` says who sent a delivery; `put` lets it be read."""

    def __init__(self, throttling: Throttling, source_of: Callable[[Delivery], str], put: Callable[[Delivery], None]) -> None:
        self._throttling = throttling
        self._source_of = source_of
        self._put = put
        self._turns: dict[str, Turn[int | str]] = {}
        self.put_off = 0  # deliveries that were acked unread, and come again

    @property
    def waiting(self) -> int:
        """How many deliveries wait for their turn."""
        return self._throttling.mail.size

    def arrive(self, delivery: Delivery, comes_again: bool) -> None:
        """Let it be read: now, or when its turn comes. `comes_again`: its source has it, and sends it once more if it is let go of."""
        throttling = self._throttling
        if not throttling.holds_mail:
            self._put(delivery)
            return
        source = self._source_of(delivery)
        if not throttling.is_slow(source):
            self._put(delivery)
        elif throttling.mail.waiting(source) < MOST_HELD or not comes_again:
            throttling.mail.take(source, partial(self._begin, delivery, source))
        else:
            self.put_off += 1
            delivery.ack()

    def settled(self, delivery: Delivery) -> None:
        """It is applied, or a dead letter: its turn is over."""
        if self._turns and (turn := self._turns.pop(self._source_of(delivery), None)) is not None:
            turn.end()

    def _begin(self, delivery: Delivery, source: str, turn: Turn[int | str]) -> None:
        self._turns[source] = turn
        self._put(delivery)
