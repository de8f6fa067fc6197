"""Runs inside a server's container: which of the named queues may its own user of RabbitMQ read? Rule: nothing is taken out of any.

    docker exec -i CONTAINER python3 - QUEUE... < tests/compose/readable.py

Prints those that may be read, each on a line of its own.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import aiormq
from aiormq.exceptions import ChannelAccessRefused


async def may_be_read(url: str, queue: str) -> bool:
    """Whether to consume it is allowed. Its messages go on to the server that was there first; a stream keeps them."""
    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel()
        await channel.basic_qos(prefetch_count=1)
        await channel.basic_consume(queue, lambda message: asyncio.sleep(0))
    except ChannelAccessRefused:
        return False
    finally:
        await connection.close()
    return True


async def try_all(url: str, queues: Sequence[str]) -> None:
    """Each on a connection of its own: a refusal closes the channel."""
    for queue in queues:
        if await may_be_read(url, queue):
            print(queue)


if __name__ == "__main__":
    asyncio.run(try_all(Path("/run/secrets/broker_url").read_text(), sys.argv[1:]))
