"""A reader of a stream on RabbitMQ. Rule: the reader knows the next offset, so that a new link goes on where the old one ended."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import datetime

import structlog
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage

from broker.envelope import MAX_BYTES
from broker.port import MAX_PER_TURN, StreamItem
from broker.publishers import Publishers
from broker.rabbitmq.link import Link, or_unavailable
from broker.rabbitmq.tail import OFFSET_HEADER
from domain.errors import Unavailable
from runtime.bounds import Bound, Holding

log = structlog.get_logger(__name__)

PREFETCH = 128  # messages on their way or waiting here: at 1 KB each an eighth of a megabyte, of the longest half a gigabyte
_ACK_EVERY = 32  # RabbitMQ sends more when these are acked: a quarter of the prefetch keeps it busy
# A stream that may be empty and has sent nothing for this long is empty. On two cores with six busy programs, the first message of one
# stream in 14 came later than the answer to a call.
EMPTY_S = 1.0
READING = Bound(
    name="broker_streams",
    holds="messages of a stream that came and were not read yet",
    filled_by="servers that publish history and presence",
    past="RabbitMQ sends no more before some are read",
    within=("StreamReader._items",),
    entries=PREFETCH,
    bytes=PREFETCH * MAX_BYTES,
    per="reader",
)
NOTHING_SINCE_S = 3.0  # the same for one that is not empty, but whose newest message may be older than the wanted moment


class StreamReader:
    """Reads `stream` from `start`, on one link after the other, until it ends or its owner gives it up."""

    def __init__(
        self, stream: str, start: int | str | datetime, follow: bool, publishers: Publishers, forget: Callable[["StreamReader"], None]
    ) -> None:
        self.stream = stream
        self._next: int | None = start if isinstance(start, int) else None if start == "next" else 0  # None: the end, not known yet
        self._since = start if isinstance(start, datetime) else None  # until the first message has come
        self._follow = follow
        self._publishers = publishers
        self._end: int | None = None  # the first offset that is not wanted; None when there is none, or before the first link
        self._forget = forget
        self._items: deque[tuple[DeliveredMessage, StreamItem]] = deque()
        self._bytes = 0  # of them
        self._newest: StreamItem | None = None  # that came: where a new link goes on
        self._proven = True  # whether this link has shown that item again, so that it is still the same stream
        self._arrived = asyncio.Event()
        self._attached = False
        self._error: Unavailable | None = None
        self._given_up = False
        self._link: Link | None = None
        self._channel: AbstractChannel | None = None

    async def attach(self, link: Link) -> None:
        """Begin to read on a new link, or go on there."""
        if self._next is None or not (self._follow or self._end is not None):
            end = await _end_of(link, self.stream)
            self._next = end if self._next is None else self._next
            self._end = None if self._follow else end
        newest, self._proven = self._newest, self._newest is None
        if newest is not None and await _end_of(link, self.stream) <= newest.offset:
            self.fail(_begun_anew(self.stream))
            return
        self._link = link
        self._channel = await link.channel(prefetch=PREFETCH)
        if self._given_up:
            await link.release(self._channel)
            return
        self._attached = True
        self._arrived.set()
        if self._end is None or self._next < self._end:
            start = newest.offset if newest is not None else self._since or self._next
            await link.listen(self._channel, self.stream, self._deliver, {OFFSET_HEADER: start})

    async def _deliver(self, message: DeliveredMessage) -> None:
        headers = message.header.properties.headers or {}
        offset, newest = headers.get(OFFSET_HEADER), self._newest
        last = newest.offset if newest is not None else (self._next or 0) - 1
        if not self._proven and newest is not None and isinstance(offset, int) and offset >= last:
            if offset > last or message.body != newest.body:
                self.fail(_begun_anew(self.stream))
                return
            self._proven = True
        if not isinstance(offset, int) or offset <= last:  # RabbitMQ sends a stream from the start of a chunk
            await _ack(message)
            return
        own = {name: value for name, value in headers.items() if name != OFFSET_HEADER}
        publisher = message.header.properties.user_id or None
        self._publishers.count(publisher, len(message.body))
        self._since = None
        self._newest = StreamItem(offset, message.body, own, publisher)
        self._items.append((message, self._newest))
        self._bytes += len(message.body)
        self._arrived.set()

    def holdings(self) -> Iterator[Holding]:
        """What waits to be read."""
        yield READING.holding(len(self._items), self._bytes)

    def fail(self, error: Unavailable) -> None:
        """The broker is closed: the reader gives the items that it has, then raises `error`."""
        self._error = error
        self._arrived.set()

    async def items(self) -> AsyncIterator[StreamItem]:
        """The messages; unless the reader follows, until the end that it found first."""
        given = 0
        try:
            while self._end is None or not self._attached or (self._next or 0) < self._end:
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    self._arrived.clear()
                    if not await self._more():
                        return
                    continue
                message, item = self._items.popleft()
                self._bytes -= len(item.body)
                if self._end is not None and item.offset >= self._end:
                    return
                self._next = item.offset + 1
                given += 1
                if given % _ACK_EVERY == 0 or not self._items:
                    await _ack(message)
                yield item
                if given % MAX_PER_TURN == 0:
                    await asyncio.sleep(0)
        finally:
            await self._detach()

    async def _more(self) -> bool:
        """Wait for something to do. False when the stream has nothing from the wanted moment on: RabbitMQ does not say so."""
        try:
            nothing_yet = self._since is not None and self._end is not None and self._attached
            await asyncio.wait_for(self._arrived.wait(), NOTHING_SINCE_S if nothing_yet else None)
        except TimeoutError:
            return False
        return True

    async def _detach(self) -> None:
        self._given_up = True
        self._forget(self)
        if self._link is not None and self._channel is not None:
            try:
                await self._link.release(self._channel)
            except Unavailable as error:
                log.info("broker.reader_close_failed", stream=self.stream, error=error.detail)


def _begun_anew(stream: str) -> Unavailable:
    return Unavailable(f"{stream} does not hold what was read of it any more: it was begun anew, or cut off")


async def first_of(link: Link, stream: str, publishers: Publishers) -> StreamItem | None:
    """The first message of a stream, in 3 ms; None when it is empty. Where the stream is missing, the link is lost."""
    channel = await link.channel(prefetch=1)
    counted = (await channel.declare_queue(stream, passive=True)).declaration_result.message_count
    came: asyncio.Future[DeliveredMessage] = asyncio.get_running_loop().create_future()

    async def deliver(message: DeliveredMessage) -> None:
        if not came.done():
            came.set_result(message)

    await link.listen(channel, stream, deliver, {OFFSET_HEADER: "first"})
    await asyncio.wait((came, link.lost), timeout=None if counted else EMPTY_S, return_when=asyncio.FIRST_COMPLETED)
    if link.lost.done():
        raise Unavailable("the connection to the broker was lost")
    await link.release(channel)
    if not came.done():
        return None
    properties, body = came.result().header.properties, came.result().body
    publishers.count(properties.user_id or None, len(body))
    return StreamItem(int((properties.headers or {})[OFFSET_HEADER]), body, {}, properties.user_id or None)  # type: ignore[arg-type]  # RabbitMQ's own


async def _ack(message: DeliveredMessage) -> None:
    """Ack the message and all before it. On a lost link this does nothing, because the next link begins behind the given items."""
    if not message.channel.is_closed:
        with suppress(Unavailable):
            async with or_unavailable():
                await message.channel.basic_ack(message.delivery_tag or 0, multiple=True, wait=False)


async def _end_of(link: Link, stream: str) -> int:
    """The offset after the last message of the stream."""
    last = await last_of(link, stream)
    return 0 if last is None else last.offset + 1


async def last_of(link: Link, stream: str) -> StreamItem | None:
    """The last message of the stream; None when it is empty. AMQP cannot ask for it, so this reads the last chunk to its end.

    The first message comes once the process of the stream has told the channel about it, and a busy broker does that late: until then
    nothing tells an empty stream from a full one. The declared count of messages is up to five seconds old, but retention never empties
    a stream, so a count above 0 is true. Once the chunk has begun, RabbitMQ sends all it has before it answers the next call on the
    channel. So the end is reached when a call was answered and no message came meanwhile.
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
    if last is None or end == 0:
        return None
    return StreamItem(end - 1, last.body, {}, last.header.properties.user_id or None)
