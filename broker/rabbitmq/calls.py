"""Requests, answers and heartbeats on RabbitMQ. Rule: nothing here is stored or confirmed; the requester sets a timeout.

Answers come by RabbitMQ's direct reply-to, without a queue. A server that serves a key or listens to heartbeats has an exclusive
queue that goes with the connection, so RabbitMQ returns a request that nobody serves at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from itertools import count

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import PublishError

from broker.answering import answer_of
from broker.port import MSGPACK
from broker.publishers import Publishers
from broker.rabbitmq.link import Link, or_unavailable
from broker.topology import HEARTBEATS, REQUESTS
from domain.errors import Unavailable
from runtime.background_task import BackgroundTasks

log = structlog.get_logger(__name__)

REPLY_TO = "amq.rabbitmq.reply-to"
DEFAULT_EXCHANGE = ""  # AMQP's own: the key is the name of the queue


class Calls:
    """What this process requests, answers and hears, over all links."""

    def __init__(self, max_answering: int, publishers: Publishers) -> None:
        self._max_answering = max_answering
        self._publishers = publishers
        self._served: dict[str, Callable[[bytes], Awaitable[bytes]]] = {}
        self._heartbeat_handlers: list[Callable[[bytes, str | None], None]] = []
        self._awaited: dict[str, asyncio.Future[bytes]] = {}  # answers, by the number of the request
        self._numbers = count(1)
        self._attached: set[tuple[Link, str]] = set()  # what the present link has: served keys, and HEARTBEATS
        self._answering = BackgroundTasks("broker.answer")
        self._sending_heartbeat: Link | None = None  # the link on which a heartbeat is being sent

    def wanted(self) -> dict[Hashable, Callable[[Link], Awaitable[None]]]:
        """What a new link must have: a consumer of answers, of requests for each served key, of heartbeats."""
        wanted: dict[Hashable, Callable[[Link], Awaitable[None]]] = {REPLY_TO: self._attach_answers}
        wanted |= {(REQUESTS, key): partial(self.attach_server, key=key) for key in self._served}
        return wanted | ({HEARTBEATS: self.attach_heartbeats} if self._heartbeat_handlers else {})

    async def _attach_answers(self, link: Link) -> None:
        queue = await link.side.get_queue(REPLY_TO, ensure=False)
        await queue.consume(self._on_answer, no_ack=True)

    def serve(self, key: str, handler: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer requests for `key` on every later link."""
        self._served[key] = handler

    def listen_heartbeats(self, handler: Callable[[bytes, str | None], None]) -> None:
        """Hand every heartbeat to `handler` on every later link."""
        self._heartbeat_handlers.append(handler)

    async def attach_server(self, link: Link, key: str) -> None:
        """Answer requests for `key` on this link too."""
        if self._attach(link, key):
            await _consume(link.side, REQUESTS, key, partial(self._on_request, link, key))

    async def attach_heartbeats(self, link: Link) -> None:
        """Hear heartbeats on this link too."""
        if self._attach(link, HEARTBEATS):
            await _consume(link.side, HEARTBEATS, "", self._on_heartbeat)

    def _attach(self, link: Link, key: str) -> bool:
        """Note that the link has it. False when the link had it before."""
        if (link, key) in self._attached:
            return False
        self._attached = {each for each in self._attached if each[0] is link} | {(link, key)}
        return True

    async def request(self, link: Link, key: str, body: bytes, timeout_s: float) -> bytes:
        """Ask, and wait for the answer. Raises `Unavailable`."""
        number = str(next(self._numbers))
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._awaited[number] = answer
        request = _message(link, body, number)
        request.reply_to = REPLY_TO
        request.expiration = max(timeout_s, 0.001)  # after that nobody waits for the answer any more; RabbitMQ counts milliseconds
        try:
            async with asyncio.timeout(timeout_s):
                await _publish(link.side, REQUESTS, key, request, mandatory=True)
                return await answer
        except TimeoutError:
            raise Unavailable(f"nobody answered {key} in time") from None
        finally:
            del self._awaited[number]

    def send_heartbeat(self, link: Link, body: bytes) -> None:
        """Send a heartbeat to all who listen, unless the last one still waits to be sent, as during an alarm."""
        if self._sending_heartbeat is not link:
            self._sending_heartbeat = link
            link.run(self._send_heartbeat(link, body))

    async def _send_heartbeat(self, link: Link, body: bytes) -> None:
        try:
            await _publish(link.side, HEARTBEATS, "", _message(link, body))
        finally:
            if self._sending_heartbeat is link:
                self._sending_heartbeat = None

    def lost(self) -> None:
        """The link is lost: every pending request fails, because no answer can come any more."""
        for answer in self._awaited.values():
            if not answer.done():
                answer.set_exception(Unavailable("the connection to the broker was lost"))

    def close(self) -> None:
        """Fail the pending requests, and neither answer nor listen any more."""
        self.lost()
        self._served.clear()
        self._heartbeat_handlers.clear()
        self._answering.cancel()

    async def _on_answer(self, message: AbstractIncomingMessage) -> None:
        answer = self._awaited.get(message.correlation_id or "")
        if answer is not None and not answer.done():
            answer.set_result(message.body)

    async def _on_heartbeat(self, message: AbstractIncomingMessage) -> None:
        publisher = message.user_id or None
        self._publishers.count(publisher, len(message.body))
        for handler in self._heartbeat_handlers:
            try:
                handler(message.body, publisher)
            except Exception:
                log.exception("broker.heartbeat_failed")

    async def _on_request(self, link: Link, key: str, message: AbstractIncomingMessage) -> None:
        if len(self._answering) < self._max_answering:
            self._answering.start(self._answer(link, key, message))
        else:
            log.warning("broker.request_dropped", key=key)

    async def _answer(self, link: Link, key: str, message: AbstractIncomingMessage) -> None:
        handler = self._served.get(key)
        if handler is None or not message.reply_to:
            return
        body = await answer_of(key, handler, message.body)
        if body is not None and not link.lost.done():
            link.run(_publish(link.side, DEFAULT_EXCHANGE, message.reply_to, _message(link, body, message.correlation_id)))


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


async def _consume(
    channel: AbstractChannel, exchange: str, key: str, handler: Callable[[AbstractIncomingMessage], Awaitable[None]]
) -> None:
    """Hand what goes to `exchange` with `key` to `handler`, by a queue that ends with the connection."""
    queue = await channel.declare_queue(exclusive=True, auto_delete=True)
    await queue.bind(exchange, key)
    await queue.consume(handler, no_ack=True)
