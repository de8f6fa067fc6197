"""A connection to RabbitMQ, made by aio-pika. Rule: what a connection can tell of itself is asked here, through public names only.

RabbitMQ that is low on memory or disk raises an alarm: it reads nothing more from a connection that has published something, and
tells the connection so. aio-pika's transport is not `ready` until the alarm is over. Nothing is lost meanwhile.
"""

import asyncio

import aio_pika
from aio_pika.exceptions import ChannelNotFoundEntity
from yarl import URL

from broker.rabbitmq.foreign_values import tolerate_foreign_values

# aiormq gives a silent broker up after three times (this + 1) seconds: 18 s. RabbitMQ gives us up after 10 s without a byte.
HEARTBEAT_S = 5

tolerate_foreign_values()


def new_connection(url: str, name: str = "") -> aio_pika.Connection:
    """A connection that is not connected yet. `name` is shown in RabbitMQ's list of connections.

    `aio_pika.connect` would return it connected, and would leave it open when connecting fails.
    """
    target = URL(url)
    query = {"heartbeat": str(HEARTBEAT_S)} | ({"name": name} if name else {}) | dict(target.query)
    return aio_pika.Connection(target.with_query(query))


def user_of(url: str) -> str:
    """The user as which a connection to `url` publishes. RabbitMQ calls those who name nobody `guest`."""
    return URL(url).user or "guest"


async def has_exchange(connection: aio_pika.Connection, name: str) -> bool:
    """Whether an exchange is there. No right is needed to ask."""
    probe = await connection.channel(publisher_confirms=False)
    try:
        await probe.declare_exchange(name, passive=True)
    except ChannelNotFoundEntity:  # RabbitMQ has closed the channel
        return False
    await probe.close()
    return True


async def is_blocked(connection: aio_pika.Connection) -> bool:
    """Whether an alarm makes publishers wait at this moment."""
    if connection.transport is None:
        return False
    try:
        async with asyncio.timeout(0):  # `ready` returns at once unless the connection is blocked
            await connection.transport.ready()
    except TimeoutError:
        return True
    return False
