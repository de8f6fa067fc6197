"""The embedded broker: the port in one process, durable in one SQLite file. Rule: nothing is handed out before it is on disk.

The servers of a process share one instance and one event loop; two processes must not share a file. Requests and heartbeats live in
memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog

from broker.answering import Answering, Handler
from broker.dead_letter import DeadLetter
from broker.embedded.dead_letters import DeadLetters
from broker.embedded.journal import Journal
from broker.embedded.journal_file import MAX_READ_BYTES, Batch, Read, Row
from broker.embedded.queue import Inbox, Message
from broker.embedded.streams import Streams
from broker.port import Consumer, Delivery, Outgoing, StreamItem, Unroutable
from broker.publishers import SINGLE_PROCESS
from broker.topology import BINDINGS, DEAD, EVERYTHING, HOMES, INBOX_PREFIX, STREAM_NAMES
from domain.errors import Unavailable
from runtime.background_task import BackgroundTasks
from runtime.bounds import Bound, Holding

log = structlog.get_logger(__name__)

MAX_DEAD_BYTES = 64_000_000  # of dead letters that are looked at
PUBLISHING = Bound(
    name="broker_publishing",
    holds="messages that are being written to the embedded broker's file",
    filled_by="servers of this process that publish",
    past="whoever publishes waits and tries again",
    within=("EmbeddedBroker._publishing",),
    entries=100_000,
    bytes=64_000_000,  # the three followers of a log have 1 MB each under way
)
ASKING = Bound(
    name="broker_questions",
    holds="questions between servers that wait for their answer, five seconds at most",
    filled_by="users whose calls need another server",
    past="the newest is answered as when that server is away",
    within=("EmbeddedBroker._asking",),
    entries=10_000,
    each=4_000,
)
_FIXED_ROUTES = {binding.exchange: binding.queue for binding in BINDINGS if binding.key == EVERYTHING}


class EmbeddedBroker:
    """Implements `broker.port.Broker`. `path` is its SQLite file, which is made when it is missing."""

    def __init__(self, path: str | Path, most_publishing_bytes: int = PUBLISHING.bytes, most_questions: int = ASKING.entries) -> None:
        self._bounds = replace(PUBLISHING, bytes=most_publishing_bytes), replace(ASKING, entries=most_questions)
        self._journal = Journal(path, self._committed)
        self._inboxes: dict[str, Inbox] = {DEAD: Inbox(DEAD, self._journal)}
        self._served: dict[str, Handler] = {}
        self._answers = Answering()
        self._heartbeat_handlers: list[Callable[[bytes, str | None], None]] = []
        self.received: Mapping[str, int] = {}
        self.not_believed: Mapping[str, int] = {}
        self._answering = BackgroundTasks("broker.answer")
        self._asking: set[asyncio.Future[bytes]] = set()
        self._not_asked = 0  # questions for which there was no room
        self._publishing = [0, 0]  # messages under way, and their bytes
        self._not_published = 0  # messages for which there was no room
        self._dead = DeadLetters(self._journal, self._inboxes, partial(self._rows, max_bytes=MAX_DEAD_BYTES), self._commit)
        self._opening: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # the file is open, or could not be opened
        self._streams = Streams(self._settled, lambda: self._connected, self._rows)
        self._connected = False

    @property
    def connected(self) -> bool:
        return self._connected

    def holdings(self) -> Iterator[Holding]:
        """What it has in memory."""
        for queue in self._inboxes.values():
            yield from queue.holdings()
        publishing, asking = self._bounds
        yield publishing.holding(*self._publishing, refused=self._not_published)
        yield asking.holding(len(self._asking), refused=self._not_asked)
        yield from self._answers.holdings()

    @property
    def in_memory(self) -> int:
        """How many messages wait in memory."""
        return sum(queue.in_memory for queue in self._inboxes.values())

    async def start(self) -> None:
        self._settled.clear()
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        try:
            contents = await self._journal.open()
            for name, depth in contents.depths.items():
                self._inbox(name).depth = depth
            self._streams.ends.update(contents.ends)
            self._connected = True
            for queue in self._inboxes.values():
                queue.pump_soon()
        except Unavailable as error:
            log.error("broker.file_failed", error=error.detail)
        finally:
            self._settled.set()

    async def close(self) -> None:
        if self._opening is not None:
            await self._opening
        self._connected = False
        for pending in self._asking:
            if not pending.done():
                pending.set_exception(_closed())
        await self._answering.stop()
        self._served.clear()
        self._heartbeat_handlers.clear()
        await self._journal.close()
        self._streams.wake()

    async def wait_connected(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
        except TimeoutError:
            raise Unavailable("the broker did not open its file in time") from None
        if not self._connected:
            raise Unavailable("the broker is closed")

    async def declare_inbox(self, server: str) -> None:
        name = INBOX_PREFIX + server
        if name in self._inboxes:
            return
        self._inbox(name)
        self._journal.batch.queues.append(name)
        if self._connected:
            await self._commit()

    def _inbox(self, name: str) -> Inbox:
        if name not in self._inboxes:
            self._inboxes[name] = Inbox(name, self._journal)
        return self._inboxes[name]

    def publish(self, outgoing: Sequence[Outgoing]) -> asyncio.Future[None]:
        if not self._connected:
            raise _closed()
        publishing, size = self._publishing, sum([len(message.body) for message in outgoing])
        if publishing[1] and publishing[1] + size > self._bounds[0].bytes:
            self._not_published += len(outgoing)
            raise Unavailable("too much waits for the broker's disk")
        publishing[0] += len(outgoing)
        publishing[1] += size
        published = self._publish(outgoing)
        published.add_done_callback(partial(self._published, len(outgoing), size))
        return published

    def _published(self, messages: int, size: int, _: asyncio.Future[None]) -> None:
        self._publishing[0] -= messages
        self._publishing[1] -= size

    def _publish(self, outgoing: Sequence[Outgoing]) -> asyncio.Future[None]:
        routed: list[tuple[str, bytes]] = []
        unroutable: list[Outgoing] = []
        for message in outgoing:
            queue = INBOX_PREFIX + message.key if message.exchange == HOMES else _FIXED_ROUTES.get(message.exchange, "")
            if queue in STREAM_NAMES or queue in self._inboxes:
                routed.append((queue, message.body))
            elif message.mandatory:
                unroutable.append(message)
        batch = self._journal.batch
        for queue, body in routed:
            if queue in STREAM_NAMES:
                batch.streams.setdefault(queue, []).append(body)
            else:
                batch.messages.append((queue, None, body))
        stored = self._commit()
        return _but(stored, Unroutable(unroutable[0].exchange, {each.key for each in unroutable})) if unroutable else stored

    def _commit(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._journal.batch.waiters.append(waiter)
        self._journal.wake()
        return waiter

    def _committed(self, batch: Batch) -> None:
        self._inboxes[DEAD].depth -= len(batch.moves)
        arrivals: dict[str, list[Message]] = {}
        for id_, queue, headers, body in batch.arrivals:
            arrivals.setdefault(queue, []).append((id_, headers, body))
        for queue, messages in arrivals.items():
            self._inboxes[queue].arrive(messages)
        for stream, bodies in batch.streams.items():
            self._streams.ends[stream] += len(bodies)
        if batch.streams:
            self._streams.wake()

    async def consume(self, server: str, handler: Callable[[Delivery], None], prefetch: int = 256) -> Consumer:
        await self.declare_inbox(server)
        return self._inboxes[INBOX_PREFIX + server].join(handler, prefetch)

    async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
        handler = self._served.get(key)
        if handler is None or not self._connected:
            raise Unavailable(f"nobody serves {key}")
        if len(self._asking) >= self._bounds[1].entries:
            self._not_asked += 1
            raise Unavailable("too many questions wait for their answers")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asking.add(answer)
        self._answering.start(self._answer(key, handler, body, answer))
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise Unavailable(f"nobody answered {key} in time") from None
        finally:
            self._asking.discard(answer)

    async def serve(self, key: str, handler: Handler) -> None:
        self._served[key] = handler

    @property
    def unanswered(self) -> int:
        return 0

    async def _answer(self, key: str, handler: Handler, body: bytes, answer: "asyncio.Future[bytes]") -> None:
        result = await self._answers.answer(SINGLE_PROCESS, key, handler, body)
        if result is not None and not answer.done():
            answer.set_result(result)

    async def send_heartbeat(self, body: bytes) -> None:
        if self._connected:
            for handler in self._heartbeat_handlers:
                asyncio.get_running_loop().call_soon(handler, body, SINGLE_PROCESS)

    async def listen_heartbeats(self, handler: Callable[[bytes, str | None], None]) -> None:
        self._heartbeat_handlers.append(handler)

    def read_stream(self, stream: str, start: int | str | datetime = "first", *, follow: bool = True) -> AsyncIterator[StreamItem]:
        return self._streams.read(stream, start, follow)

    async def first_of(self, stream: str) -> StreamItem | None:
        return await self._streams.first_of(stream)

    async def last_of(self, stream: str) -> StreamItem | None:
        return await self._streams.last_of(stream)

    async def _rows(self, sql: str, arguments: Row, max_bytes: int = MAX_READ_BYTES) -> list[Row]:
        if not self._connected:
            raise _closed()
        page: asyncio.Future[list[Row] | None] = asyncio.get_running_loop().create_future()
        read = Read(sql, arguments, lambda rows: None if page.done() else page.set_result(rows), max_bytes)
        self._journal.batch.reads.append(read)
        self._journal.wake()
        rows = await page
        if rows is None:
            raise Unavailable("the broker could not read its disk")
        return rows

    def speaks_for(self, publisher: str | None, server: str) -> bool:
        return publisher == SINGLE_PROCESS

    async def depths(self) -> dict[str, int]:
        if not self._connected:
            raise _closed()
        return {name: queue.depth for name, queue in self._inboxes.items()}

    async def dead_letters(self) -> list[DeadLetter]:
        return await self._dead.look()

    async def requeue_dead(self, ids: Collection[str] | None = None) -> int:
        return await self._dead.requeue(ids)

    async def drop_dead(self, ids: Collection[str]) -> int:
        return await self._dead.drop(ids)


def _but(stored: asyncio.Future[None], failure: Unroutable) -> asyncio.Future[None]:
    """Fails as soon as the rest is stored."""
    failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(rest: asyncio.Future[None]) -> None:
        if not failing.done():
            failing.set_exception((None if rest.cancelled() else rest.exception()) or failure)

    stored.add_done_callback(fail)
    return failing


def _closed() -> Unavailable:
    return Unavailable("the broker is closed")
