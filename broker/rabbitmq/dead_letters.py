"""Dead letters on RabbitMQ, by AMQP alone. Rule: a dead letter is acked only when its queue has confirmed it, or when it is dropped.

AMQP cannot read a message without taking it. So each visit takes dead letters one by one on a channel of its own, and gives those back
that it did not ack; they keep their order. A second visit at the same time would see only the rest, so visits wait for each other.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import structlog
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from broker.dead_letter import MAX_DEAD_LETTERS, DeadLetter, read_dead_letter, returned_headers
from broker.port import Outgoing
from broker.rabbitmq.link import Link, or_unavailable
from broker.rabbitmq.publisher import Publisher
from broker.topology import DEAD, HOMES, inbox_of
from domain.errors import Unavailable

VISIT_TIMEOUT_S = 10.0  # 200 dead letters take 0.2 s
log = structlog.get_logger(__name__)

EVERY_TAG = 0  # stands for every delivery that is not acked


class DeadLetters:
    """Visits to `flash.dead`, over all links."""

    def __init__(self) -> None:
        self._visiting = asyncio.Lock()

    async def look(self, link: Link) -> list[DeadLetter]:
        """The first dead letters. Raises `Unavailable`."""
        async with self._visit(link) as (channel, _):
            return [letter async for letter, _ in _dead_letters(channel)]

    async def requeue(self, link: Link, ids: Collection[str] | None) -> int:
        """Publish dead letters to the queues they came from, and ack each once that is confirmed. Raises `Unavailable`."""
        moved, began = 0, time.time()
        async with self._visit(link) as (channel, publisher):
            async for letter, message in _dead_letters(channel):
                if ids is None and (letter.at or 0) > began:
                    break  # this one went back during this visit and has died again
                if ids is not None and letter.id not in ids:
                    continue
                home = inbox_of(letter.queue)
                if home is None:
                    if ids is not None:
                        raise Unavailable(f"a dead letter goes back only into an inbox, and {letter.queue or 'nowhere'!r} is none")
                    log.warning("broker.dead_letter_stays", queue=letter.queue)
                    continue
                properties = message.header.properties
                content_type = properties.content_type or "application/octet-stream"
                back = Outgoing(HOMES, home, message.body, content_type, properties.message_id, mandatory=True)
                await publisher.publish([back], returned_headers(properties.headers or {}))
                await channel.basic_ack(message.delivery_tag or 0)
                moved += 1
        return moved

    async def drop(self, link: Link, ids: Collection[str]) -> int:
        """Delete dead letters. Raises `Unavailable`."""
        dropped = 0
        async with self._visit(link) as (channel, _):
            async for letter, message in _dead_letters(channel):
                if letter.id in ids:
                    await channel.basic_ack(message.delivery_tag or 0)
                    dropped += 1
        return dropped

    @asynccontextmanager
    async def _visit(self, link: Link) -> AsyncIterator[tuple[AbstractChannel, Publisher]]:
        async with self._visiting, or_unavailable(), asyncio.timeout(VISIT_TIMEOUT_S):
            visiting = await link.channel(confirms=True)
            channel = await visiting.get_underlay_channel()
            try:
                yield channel, await Publisher.on(visiting, link.writer, link.user)
                await channel.basic_nack(EVERY_TAG, multiple=True)  # closing the channel gives them back too, but some time later
            finally:
                await link.release(visiting)


async def _dead_letters(channel: AbstractChannel) -> AsyncIterator[tuple[DeadLetter, DeliveredMessage]]:
    """At most `MAX_DEAD_LETTERS` dead letters. The count of the queue is not used, because it lags behind messages that were given back."""
    for _ in range(MAX_DEAD_LETTERS):
        message = await channel.basic_get(DEAD)
        if not isinstance(message.delivery, Basic.GetOk):
            return
        yield read_dead_letter(message.header.properties.headers or {}, message.body), message
