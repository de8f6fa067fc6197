"""Requests, answers and beats on RabbitMQ. Rule: nothing here is stored or confirmed; who asks sets a time, who is away misses it.

Answers come by RabbitMQ's direct reply-to, without a queue. Who serves a key or listens to beats has an exclusive queue that goes
with the connection, so a request that nobody serves is returned at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from itertools import count

import structlog
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from broker.answering import answer_of
from broker.port import MSGPACK
from broker.rabbitmq.channel import TRANSIENT, LeanChannel
from broker.rabbitmq.link import Link
from broker.topology import BEATS, REQUESTS
from domain.errors import Unavailable

log = structlog.get_logger(__name__)

REPLY_TO = "amq.rabbitmq.reply-to"
_BEAT = Basic.Properties(content_type=MSGPACK, delivery_mode=TRANSIENT).marshal()


class Calls:
    """What this process asks, answers and hears, over all links."""

    def __init__(self) -> None:
        self._served: dict[str, Callable[[bytes], Awaitable[bytes]]] = {}
        self._beat_handlers: list[Callable[[bytes], None]] = []
        self._asked: dict[str, asyncio.Future[bytes]] = {}
        self._numbers = count(1)
        self._attached: set[tuple[Link, str]] = set()  # what the present link has: served keys, and BEATS
        self._answering: set[asyncio.Task[None]] = set()  # strong references: the loop keeps only weak ones

    def wanted(self) -> dict[Hashable, Callable[[Link], Awaitable[None]]]:
        """What a new link must have: a place for answers, for requests of each served key, for beats."""
        wanted: dict[Hashable, Callable[[Link], Awaitable[None]]] = {REPLY_TO: self._attach_answers}
        wanted |= {(REQUESTS, key): partial(self.attach_server, key=key) for key in self._served}
        return wanted | ({BEATS: self.attach_beats} if self._beat_handlers else {})

    async def _attach_answers(self, link: Link) -> None:
        link.side.returned = self._returned
        await link.side.listen(REPLY_TO, self._answered, no_ack=True)

    def serve(self, key: str, handler: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer requests for `key` on every link to come."""
        self._served[key] = handler

    def listen_beats(self, handler: Callable[[bytes], None]) -> None:
        """Hand every beat to `handler` on every link to come."""
        self._beat_handlers.append(handler)

    async def attach_server(self, link: Link, key: str) -> None:
        """Answer requests for `key` on this link too."""
        if (link, key) in self._attached:
            return
        self._attached = {each for each in self._attached if each[0] is link} | {(link, key)}
        queue = await self._own_queue(link, REQUESTS, key)
        await link.side.listen(queue, lambda message: self._asked_for(link.side, key, message), no_ack=True)

    async def attach_beats(self, link: Link) -> None:
        """Hear beats on this link too."""
        if (link, BEATS) in self._attached:
            return
        self._attached = {each for each in self._attached if each[0] is link} | {(link, BEATS)}
        await link.side.listen(await self._own_queue(link, BEATS, ""), self._heard, no_ack=True)

    @staticmethod
    async def _own_queue(link: Link, exchange: str, key: str) -> str:
        declared = await link.control.queue_declare("", exclusive=True, auto_delete=True)
        await link.control.queue_bind(declared.queue or "", exchange, key)
        return declared.queue or ""

    async def request(self, link: Link, key: str, body: bytes, timeout_s: float) -> bytes:
        """Ask, and wait for the answer. Raises `Unavailable`."""
        number = str(next(self._numbers))
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        properties = Basic.Properties(
            content_type=MSGPACK,
            delivery_mode=TRANSIENT,
            correlation_id=number,
            reply_to=REPLY_TO,
            expiration=str(max(1, int(timeout_s * 1000))),  # milliseconds; nobody answers what nobody waits for any more
        )
        try:
            link.side.send(REQUESTS, key, body, properties.marshal(), mandatory=True)
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise Unavailable(f"nobody answered {key} in time") from None
        finally:
            del self._asked[number]

    def beat(self, link: Link, body: bytes) -> None:
        """Send a beat to all who listen."""
        link.side.send(BEATS, "", body, _BEAT)

    def lost(self) -> None:
        """The link is lost, and with it every answer that was on its way."""
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(Unavailable("the connection to the broker was lost"))

    def close(self) -> None:
        """Answer and hear nothing any more."""
        self.lost()
        self._served.clear()
        self._beat_handlers.clear()
        for task in self._answering:
            task.cancel()

    def _answered(self, message: DeliveredMessage) -> None:
        answer = self._asked.get(message.header.properties.correlation_id or "")
        if answer is not None and not answer.done():
            answer.set_result(message.body)

    def _returned(self, message: DeliveredMessage) -> None:
        answer = self._asked.get(message.header.properties.correlation_id or "")
        if answer is not None and not answer.done():
            answer.set_exception(Unavailable("nobody serves this request"))

    def _heard(self, message: DeliveredMessage) -> None:
        for handler in self._beat_handlers:
            try:
                handler(message.body)
            except Exception:
                log.exception("broker.beat_failed")

    def _asked_for(self, channel: LeanChannel, key: str, message: DeliveredMessage) -> None:
        task = asyncio.create_task(self._answer(channel, key, message))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, channel: LeanChannel, key: str, message: DeliveredMessage) -> None:
        asked = message.header.properties
        handler = self._served.get(key)
        if handler is None or not asked.reply_to:
            return
        body = await answer_of(key, handler, message.body)
        properties = Basic.Properties(content_type=MSGPACK, delivery_mode=TRANSIENT, correlation_id=asked.correlation_id)
        if body is not None and not channel.is_closed:
            channel.send("", asked.reply_to, body, properties.marshal())
