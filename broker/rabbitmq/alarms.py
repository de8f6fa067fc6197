"""Whether a RabbitMQ makes publishers wait, and why. Rule: RabbitMQ tells only those who publish, so two messages go where no queue is."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from broker.port import Outgoing
from broker.rabbitmq.connection import has_exchange, is_blocked, new_connection, user_of
from broker.rabbitmq.link import or_unavailable
from broker.rabbitmq.publisher import Publisher
from broker.rabbitmq.writer import Writer
from broker.topology import HOMES
from domain.errors import Unavailable

NOBODY = "flash.nobody"  # no home and no queue is called so
CLOSE_S = 1.0  # a RabbitMQ that makes us wait does not read our farewell either
LOOK_S = 0.02  # between two looks whether it makes us wait
UNKNOWN = "under an alarm"  # what we say when the reason cannot be found in the log


async def why_blocked(url: str, timeout_s: float) -> str:
    """In RabbitMQ's words, such as `low on memory`; empty when it takes what is published. Raises `Unavailable` when it does not say."""
    connection = new_connection(url)
    publishing: asyncio.Future[None] | None = None
    try:
        with _reasons() as reasons:
            async with or_unavailable(), asyncio.timeout(timeout_s):
                await connection.connect()
                exchange = HOMES if await has_exchange(connection, HOMES) else ""  # on which everybody may publish
                publisher = await Publisher.on(await connection.channel(on_return_raises=True), Writer(connection), user_of(url))
                for _ in range(2):  # RabbitMQ takes the first message even during an alarm
                    publishing = publisher.publish([Outgoing(exchange, NOBODY, b"")])
                    while not (await asyncio.wait((publishing,), timeout=LOOK_S))[0]:
                        if await is_blocked(connection):
                            return reasons[-1] if reasons else UNKNOWN
                    await publishing
            return ""
    finally:
        if publishing is not None:
            publishing.cancel()
        with contextlib.suppress(Unavailable):
            async with or_unavailable(), asyncio.timeout(CLOSE_S):
                await connection.close()


@contextlib.contextmanager
def _reasons() -> Iterator[list[str]]:
    """The reasons of alarms, as aiormq logs them: nothing else of aiormq or aio-pika tells them."""
    reasons: list[str] = []

    class Reader(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "blocked by" in str(record.msg) and isinstance(record.args, tuple):
                reasons.append(str(record.args[-1]))

    logger, reader = logging.getLogger("aiormq.connection"), Reader()
    level = logger.level
    logger.addHandler(reader)
    logger.setLevel(logging.WARNING)
    try:
        yield reasons
    finally:
        logger.setLevel(level)
        logger.removeHandler(reader)
