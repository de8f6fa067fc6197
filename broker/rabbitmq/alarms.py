"""Whether a RabbitMQ makes publishers wait, and why. Rule: it tells only those who publish, so two messages go where no queue is."""

import asyncio
import contextlib
from typing import Any

from yarl import URL

from broker.port import Outgoing
from broker.rabbitmq.channel import open_channel
from broker.rabbitmq.connection import WatchedConnection
from broker.rabbitmq.link import or_unavailable
from domain.errors import Unavailable

NOBODY = "flash.nobody"  # a queue's name that nobody has
CLOSE_S = 1.0  # a RabbitMQ that makes us wait does not read our goodbye either


async def why_blocked(url: str, timeout_s: float) -> str:
    """In RabbitMQ's words, such as `low on memory`; empty when it takes what is published. Raises `Unavailable` when it does not say."""
    connection = WatchedConnection(URL(url))
    blocked = asyncio.create_task(connection.blocked.wait())
    try:
        async with or_unavailable(), asyncio.timeout(timeout_s):
            await connection.connect()
            channel = await open_channel(connection, confirms=True)
            for _ in range(2):  # during an alarm, too, it takes the first
                confirmed = channel.publish([Outgoing("", NOBODY, b"")])
                either: list[asyncio.Future[Any]] = [confirmed, blocked, channel.closing]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if blocked.done():
                    return connection.reason
                if not confirmed.done():
                    raise Unavailable("this user may not publish")
        return ""
    finally:
        blocked.cancel()
        with contextlib.suppress(Unavailable):
            async with or_unavailable(), asyncio.timeout(CLOSE_S):
                await connection.close()
