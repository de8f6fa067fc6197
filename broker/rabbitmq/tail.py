"""Follows a stream of RabbitMQ from its end. Rule: what came before, or while there was no link, is never read."""

from collections.abc import Callable

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from broker.rabbitmq.link import Link

OFFSET_HEADER = "x-stream-offset"
PREFETCH = 256  # messages on their way
_ACK_EVERY = 64  # RabbitMQ sends more when these are acked


async def follow(link: Link, stream: str, handler: Callable[[DeliveredMessage], None]) -> None:
    """Call `handler` with each message that is published from now on, until the link is lost."""
    channel = await link.channel(prefetch=PREFETCH)
    number, taken = channel.number or 0, 0

    async def deliver(message: DeliveredMessage) -> None:
        nonlocal taken
        taken += 1
        if taken % _ACK_EVERY == 0:
            link.writer.send(number, Basic.Ack(message.delivery_tag or 0, multiple=True))
        handler(message)

    await link.listen(channel, stream, deliver, {OFFSET_HEADER: "next"})
