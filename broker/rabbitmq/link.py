"""One connection to RabbitMQ, from its making to its loss. Rule: a link is never mended; when any part of it fails, all of it is lost.

aiormq, and aio-pika's robust connection above it, sometimes come back without some consumer (aio-pika issues 231, 334, 536). So
nothing here comes back: `lost` is set once, and who owns the link builds a new one from nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from aiormq.exceptions import ChannelNotFoundEntity
from yarl import URL

from broker.rabbitmq.channel import LeanChannel, open_channel
from broker.rabbitmq.connection import WatchedConnection
from broker.topology import BINDINGS, EXCHANGES, QUEUES, Binding, Exchange, Queue, inbox, inbox_binding
from domain.errors import Unavailable

log = structlog.get_logger(__name__)

HEARTBEAT_S = 10  # two are missed before the other side is given up; a proxy's idle limit is longer
CONNECT_TIMEOUT_S = 10  # a connection, its channels and the topology take 0.1 s; a hung broker answers none of it
CLOSE_TIMEOUT_S = 3  # for saying goodbye to a broker that may be gone
CONFIRM_TIMEOUT_S = 20  # no confirm for this long and no alarm: the broker hangs


@asynccontextmanager
async def or_unavailable() -> AsyncIterator[None]:
    """Turn what aiormq raises into `Unavailable`; among it `CancelledError`, with which it ends calls on a lost connection."""
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
    """A connection with its channels: `publisher` (confirms), `control` (declarations), `side` (requests and beats)."""

    publisher: LeanChannel
    control: LeanChannel
    side: LeanChannel

    def __init__(self, connection: WatchedConnection, name: str) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()  # the reason, for the log
        self._connection = connection
        self.name = name  # of the server whose link it is
        self._channels: set[LeanChannel] = set()
        self._watchdog: asyncio.TimerHandle | None = None
        self._overdue = 0  # the delivery tag that was the oldest unconfirmed when the watchdog last looked

    @classmethod
    async def open(cls, url: str, name: str) -> "Link":
        """Connect and declare the topology. Raises `Unavailable`."""
        target = URL(url)
        query = {"heartbeat": str(HEARTBEAT_S), "name": name} | dict(target.query)
        connection = WatchedConnection(target.with_query(query))
        link = cls(connection, name)
        try:
            async with or_unavailable(), asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.connect()
                connection.closing.add_done_callback(lambda _: link.lose("connection closed"))
                link.publisher = await link.channel(confirms=True)
                link.control = await link.channel()
                link.side = await link.channel()
                await link.declare()
        except BaseException:
            await link.close()
            raise
        link._watch()
        return link

    @property
    def blocked_by(self) -> str:
        """What RabbitMQ has too little of, such as `low on memory`, so that it reads nothing from us now; mostly empty."""
        return self._connection.reason if self._connection.blocked.is_set() else ""

    async def channel(self, *, confirms: bool = False, prefetch: int = 0) -> LeanChannel:
        """A channel whose end, unless `release` brings it about, is the end of the link."""
        channel = await open_channel(self._connection, confirms=confirms, prefetch=prefetch)
        self._channels.add(channel)
        channel.closing.add_done_callback(lambda _: self._closed(channel))
        channel.on_consumer_cancel_callbacks.add(lambda _: self.lose("consumer cancelled by the broker"))
        return channel

    async def release(self, channel: LeanChannel) -> None:
        """Close a channel once what was sent on it is out; the broker takes back what was not acked."""
        if channel in self._channels:
            self._channels.discard(channel)
            if self.lost.done():  # it is closed with the connection
                return
            async with or_unavailable():
                await channel.flushed()
                await channel.close(timeout=CLOSE_TIMEOUT_S)

    def _closed(self, channel: LeanChannel) -> None:
        if channel in self._channels:
            self.lose("channel closed")

    def lose(self, why: str) -> None:
        """Give the link up, at once."""
        if self.lost.done():
            return
        self.lost.set_result(why)
        if self._watchdog is not None:
            self._watchdog.cancel()
        for channel in self._channels:
            channel.abandon()

    async def close(self) -> None:
        """Let go of the connection, politely if the broker is still there."""
        try:
            async with or_unavailable(), asyncio.timeout(CLOSE_TIMEOUT_S):
                if not self.lost.done():
                    for channel in tuple(self._channels):
                        await channel.flushed()
                        await channel.confirmed(CLOSE_TIMEOUT_S)
                        await channel.flushed()  # acks of dead letters
                    self.lose("closed by us")
                await self._connection.close()
        except Unavailable as error:
            log.info("broker.close_failed", error=error.detail)

    async def declare(self) -> None:
        """Declare the fixed part of the topology; where it is whole already, no right to make or change it is needed."""
        *exchanges, last = EXCHANGES
        for exchange in EXCHANGES:
            if not exchange.durable:  # it went with the last restart of the broker
                await self._declare_exchange(exchange)
        if await self._is_there(tuple(reversed(EXCHANGES)), QUEUES):
            return
        for exchange in exchanges:
            await self._declare_exchange(exchange)
        for queue in QUEUES:
            await self._declare_queue(queue)
        for binding in BINDINGS:
            await self._bind(binding)
        await self._declare_exchange(last)

    async def _is_there(self, exchanges: Sequence[Exchange], queues: Sequence[Queue]) -> bool:
        """Whether every one of them is there."""
        probe = await open_channel(self._connection, confirms=False, prefetch=0)  # what is not there costs the channel
        try:
            for exchange in exchanges:
                await probe.exchange_declare(exchange.name, passive=True)
            for queue in queues:
                await probe.queue_declare(queue.name, passive=True)
        except ChannelNotFoundEntity:
            return False
        await probe.close(timeout=CLOSE_TIMEOUT_S)
        return True

    async def _declare_exchange(self, exchange: Exchange) -> None:
        await self.control.exchange_declare(exchange.name, exchange_type=exchange.kind, durable=exchange.durable)

    async def declare_inbox(self, server: str) -> None:
        """Declare and bind one server's queue. Another server's, where it is there, is its own affair: no right to it is needed."""
        if server != self.name and await self._is_there((), (inbox(server),)):
            return
        await self._declare_queue(inbox(server))
        await self._bind(inbox_binding(server))

    async def _declare_queue(self, queue: Queue) -> None:
        await self.control.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))

    async def _bind(self, binding: Binding) -> None:
        await self.control.queue_bind(binding.queue, binding.exchange, binding.key)

    def _watch(self) -> None:
        """Look now and then whether a confirm is overdue: costs nothing for each message, unlike a timeout for each."""
        oldest = self.publisher.unconfirmed
        if oldest and oldest == self._overdue and not self.blocked_by:
            self.lose("confirms are overdue")
            return
        self._overdue = oldest
        self._watchdog = asyncio.get_running_loop().call_later(CONFIRM_TIMEOUT_S, self._watch)
