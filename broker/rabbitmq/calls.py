"""Requests, answers and heartbeats on RabbitMQ. Rule: they concern this moment; the requester sets a timeout, and nobody reads them later.

A server has one stream for the questions to it and for the answers to its own, and all servers have one stream for heartbeats. Each
process reads them from their end. What is not signed by the user of the server that it names is not believed.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import PublishError
from aiormq.abc import DeliveredMessage

from broker.answering import Answering, AnsweringConfig, Handler
from broker.port import MSGPACK, Outgoing
from broker.publishers import Publishers
from broker.rabbitmq.link import Link, or_unavailable
from broker.rabbitmq.tail import follow
from broker.topology import ANSWERS, CALLS_PREFIX, HEARTBEAT_LOG, HEARTBEATS, REQUESTS, asked_server, calls
from domain.errors import Unavailable
from runtime.background_task import BackgroundTasks
from runtime.bounds import Bound, Holding

ASKING = Bound(
    name="broker_questions",
    holds="questions to other servers that wait for their answer, five seconds at most",
    filled_by="users whose calls need another server",
    past="the newest is answered as when that server is away",
    within=("Calls._awaited",),
    entries=10_000,
    each=4_000,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Awaited:
    """An answer that somebody waits for, and the server that was asked."""

    server: str
    answer: asyncio.Future[bytes]


class Calls:
    """What this process of `server` requests, answers and hears, over all links."""

    def __init__(self, server: str, answering: AnsweringConfig, publishers: Publishers) -> None:
        self._server = server
        self.answers = Answering(answering)
        self._publishers = publishers
        self._served: dict[str, Handler] = {}
        self._heartbeat_handlers: list[Callable[[bytes, str | None], None]] = []
        self._asks = False
        self._awaited: dict[str, Awaited] = {}  # by the id of the request
        self._not_asked = 0  # questions for which there was no room
        self._process = secrets.token_hex(8)  # another process of this server reads the same answers
        self._numbers = count(1)
        self._attached: dict[str, tuple[Link, asyncio.Task[None]]] = {}  # by the stream
        self._answering = BackgroundTasks("broker.answer")
        self._sending_heartbeat: Link | None = None  # the link on which a heartbeat is being sent

    def holdings(self) -> Iterator[Holding]:
        """The questions that wait, and those that are being answered."""
        yield ASKING.holding(len(self._awaited), refused=self._not_asked)
        yield from self.answers.holdings()

    def wanted(self) -> dict[Hashable, Callable[[Link], Awaitable[None]]]:
        """The streams that a new link must follow."""
        servers = {asked_server(key) for key in self._served} | ({self._server} if self._asks else set())
        streams = [calls(server).name for server in sorted(servers)] + ([HEARTBEAT_LOG] if self._heartbeat_handlers else [])
        return {("follow", stream): partial(self._attach, stream) for stream in streams}

    def serve(self, key: str, handler: Handler) -> None:
        """Answer requests for `key` on every later link."""
        self._served[key] = handler

    def listen_heartbeats(self, handler: Callable[[bytes, str | None], None]) -> None:
        """Hand every heartbeat to `handler` on every later link."""
        self._heartbeat_handlers.append(handler)

    async def attach_server(self, link: Link, key: str) -> None:
        """Answer requests for `key` on this link too."""
        await self._attach(calls(asked_server(key)).name, link)

    async def attach_heartbeats(self, link: Link) -> None:
        """Hear heartbeats on this link too."""
        await self._attach(HEARTBEAT_LOG, link)

    async def _attach(self, stream: str, link: Link) -> None:
        """Follow a stream on this link, unless it is followed there already."""
        before = self._attached.get(stream)
        if before is None or before[0] is not link or (before[1].done() and (before[1].cancelled() or before[1].exception())):
            before = self._attached[stream] = link, asyncio.create_task(self._follow(stream, link))
        await asyncio.shield(before[1])  # whoever else asks at the same moment needs it too

    async def _follow(self, stream: str, link: Link) -> None:
        if stream.startswith(CALLS_PREFIX):
            await link.declare_server(stream.removeprefix(CALLS_PREFIX))
        await follow(link, stream, partial(self._take, link))

    async def request(self, link: Link, key: str, body: bytes, timeout_s: float) -> bytes:
        """Ask, and wait for the answer. Raises `Unavailable`."""
        if len(self._awaited) >= ASKING.entries:
            self._not_asked += 1
            raise Unavailable("too many questions wait for their answers")
        self._asks = True
        id_ = f"{self._process}-{next(self._numbers)}"
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._awaited[id_] = Awaited(asked_server(key), answer)
        request = _message(link, body, id_)
        request.reply_to = self._server
        try:
            async with asyncio.timeout(timeout_s):
                async with or_unavailable():
                    await self._attach(calls(self._server).name, link)
                await _publish(link.side, REQUESTS, key, request, mandatory=True)
                return await answer
        except TimeoutError:
            raise Unavailable(f"nobody answered {key} in time") from None
        finally:
            del self._awaited[id_]

    def send_heartbeat(self, link: Link, body: bytes) -> None:
        """Send a heartbeat to all who listen, unless the last one still waits to be sent, as during an alarm."""
        if self._sending_heartbeat is not link:
            self._sending_heartbeat = link
            link.run(self._send_heartbeat(link, body))

    async def _send_heartbeat(self, link: Link, body: bytes) -> None:
        try:
            await link.publisher.publish([Outgoing(HEARTBEATS, "", body)])
        finally:
            if self._sending_heartbeat is link:
                self._sending_heartbeat = None

    def lost(self) -> None:
        """The link is lost: every pending request fails, because no answer can come any more."""
        for awaited in self._awaited.values():
            if not awaited.answer.done():
                awaited.answer.set_exception(Unavailable("the connection to the broker was lost"))

    def close(self) -> None:
        """Fail the pending requests, and neither answer nor listen any more."""
        self.lost()
        self._served.clear()
        self._heartbeat_handlers.clear()
        self._answering.cancel()

    def _take(self, link: Link, message: DeliveredMessage) -> None:
        """One message of a stream that we follow; the exchange tells what it is."""
        properties, exchange, key = message.header.properties, message.exchange, message.routing_key or ""
        publisher = properties.user_id or None
        self._publishers.count(publisher, len(message.body))
        if exchange == HEARTBEATS:
            self._hear(message.body, publisher)
        elif exchange == ANSWERS:
            self._take_answer(properties.correlation_id or "", message.body, publisher)
        elif exchange == REQUESTS and properties.reply_to and key in self._served:
            if not self._publishers.speak_for(publisher, properties.reply_to):
                self._say("broker.request_not_believed", publisher, key=key, server=properties.reply_to)
            elif self.answers.takes(properties.reply_to, key, len(message.body)):
                self._answering.start(self._answer(link, key, message.body, properties.reply_to, properties.correlation_id or ""))

    def _take_answer(self, id_: str, body: bytes, publisher: str | None) -> None:
        awaited = self._awaited.get(id_)
        if awaited is None or awaited.answer.done():
            return  # it came too late, or another process of this server asked
        if not self._publishers.speak_for(publisher, awaited.server):
            self._say("broker.answer_not_believed", publisher, server=awaited.server)
            return
        awaited.answer.set_result(body)

    def _say(self, what: str, publisher: str | None, **fields: str) -> None:
        who = f"user {publisher or 'unknown'}"
        if self.answers.lines.takes(who):
            log.warning(what, publisher=publisher, left_out=self.answers.lines.rest(who), **fields)

    def _hear(self, body: bytes, publisher: str | None) -> None:
        for handler in self._heartbeat_handlers:
            try:
                handler(body, publisher)
            except Exception:
                log.exception("broker.heartbeat_failed")

    async def _answer(self, link: Link, key: str, question: bytes, asker: str, id_: str) -> None:
        try:
            await self.answers.in_turn(asker)
            handler = self._served.get(key)
            body = await self.answers.answer(asker, key, handler, question) if handler is not None else None
        finally:
            self.answers.done(asker, len(question))
        if body is not None and not link.lost.done():
            link.run(_publish(link.side, ANSWERS, asker, _message(link, body, id_)))


def _message(link: Link, body: bytes, correlation_id: str | None = None) -> Message:
    volatile = DeliveryMode.NOT_PERSISTENT
    return Message(body, content_type=MSGPACK, delivery_mode=volatile, correlation_id=correlation_id, user_id=link.user)


async def _publish(channel: AbstractChannel, exchange: str, key: str, message: Message, *, mandatory: bool = False) -> None:
    async with or_unavailable():
        target = await channel.get_exchange(exchange, ensure=False)
        try:
            await target.publish(message, key, mandatory=mandatory)
        except PublishError:
            raise Unavailable("nobody serves this request") from None
