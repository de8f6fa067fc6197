"""One link to RabbitMQ, from its making to its loss. Rule: a link is never mended; when any part of it fails, all of it is lost.

aio-pika's robust connections sometimes come back without a consumer (its issues 231, 334, 536). So nothing here comes back: `lost` is
set once, and the owner of the link opens a new one from nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel
from aiormq.abc import ArgumentsType, DeliveredMessage

from broker.rabbitmq.connection import is_blocked, new_connection, user_of
from broker.rabbitmq.declarations import declare_server, declare_topology
from broker.rabbitmq.publisher import Publisher
from broker.rabbitmq.writer import Writer
from domain.errors import Unavailable
from runtime.background_task import BackgroundTask

log = structlog.get_logger(__name__)

Handler = Callable[[DeliveredMessage], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """How long a link waits for a broker that does not answer, in seconds."""

    connect_timeout_s: float = 10.0  # a connection, its channels and the topology take 0.1 s; a broker that hangs answers none of it
    close_timeout_s: float = 3.0  # for a farewell to a broker that may be gone
    confirm_timeout_s: float = 20.0  # when something waits for its confirm, nothing at all was confirmed for so long, and there is no alarm
    late_timeout_s: float = 10.0  # one message waits for its confirm for so long, while others get theirs: its channel may have lost it
    patience: int = 1  # that many times as long, because it was no help to give the last links up
    look_s: float = 1.0  # between two looks for alarms and overdue confirms; one costs 20 µs, a timeout for each message 5

    @property
    def late_s(self) -> float:
        """How long one message may wait."""
        return self.late_timeout_s * self.patience


DEFAULT = LinkConfig()
LATE = "one confirm is overdue"
CALM = 10  # a link that has lived this many times as long as one message may wait shows that the last incident is over


@asynccontextmanager
async def or_unavailable() -> AsyncIterator[None]:
    """Turn every error of aio-pika into `Unavailable`, `CancelledError` included: aiormq raises it for calls on a lost connection."""
    try:
        yield
    except Unavailable:
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise Unavailable("the connection to the broker was lost") from error
    except Exception as error:
        raise Unavailable(f"the broker: {type(error).__name__}") from error


class Link:
    """A connection with its channels: `publisher` (confirms), `control` (declarations), `side` (requests and heartbeats)."""

    writer: Writer
    publisher: Publisher
    control: AbstractChannel
    side: AbstractChannel

    def __init__(self, connection: aio_pika.Connection, name: str, user: str, config: LinkConfig) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()  # the reason, for the log
        self.name = name  # of the server whose link it is
        self.user = user  # as whom it publishes
        self.blocked = False  # whether an alarm makes publishers wait, so that RabbitMQ reads nothing from this link; a second late
        self._connection = connection
        self._config = config
        self._channels: set[AbstractChannel] = set()
        self._watching = BackgroundTask("broker.watch")
        self._work: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, url: str, name: str, config: LinkConfig = DEFAULT) -> "Link":
        """Connect and declare the topology. Raises `Unavailable`."""
        connection = new_connection(url, name)
        link = cls(connection, name, user_of(url), config)
        try:
            async with or_unavailable(), asyncio.timeout(config.connect_timeout_s):
                await connection.connect()
                connection.close_callbacks.add(lambda *_: link.lose("connection closed"))
                link.writer = Writer(connection)
                link.publisher = await Publisher.on(await link.channel(confirms=True), link.writer, link.user)
                link.control = await link.channel()
                link.side = await link.channel(confirms=True)  # a request is only returned on a channel with confirms
                await link.declare_topology()
        except BaseException:
            await link.close()
            raise
        link._watching.start(link._watch())
        return link

    async def channel(self, *, confirms: bool = False, prefetch: int = 0) -> AbstractChannel:
        """A channel whose end, unless `release` brings it about, is the end of the link; with `prefetch`, at most so many deliveries
        are unacked."""
        channel = await self._connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        self._channels.add(channel)
        channel.close_callbacks.add(lambda *_: self._closed(channel))
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda _: self.lose("consumer cancelled by the broker"))
        if prefetch:
            await channel.set_qos(prefetch)
        return channel

    async def listen(self, channel: AbstractChannel, queue: str, handler: Handler, arguments: ArgumentsType | None = None) -> None:
        """Call `handler` with each delivery of `queue`, in order. `Queue.consume` would make a second task and a message of its own for
        each, which cost 20 µs."""
        underlay = await channel.get_underlay_channel()
        await underlay.basic_consume(queue, handler, arguments=arguments)

    async def release(self, channel: AbstractChannel) -> None:
        """Close a channel; the broker takes back what was not acked."""
        if channel in self._channels:
            self._channels.discard(channel)
            if self.lost.done():  # it is closed with the connection
                return
            async with or_unavailable(), asyncio.timeout(self._config.close_timeout_s):
                await self.writer.flushed()
                await channel.close()

    def _closed(self, channel: AbstractChannel) -> None:
        if channel in self._channels:
            self.lose("channel closed")

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside the rest: `close` waits for its end. It is cancelled when the link is lost, and its failure loses the link."""
        task = asyncio.create_task(self._run(work))
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        task.add_done_callback(lambda _: work.close())  # one that is cancelled before its first step never awaited it

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with or_unavailable():
                await work
        except Unavailable as error:
            self.lose(error.detail)

    def lose(self, why: str) -> None:
        """Give the link up, at once."""
        if self.lost.done():
            return
        self.lost.set_result(why)
        for task in self._work:
            task.cancel()
        if hasattr(self, "publisher"):
            self.publisher.abandon()
            self.writer.abandon()

    async def close(self) -> None:
        """Let go of the connection, politely if the broker is still there."""
        await self._watching.stop()
        try:
            async with or_unavailable(), asyncio.timeout(self._config.close_timeout_s):
                while self._work and not self.lost.done():
                    await asyncio.wait(self._work)
                if not self.lost.done() and hasattr(self, "publisher"):
                    await self.publisher.confirmed()
                    await self.writer.flushed()
                self.lose("closed by us")
                await self._connection.close()
        except Unavailable as error:
            log.info("broker.close_failed", error=error.detail)
        finally:
            self.lose("closed by us")

    async def declare_topology(self) -> None:
        """Declare the fixed part of the topology, where it is missing."""
        await declare_topology(self._connection, self.control)

    async def declare_server(self, server: str, *, anew: bool = False) -> None:
        """Declare and bind the queues of one server, where they are missing, or all of them."""
        await declare_server(self._connection, self.control, server, anew=anew)

    async def _watch(self) -> None:
        """Note alarms, and give the link up when RabbitMQ confirms nothing although there is no alarm, or when one message waits for long:
        a message that was sent to the leader of a queue that died is sometimes never confirmed, nor any later one on its channel."""
        loop, publisher, config = asyncio.get_running_loop(), self.publisher, self._config
        began = since = waits_since = loop.time()
        settled = oldest = others = 0
        while not self.lost.done():
            await asyncio.sleep(config.look_s)
            now, blocked = loop.time(), await is_blocked(self._connection)
            if blocked is not self.blocked:
                self.blocked = blocked
                log.warning("broker.blocked" if blocked else "broker.unblocked", broker=self.name)
            idle = blocked or not publisher.oldest
            if idle or settled != publisher.settled:
                settled, since = publisher.settled, now
            if idle or oldest != publisher.oldest:
                oldest, waits_since, others = publisher.oldest, now, publisher.settled
            late_s = config.late_timeout_s if now - began > CALM * config.late_s else config.late_s
            if now - since >= config.confirm_timeout_s:
                self.lose("confirms are overdue")
            elif now - waits_since >= late_s and publisher.settled > others:
                self.lose(LATE)
