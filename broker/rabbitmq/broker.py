"""The broker on RabbitMQ 3.10 to 4.x. Rule: everything wanted is remembered here, and put up anew on every new connection.

`_supervise` makes a link, attaches all that is wanted, waits for its loss, and begins again, for ever. So the first connection, a
reset, a restart and a crash of the broker are one path.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from broker.dead_letter import DeadLetter
from broker.port import Consumer, Delivery, Outgoing, StreamItem
from broker.rabbitmq.calls import Calls
from broker.rabbitmq.consumer import RabbitConsumer
from broker.rabbitmq.dead_letters import DeadLetters
from broker.rabbitmq.link import Link, LinkConfig, or_unavailable
from broker.rabbitmq.stream import StreamReader
from broker.topology import DEAD, STREAMS, inbox
from domain.errors import Unavailable
from runtime.background_task import BackgroundTask, BackgroundTasks

log = structlog.get_logger(__name__)

OpenLink = Callable[[str, str, LinkConfig], Awaitable[Link]]

_STREAM_NAMES = frozenset(stream.name for stream in STREAMS)


@dataclass(frozen=True, slots=True)
class RabbitConfig:
    """How patient the broker is, in seconds."""

    first_delay_s: float = 0.1  # most losses are a restart of something in between, over at once
    max_delay_s: float = 5.0  # a broker that is back serves everyone within this time
    attach_timeout_s: float = 15.0  # to consume takes milliseconds; from a queue without a leader it takes for ever, and all wait for it
    cancel_again_s: float = 5.0  # closing a link politely takes 3 s at most
    link: LinkConfig = field(default_factory=LinkConfig)


class RabbitBroker:
    """Implements `broker.port.Broker`. `url`: `amqp://user:password@host:port/vhost`, or several of one cluster, separated by commas;
    `name`: shown in RabbitMQ's list of connections."""

    def __init__(self, url: str, name: str, config: RabbitConfig | None = None, open_link: OpenLink = Link.open) -> None:
        config = config or RabbitConfig()
        self._nodes = url.split(",")
        random.shuffle(self._nodes)  # the servers of an installation spread over the cluster
        self._name = name
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._supervisor = BackgroundTask("broker.supervise", config.cancel_again_s)
        self._config = config
        self._open_link = open_link
        self._closed = False
        self._inboxes: set[str] = set()
        self._consumers: list[RabbitConsumer] = []
        self._readers: list[StreamReader] = []
        self._calls = Calls()
        self._dead = DeadLetters()
        self._attaching = BackgroundTasks("broker.attach")

    @property
    def connected(self) -> bool:
        """Whether there is a link with everything in place."""
        return self._link is not None and not self._link.lost.done()

    async def start(self) -> None:
        """Begin to connect, and to reconnect whenever the connection is lost."""
        if not self._supervisor.alive:
            self._supervisor.start(self._supervise())

    async def close(self) -> None:
        """Wait for what was published and acked to be out, and disconnect. Pending calls raise `Unavailable`."""
        self._closed = True
        for reader in tuple(self._readers):
            reader.fail(Unavailable("the broker is closed"))
        await self._supervisor.stop()
        await self._attaching.stop()
        self._calls.close()

    async def _supervise(self) -> None:
        delay_s = self._config.first_delay_s
        while True:
            began = time.monotonic()
            try:
                await self._live()
            except Unavailable as error:
                log.warning("broker.connect_failed", error=error.detail, cause=repr(error.__cause__))
            if time.monotonic() - began > self._config.max_delay_s:
                delay_s = self._config.first_delay_s
            await asyncio.sleep(delay_s * random.uniform(0.5, 1))  # noqa: S311  # jitter, so that not all servers come back at once
            delay_s = min(delay_s * 2, self._config.max_delay_s)

    async def _live(self) -> None:
        """One link from its making to its loss. Raises `Unavailable` when it cannot be made. The next one is to the next node."""
        url = self._nodes.pop(0)
        self._nodes.append(url)
        link = await self._open_link(url, self._name, self._config.link)
        try:
            link.lost.add_done_callback(lambda _: self._lost(link))
            async with or_unavailable(), asyncio.timeout(self._config.attach_timeout_s):
                there: set[Hashable] = set()
                while fresh := [(what, attach) for what, attach in self._wanted().items() if what not in there]:
                    what, attach = fresh[0]  # more may be wanted meanwhile
                    await attach(link)
                    there.add(what)
            if not link.lost.done():
                self._link = link
                self._up.set()
                log.info("broker.connected", broker=self._name)
            reason = await asyncio.shield(link.lost)
            log.warning("broker.lost", broker=self._name, reason=reason)
        finally:
            await link.close()

    def _wanted(self) -> dict[Hashable, Callable[[Link], Awaitable[None]]]:
        """What every link must have, in this order."""
        wanted: dict[Hashable, Callable[[Link], Awaitable[None]]] = {}
        wanted |= {("inbox", server): partial(_declare_inbox, server) for server in self._inboxes}
        wanted |= self._calls.wanted()
        wanted |= {consumer: consumer.attach for consumer in self._consumers}
        wanted |= {reader: reader.attach for reader in self._readers}
        return wanted

    def _lost(self, link: Link) -> None:
        if self._link is link:
            self._link = None
            self._up.clear()
            self._calls.lost()

    def _live_link(self) -> Link:
        link = self._link
        if link is None or link.lost.done():
            raise Unavailable("the broker is away")
        return link

    async def wait_connected(self, timeout_s: float) -> None:
        """Return as soon as the broker is connected. Raises `Unavailable` after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        except TimeoutError:
            raise Unavailable("the broker cannot be reached") from None

    async def declare_inbox(self, server: str) -> None:
        """Declare the server's queue now and on every new connection; when away, return at once."""
        self._inboxes.add(server)
        if (link := self._link) is not None:
            await self._put_up(link, link.declare_inbox(server))

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """Return once every message is confirmed. Raises `Unavailable`: away, unroutable, refused, or no confirm in time."""
        if self._attaching:
            await self._attaching.wait()  # a reader that asked for "next" before this call gets what we publish
        await self._live_link().publisher.publish(outgoing)

    async def consume(self, server: str, handler: Callable[[Delivery], None], prefetch: int = 256) -> Consumer:
        """Consume the server's queue, which is declared if need be; when away, from the next connection on."""
        self._inboxes.add(server)
        consumer = RabbitConsumer(server, inbox(server).name, handler, prefetch, self._consumers.remove)
        self._consumers.append(consumer)
        if (link := self._link) is not None:
            await self._put_up(link, consumer.attach(link))
        return consumer

    async def _put_up(self, link: Link, attempt: Awaitable[None]) -> None:
        """Put up on the present link what is remembered already: if that fails, the next link will have it."""
        try:
            async with or_unavailable(), asyncio.timeout(self._config.attach_timeout_s):
                await attempt
        except Unavailable as error:
            log.warning("broker.attach_failed", error=error.detail)
            link.lose("attach failed")

    async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
        """Ask who serves `key`. Raises `Unavailable`: away, nobody serves it, or no answer in time."""
        return await self._calls.request(self._live_link(), key, body, timeout_s)

    async def serve(self, key: str, handler: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer requests for `key`; when away, from the next connection on."""
        self._calls.serve(key, handler)
        if (link := self._link) is not None:
            await self._put_up(link, self._calls.attach_server(link, key))

    async def send_heartbeat(self, body: bytes) -> None:
        """Tell all who listen; when away, nobody."""
        if self._link is not None:
            self._calls.send_heartbeat(self._link, body)

    async def listen_heartbeats(self, handler: Callable[[bytes], None]) -> None:
        """Hand every beat to `handler`; when away, from the next connection on."""
        self._calls.listen_heartbeats(handler)
        if (link := self._link) is not None:
            await self._put_up(link, self._calls.attach_beats(link))

    def read_stream(self, stream: str, start: int | str = "first", *, follow: bool = True) -> AsyncIterator[StreamItem]:
        """The messages of a stream from `start`. Raises `ValueError` for an unknown stream; `Unavailable` when the broker is closed."""
        if stream not in _STREAM_NAMES or not (start in ("first", "next") or (isinstance(start, int) and start >= 0)):
            raise ValueError(f"no such stream or start: {stream}, {start}")
        reader = StreamReader(stream, start, follow, self._readers.remove)
        if self._closed:
            reader.fail(Unavailable("the broker is closed"))
        self._readers.append(reader)
        if (link := self._link) is not None:
            self._attaching.start(self._put_up(link, reader.attach(link)))
        return reader.items()

    async def depths(self) -> dict[str, int]:
        """Messages in `flash.dead` and in the inboxes this process declared or consumes: the ready ones, and those in our hands."""
        link = self._live_link()
        depths: dict[str, int] = {}
        if link.blocked:  # RabbitMQ reads no question then, and to give up a question costs the link
            raise Unavailable("the broker makes publishers wait: it is low on memory or disk")
        async with or_unavailable():
            for queue in (DEAD, *(inbox(server).name for server in sorted(self._inboxes))):
                declared = await link.control.declare_queue(queue, passive=True)
                depths[queue] = declared.declaration_result.message_count or 0
        for consumer in tuple(self._consumers):
            depths[consumer.queue] += consumer.unacked
        return depths

    async def dead_letters(self) -> list[DeadLetter]:
        """The first `MAX_LETTERS` of `flash.dead`, taken and given back. Raises `Unavailable`."""
        return await self._dead.look(self._live_link())

    async def requeue_dead(self, ids: Collection[str] | None = None) -> int:
        """Publish letters to the queues they came from, and take each out when that is confirmed. Raises `Unavailable`."""
        return await self._dead.requeue(self._live_link(), ids)

    async def drop_dead(self, ids: Collection[str]) -> int:
        """Take letters out for good. Raises `Unavailable`."""
        return await self._dead.drop(self._live_link(), ids)


async def _declare_inbox(server: str, link: Link) -> None:
    await link.declare_inbox(server)
