"""The public presence feed on RabbitMQ, for integrators (`flash-sdk[amqp]`). Rule: it declares nothing that lasts.

    async for change in presence("amqp://guest:guest@localhost/", key="presence.*.42.*"):
        print(change.handle, change.status)

A presence change is public within an installation; who may read it is decided by the broker's own users and permissions.
"""

from collections.abc import AsyncGenerator
from typing import Literal

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue

from flash_sdk.feed import PresenceEvent

EXCHANGE = "flash.presence"
LOG = "flash.presence.log"
EVERYONE = "presence.#"
PREFETCH = 200  # a stream refuses consumers without a prefetch, and a larger one would only cost memory


async def presence(
    url: str, *, key: str = EVERYONE, start: int | Literal["first", "next"] | None = None
) -> AsyncGenerator[PresenceEvent, None]:
    """Presence changes as they happen, until the caller stops.

    `key`: the changes to receive, `presence.<home>.<uid>.<status>` with AMQP's `*` and `#`. `start`: read the log instead, from an offset
    or from the first change that it still has, and go on with later changes; `key` is not applied then. Raises aio-pika's errors when the
    broker cannot be reached or the connection breaks. A program that then reads the log from the last `offset + 1` misses nothing.
    """
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await _live(channel, key) if start is None else await channel.get_queue(LOG)
        arguments = None if start is None else {"x-stream-offset": start}
        async with queue.iterator(arguments=arguments) as messages:
            async for message in messages:
                offset = message.headers.get("x-stream-offset")
                change = PresenceEvent.of(message.body, offset if isinstance(offset, int) else None)
                if change is not None and _is_under_its_own_key(message.routing_key or "", change):
                    yield change
                await message.ack()


def _is_under_its_own_key(key: str, change: PresenceEvent) -> bool:
    """Whether the key names the home and the user of whom the change tells. RabbitMQ checks that a home publishes under its own keys only;
    what a home adds in the headers CC and BCC it does not check, and that is not the key of the message."""
    return key.startswith(f"presence.{change.home}.{change.uid}.")


async def _live(channel: AbstractChannel, key: str) -> AbstractQueue:
    exchange = await channel.get_exchange(EXCHANGE)
    queue = await channel.declare_queue(exclusive=True, auto_delete=True)
    await queue.bind(exchange, key)
    return queue
