"""A reader of a stream on RabbitMQ. Rule: it knows the next offset it wants, so that a new link goes on where the old one ended."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import structlog
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage

from broker.port import StreamItem
from broker.rabbitmq.link import Link, or_unavailable
from domain.errors import Unavailable

log = structlog.get_logger(__name__)

PREFETCH = 512  # messages on their way or waiting here: half a megabyte at 1 KB each
_ACK_EVERY = 128  # acks are the broker's leave to send more: a quarter of the prefetch keeps it busy
OFFSET_HEADER = "x-stream-offset"
EMPTY_S = 1.0  # after which one that may be empty is taken to be: on two cores with six busy programs, one in 14 took longer than a call


class StreamReader:
    """One reading of `stream` from `start`, over all links, until it ends or is given up."""

    def __init__(self, stream: str, start: int | str, follow: bool, forget: Callable[["StreamReader"], None]) -> None:
        self.stream = stream
        self._next: int | None = start if isinstance(start, int) else 0 if start == "first" else None  # None: only what comes
        self._follow = follow
        self._end: int | None = None  # the first offset that is not wanted; known once attached
        self._forget = forget
        self._items: deque[tuple[DeliveredMessage, StreamItem]] = deque()
        self._arrived = asyncio.Event()
        self._attached = False
        self._error: Unavailable | None = None
        self._given_up = False
        self._link: Link | None = None
        self._channel: AbstractChannel | None = None

    async def attach(self, link: Link) -> None:
        """Begin or go on to read on a new link."""
        if self._next is None or not (self._follow or self._end is not None):
            end = await _end_of(link, self.stream)
            self._next = end if self._next is None else self._next
            self._end = None if self._follow else end
        self._link = link
        self._channel = await link.channel(prefetch=PREFETCH)
        if self._given_up:
            await link.release(self._channel)
            return
        self._attached = True
        self._arrived.set()
        if self._end is None or self._next < self._end:
            start = self._items[-1][1].offset + 1 if self._items else self._next
            await link.listen(self._channel, self.stream, self._deliver, {OFFSET_HEADER: start})

    async def _deliver(self, message: DeliveredMessage) -> None:
        headers = message.header.properties.headers or {}
        offset = headers.get(OFFSET_HEADER)
        last = self._items[-1][1].offset if self._items else (self._next or 0) - 1
        if not isinstance(offset, int) or offset <= last:  # a stream is sent from the start of a chunk
            await _ack(message)
            return
        own = {name: value for name, value in headers.items() if name != OFFSET_HEADER}
        self._items.append((message, StreamItem(offset, message.body, own)))
        self._arrived.set()

    def fail(self, error: Unavailable) -> None:
        """The broker is closed: the reader raises this once it has given what it has."""
        self._error = error
        self._arrived.set()

    async def items(self) -> AsyncIterator[StreamItem]:
        """The messages; ends at the end that was found first, unless it follows."""
        given = 0
        try:
            while self._end is None or not self._attached or (self._next or 0) < self._end:
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    self._arrived.clear()
                    await self._arrived.wait()
                    continue
                message, item = self._items.popleft()
                if self._end is not None and item.offset >= self._end:
                    return
                self._next = item.offset + 1
                given += 1
                if given % _ACK_EVERY == 0 or not self._items:
                    await _ack(message)
                yield item
        finally:
            await self._detach()

    async def _detach(self) -> None:
        self._given_up = True
        self._forget(self)
        if self._link is not None and self._channel is not None:
            try:
                await self._link.release(self._channel)
            except Unavailable as error:
                log.info("broker.reader_close_failed", stream=self.stream, error=error.detail)


async def _ack(message: DeliveredMessage) -> None:
    """Ack the message and all before it; on a lost link this does nothing, and the next link begins behind what was given."""
    if not message.channel.is_closed:
        with suppress(Unavailable):
            async with or_unavailable():
                await message.channel.basic_ack(message.delivery_tag or 0, multiple=True, wait=False)


async def _end_of(link: Link, stream: str) -> int:
    """The offset after the stream's last message. AMQP has no question for it, so: read the last chunk to its end.

    Its first message comes when the stream's own process has told the channel that there is one, which a busy broker does late; nothing
    tells an empty stream from one that has not spoken yet. The count of its messages is up to five seconds old, but what cuts a stream
    off never empties it, so more than 0 is true. Once the chunk has begun, the broker sends what it has before it answers the next call
    on that channel; a call during which nothing came is the end.
    """
    channel = await link.channel(prefetch=PREFETCH)
    counted = (await channel.declare_queue(stream, passive=True)).declaration_result.message_count
    begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    end = 0
    last: DeliveredMessage | None = None

    async def deliver(message: DeliveredMessage) -> None:
        nonlocal end, last
        end = int((message.header.properties.headers or {}).get(OFFSET_HEADER, -1)) + 1  # type: ignore[arg-type]  # RabbitMQ's own
        last = message
        if not begun.done():
            begun.set_result(None)

    await link.listen(channel, stream, deliver, {OFFSET_HEADER: "last"})
    await asyncio.wait((begun, link.lost), timeout=None if counted else EMPTY_S, return_when=asyncio.FIRST_COMPLETED)
    seen = -1
    while seen != end:
        seen = end
        if last is not None:
            await last.channel.basic_ack(last.delivery_tag or 0, multiple=True)
        await channel.set_qos(PREFETCH)
    await link.release(channel)
    return end
