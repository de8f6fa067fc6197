"""The broker on RabbitMQ 3.10 to 4.x. Rule: it remembers what its callers want, and attaches all of that to every new link.

`_supervise` opens a link, attaches everything, waits for the loss of the link, and begins again, for ever. So the first connection, a
reset, a restart and a crash of the broker are one path.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import structlog

from broker.answering import AnsweringConfig, Handler
from broker.dead_letter import DeadLetter
from broker.port import Consumer, Delivery, Outgoing, StreamItem
from broker.publishers import Publishers
from broker.rabbitmq.calls import Calls
from broker.rabbitmq.connection import user_of
from broker.rabbitmq.consumer import RabbitConsumer
from broker.rabbitmq.dead_letters import DeadLetters
from broker.rabbitmq.link import CALM, LATE, Link, LinkConfig, or_unavailable
from broker.rabbitmq.publisher import frames_kept
from broker.rabbitmq.stream import StreamReader, first_of, last_of
from broker.topology import DEAD, check_stream, inbox
from domain.errors import Unavailable
from runtime.background_task import BackgroundTask, BackgroundTasks
from runtime.bounds import Holding

log = structlog.get_logger(__name__)

MOST_PATIENCE = 64  # ten minutes
OpenLink = Callable[[str, str, LinkConfig], Awaitable[Link]]


@dataclass(frozen=True, slots=True)
class RabbitConfig:
    """How long the broker waits, in seconds, and how much it takes on."""

    first_delay_s: float = 0.1  # most losses are a restart of something in between, over at once
    max_delay_s: float = 5.0  # a broker that is back serves everyone within this time
    attach_timeout_s: float = 15.0  # to consume takes milliseconds; from a queue without a leader it takes for ever, and all wait for it
    cancel_again_s: float = 5.0  # closing a link politely takes 3 s at most
    users: Mapping[str, str] = field(default_factory=dict)  # of those servers whose user is not called as they are
    tend_s: float | None = None  # between two looks whether all that was declared is still there; only the Global Server may mend it
    link: LinkConfig = field(default_factory=LinkConfig)
    answering: AnsweringConfig = field(default_factory=AnsweringConfig)


class RabbitBroker:
    """Implements `broker.port.Broker`. `url` is `amqp://user:password@host:port/vhost`, or several of one cluster separated by commas;
    `name` is shown in RabbitMQ's list of connections."""

    def __init__(self, url: str, name: str, config: RabbitConfig | None = None, open_link: OpenLink = Link.open) -> None:
        config = config or RabbitConfig()
        self._nodes = url.split(",")
        self._publishers = Publishers(name, user_of(self._nodes[0]), config.users)
        random.shuffle(self._nodes)  # so that the servers of an installation spread over the cluster
        self._name = name
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._supervisor = BackgroundTask("broker.supervise", config.cancel_again_s)
        self._config = config
        self._open_link = open_link
        self._closed = False
        self._patience = 1  # of the next link, with one message that is not confirmed
        self._inboxes: set[str] = set()
        self._consumers: list[RabbitConsumer] = []
        self._readers: list[StreamReader] = []
        self._calls = Calls(name, config.answering, self._publishers)
        self._dead = DeadLetters()
        self._attaching = BackgroundTasks("broker.attach")

    @property
    def connected(self) -> bool:
        return self._link is not None and not self._link.lost.done()

    async def start(self) -> None:
        if not self._supervisor.alive:
            self._supervisor.start(self._supervise())

    async def close(self) -> None:
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
        """Open a link and stay until it is lost. Raises `Unavailable` when it cannot be opened. The next link goes to the next node."""
        url = self._nodes.pop(0)
        self._nodes.append(url)
        config, began = replace(self._config.link, patience=self._patience), time.monotonic()
        link = await self._open_link(url, self._name, config)
        try:
            link.lost.add_done_callback(lambda _: self._lost(link))
            async with or_unavailable(), asyncio.timeout(self._config.attach_timeout_s):
                attached: set[Hashable] = set()
                while missing := [(what, attach) for what, attach in self._wanted().items() if what not in attached]:
                    what, attach = missing[0]  # while this one is attached, callers may want more
                    await attach(link)
                    attached.add(what)
            if not link.lost.done():
                self._link = link
                self._up.set()
                log.info("broker.connected", broker=self._name)
            reason = await self._tend(link)
            if reason == LATE:  # a queue that lacks its majority confirms on no link: it must not cost all others theirs again and again
                calm = time.monotonic() - began > CALM * config.late_s
                self._patience = 2 if calm else min(2 * self._patience, MOST_PATIENCE)
            log.warning("broker.lost", broker=self._name, reason=reason)
        finally:
            await link.close()

    async def _tend(self, link: Link) -> str:
        """Wait for the loss of the link, and return the reason. Meanwhile make again what somebody deleted. Raises `Unavailable`."""
        while not (await asyncio.wait((link.lost,), timeout=self._config.tend_s))[0]:
            if link.blocked:  # RabbitMQ reads nothing then
                continue
            async with or_unavailable(), asyncio.timeout(self._config.attach_timeout_s):
                await link.declare_topology()
                for server in sorted(self._inboxes):
                    await link.declare_server(server)
        return link.lost.result()

    def _wanted(self) -> dict[Hashable, Callable[[Link], Awaitable[None]]]:
        """How to attach all that every link must have, in this order."""
        wanted: dict[Hashable, Callable[[Link], Awaitable[None]]] = {}
        wanted |= {("inbox", server): partial(self._declare_server, server) for server in self._inboxes}
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
        try:
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        except TimeoutError:
            raise Unavailable("the broker cannot be reached") from None

    async def declare_inbox(self, server: str) -> None:
        self._inboxes.add(server)
        if (link := self._link) is not None:
            await self._attach(link, self._declare_server(server, link))

    def publish(self, outgoing: Sequence[Outgoing]) -> asyncio.Future[None]:
        if self._attaching:
            return asyncio.create_task(self._publish_soon(outgoing))
        return self._live_link().publisher.publish(outgoing)

    async def _publish_soon(self, outgoing: Sequence[Outgoing]) -> None:
        """A reader that was opened at "next" before these messages must get them."""
        await self._attaching.wait()
        await self._live_link().publisher.publish(outgoing)

    async def consume(self, server: str, handler: Callable[[Delivery], None], prefetch: int = 256) -> Consumer:
        self._inboxes.add(server)
        consumer = RabbitConsumer(server, inbox(server).name, handler, prefetch, self._publishers, self._consumers.remove)
        self._consumers.append(consumer)
        if (link := self._link) is not None:
            await self._attach(link, consumer.attach(link))
        return consumer

    async def _attach(self, link: Link, attempt: Awaitable[None]) -> None:
        """Attach to the present link what is remembered already. If that fails, the link is lost and the next link will have it."""
        try:
            async with or_unavailable(), asyncio.timeout(self._config.attach_timeout_s):
                await attempt
        except Unavailable as error:
            log.warning("broker.attach_failed", error=error.detail)
            link.lose("attach failed")

    async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
        return await self._calls.request(self._live_link(), key, body, timeout_s)

    @property
    def unanswered(self) -> int:
        return self._calls.answers.left_out

    async def serve(self, key: str, handler: Handler) -> None:
        self._calls.serve(key, handler)
        if (link := self._link) is not None:
            await self._attach(link, self._calls.attach_server(link, key))

    async def send_heartbeat(self, body: bytes) -> None:
        if self._link is not None:
            self._calls.send_heartbeat(self._link, body)

    async def listen_heartbeats(self, handler: Callable[[bytes, str | None], None]) -> None:
        self._calls.listen_heartbeats(handler)
        if (link := self._link) is not None:
            await self._attach(link, self._calls.attach_heartbeats(link))

    def read_stream(self, stream: str, start: int | str | datetime = "first", *, follow: bool = True) -> AsyncIterator[StreamItem]:
        check_stream(stream, start)
        reader = StreamReader(stream, start, follow, self._publishers, self._readers.remove)
        if self._closed:
            reader.fail(Unavailable("the broker is closed"))
        self._readers.append(reader)
        if (link := self._link) is not None:
            self._attaching.start(self._attach(link, reader.attach(link)))
        return reader.items()

    async def first_of(self, stream: str) -> StreamItem | None:
        check_stream(stream, "first")
        async with or_unavailable():
            return await first_of(self._live_link(), stream, self._publishers)

    async def last_of(self, stream: str) -> StreamItem | None:
        check_stream(stream, "first")
        async with or_unavailable():
            return await last_of(self._live_link(), stream)

    def speaks_for(self, publisher: str | None, server: str) -> bool:
        return self._publishers.speak_for(publisher, server)

    def holdings(self) -> Iterator[Holding]:
        yield from self._calls.holdings()
        for reader in self._readers:
            yield from reader.holdings()
        yield frames_kept()

    @property
    def received(self) -> Mapping[str, int]:
        return self._publishers.received

    @property
    def not_believed(self) -> Mapping[str, int]:
        return self._publishers.not_believed

    async def depths(self) -> dict[str, int]:
        link = self._live_link()
        depths: dict[str, int] = {}
        if link.blocked:  # RabbitMQ reads nothing then, and a declaration that is given up costs the link
            raise Unavailable("the broker makes publishers wait: it is low on memory or disk")
        async with or_unavailable():
            for queue in (DEAD, *(inbox(server).name for server in sorted(self._inboxes))):
                declared = await link.control.declare_queue(queue, passive=True)
                depths[queue] = declared.declaration_result.message_count or 0
        for consumer in tuple(self._consumers):
            depths[consumer.queue] += consumer.unacked
        return depths

    async def dead_letters(self) -> list[DeadLetter]:
        return await self._dead.look(self._live_link())

    async def requeue_dead(self, ids: Collection[str] | None = None) -> int:
        return await self._dead.requeue(self._live_link(), ids)

    async def drop_dead(self, ids: Collection[str]) -> int:
        return await self._dead.drop(self._live_link(), ids)

    async def _declare_server(self, server: str, link: Link) -> None:
        await link.declare_server(server, anew=self._config.tend_s is not None)
