"""The contract of `broker.port.Broker`: a sender of many messages does not take one turn of the event loop for all of them."""

import asyncio
from collections import Counter

from broker.port import MAX_PER_TURN, Broker, Delivery
from broker.topology import HISTORY
from tests.broker.storages import events, to
from tests.support.waiting import eventually

MANY = 1_000


class Turns:
    """Counts what happens in each turn of the loop."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self._turn = 0
        self._count_turns()

    def _count_turns(self) -> None:
        self._turn += 1
        self._next = asyncio.get_running_loop().call_soon(self._count_turns)

    def note(self) -> None:
        """Something happened."""
        self.counts[self._turn] += 1

    def stop(self) -> None:
        """Count no more."""
        self._next.cancel()


async def test_a_full_inbox_is_handed_out_in_many_turns(broker: Broker) -> None:
    await broker.publish(to("h1", *[b"%d" % number for number in range(MANY)]))
    turns = Turns()

    def handle(delivery: Delivery) -> None:
        turns.note()
        delivery.ack()

    await broker.consume("h1", handle, prefetch=MANY)
    await eventually(lambda: turns.counts.total() == MANY, timeout_s=60)
    turns.stop()
    assert max(turns.counts.values()) <= MAX_PER_TURN


async def test_a_long_stream_is_read_in_many_turns(broker: Broker) -> None:
    await broker.publish(events(*[b"%d" % number for number in range(MANY)]))
    turns = Turns()
    async for _ in broker.read_stream(HISTORY, follow=False):
        turns.note()
    turns.stop()
    assert turns.counts.total() == MANY
    assert max(turns.counts.values()) <= MAX_PER_TURN
