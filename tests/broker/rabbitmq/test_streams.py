"""Streams on a busy RabbitMQ: what it delivers late is not taken to be missing."""

from aio_pika.abc import AbstractChannel
from aiormq.abc import ArgumentsType, DeliveredMessage

from broker.port import Outgoing
from broker.rabbitmq.broker import RabbitBroker
from broker.rabbitmq.link import Handler, Link
from broker.topology import EVENTS, HISTORY
from tests.support.rabbitmq_choice import AnyRabbit

LATE_CALLS = 100  # that the broker answers before a delivery is handed on


class LateLink(Link):
    """Hands every delivery on when the broker has answered `LATE_CALLS` later questions."""

    async def listen(self, channel: AbstractChannel, queue: str, handler: Handler, arguments: ArgumentsType | None = None) -> None:
        async def late(message: DeliveredMessage) -> None:
            for _ in range(LATE_CALLS):
                await self.control.declare_queue(queue, passive=True)
            await handler(message)

        await super().listen(channel, queue, late, arguments)


async def test_a_stream_that_speaks_late_is_not_empty(rabbitmq: AnyRabbit) -> None:
    """A cursor's owner would hear of a gap, and a home that is restored would lose its history."""
    broker = RabbitBroker(rabbitmq.new_vhost(), "test", open_link=LateLink.open)
    await broker.start()
    await broker.wait_connected(10)
    await broker.publish([Outgoing(EVENTS, "h1.1", body) for body in (b"a", b"b", b"c")])
    assert [item.body async for item in broker.read_stream(HISTORY, follow=False)] == [b"a", b"b", b"c"]
    await broker.close()
