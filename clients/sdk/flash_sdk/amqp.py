"""The public presence feed on RabbitMQ, for integrators (`flash-sdk[amqp]`). Rule: reads what Flash declared, declares nothing lasting.

    async for change in presence("amqp://guest:guest@localhost/", key="presence.*.42.*"):
        print(change.handle, change.status)

A presence change is public within an installation; who may read it is decided by the broker's own users and permissions.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue

from flash_sdk import fields

EXCHANGE = "flash.presence"
LOG = "flash.presence.log"
EVERYONE = "presence.#"
TYPE = "flash.presence.changed.v1"
PREFETCH = 200  # a stream refuses consumers without one; more would only be memory


@dataclass(frozen=True, slots=True)
class PresenceEvent:
    """One change: a CloudEvent of type `flash.presence.changed.v1`. `id` is the same however often it is read: drop repeats by it.

    `offset`: its place in the log, when it was read from there; go on with `start=offset + 1`.
    """

    id: str
    time: datetime
    uid: int
    handle: str
    home: str
    status: str
    previous: str
    since: datetime | None
    reason: str
    offset: int | None = None

    @classmethod
    def of(cls, body: bytes, offset: int | None = None) -> Self | None:
        """Read the JSON of a structured-mode CloudEvent; None for a type that this version does not know. Raises `ProtocolError`."""
        event = fields.parse_object(body)
        if fields.text(event, "type") != TYPE:
            return None
        data = fields.section(event, "data")
        return cls(
            id=fields.text(event, "id"),
            time=fields.moment(event, "time"),
            uid=fields.integer(data, "uid"),
            handle=fields.text(data, "handle", ""),
            home=fields.text(data, "home"),
            status=fields.text(data, "status"),
            previous=fields.text(data, "previous", ""),
            since=fields.optional_moment(data, "since"),
            reason=fields.text(data, "reason", ""),
            offset=offset,
        )


async def presence(
    url: str, *, key: str = EVERYONE, start: int | Literal["first", "next"] | None = None
) -> AsyncGenerator[PresenceEvent, None]:
    """Presence changes as they happen, until the caller stops.

    `key`: which of them, `presence.<home>.<uid>.<status>` with AMQP's `*` and `#`. `start`: read the log instead, from an offset or
    from the first change it still has, and go on with what follows; then `key` is not applied. Raises aio-pika's errors when the
    broker cannot be reached or the connection breaks: read the log from the last `offset + 1` to miss nothing.
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
                if change is not None:
                    yield change
                await message.ack()


async def _live(channel: AbstractChannel, key: str) -> AbstractQueue:
    exchange = await channel.get_exchange(EXCHANGE)
    queue = await channel.declare_queue(exclusive=True, auto_delete=True)
    await queue.bind(exchange, key)
    return queue
