"""One inbox of the embedded broker: its consumers and its messages. Rule: memory holds a bounded head of the queue, the journal all of it.

The consumer that came first is active, the others stand by. When it leaves, the messages that it did not ack come again, in order.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from broker.dead_letter import dead_letter_headers
from broker.embedded.journal import LINGER_S, PAGE, Journal
from broker.embedded.journal_file import MAX_READ_BYTES, Read, Row
from broker.port import MAX_PER_TURN, Delivery
from broker.publishers import SINGLE_PROCESS
from broker.topology import DEAD
from runtime.bounds import Bound, Holding

log = structlog.get_logger(__name__)

MAX_READY = 1024  # messages kept in memory for a slow consumer; those beyond are read from the journal later
MAX_READY_BYTES = 8_000_000  # …and this many bytes
READY = Bound(
    name="broker_inboxes",
    holds="messages of an inbox that are in memory as well",
    filled_by="servers that send mail",
    past="the newest stay on disk alone until there is room",
    within=("Inbox._ready",),
    entries=MAX_READY + PAGE,
    bytes=MAX_READY_BYTES + MAX_READ_BYTES + 1_000_000,  # one page, and one message more
    per="inbox",
)
RETRY_S = 1.0  # until the next read after the disk failed one
Message = tuple[int, str | None, bytes]  # id, headers, body
_NO_HEADERS: Mapping[str, object] = {}


class EmbeddedDelivery:
    """A message in a consumer's hands. After `ack`, `dead` or the consumer's `cancel`, both do nothing."""

    __slots__ = ("_consumer", "_id", "body", "headers")
    gone = False  # there is no connection to lose
    publisher = SINGLE_PROCESS

    def __init__(self, consumer: "EmbeddedConsumer", id_: int, headers: str | None, body: bytes) -> None:
        self._consumer: EmbeddedConsumer | None = consumer
        self._id = id_
        self.body = body
        self.headers: Mapping[str, object] = json.loads(headers) if headers else _NO_HEADERS

    def ack(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None and consumer.inbox.active is consumer:
            consumer.inbox.settled(consumer, self._id)

    def dead(self, reason: str) -> None:
        """As the port says; it arrives in `flash.dead` and leaves its queue in one transaction."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None and consumer.inbox.active is consumer:
            inbox = consumer.inbox
            headers = json.dumps(dead_letter_headers(self.headers, inbox.name, reason))
            inbox.journal.batch.messages.append((DEAD, headers, self.body))
            inbox.settled(consumer, self._id)


class EmbeddedConsumer:
    """A consumer of an inbox, active or standing by."""

    def __init__(self, inbox: "Inbox", handler: Callable[[Delivery], None], prefetch: int) -> None:
        self.inbox = inbox
        self.handler = handler
        self.prefetch = prefetch
        self.unacked = 0

    async def cancel(self) -> None:
        self.inbox.leave(self)


class Inbox:
    """The queue `name`. `depth` counts its messages, with or without a consumer."""

    def __init__(self, name: str, journal: Journal) -> None:
        self.name = name
        self.depth = 0
        self.journal = journal
        self._consumers: list[EmbeddedConsumer] = []
        self._ready: deque[Message] = deque()
        self._ready_bytes = 0
        self._last = 0  # the id of the last message that is in `_ready` or was handed out
        self._complete = False  # no message after `_last` is in the journal alone
        self._reading: object | None = None  # identifies the read under way; the rows of an earlier read are ignored
        self._pumping = False
        self._pump_scheduled = False

    @property
    def in_memory(self) -> int:
        """How many of its messages wait in memory."""
        return len(self._ready)

    def holdings(self) -> Iterator[Holding]:
        """What waits in memory."""
        yield READY.holding(len(self._ready), self._ready_bytes)

    @property
    def active(self) -> EmbeddedConsumer | None:
        """The consumer that gets the messages, if there is one."""
        return self._consumers[0] if self._consumers else None

    def join(self, handler: Callable[[Delivery], None], prefetch: int) -> EmbeddedConsumer:
        """Add a consumer, which is active if it is the only one."""
        consumer = EmbeddedConsumer(self, handler, prefetch)
        self._consumers.append(consumer)
        self.pump_soon()
        return consumer

    def leave(self, consumer: EmbeddedConsumer) -> None:
        """Remove a consumer; if it was active, the next one begins with all that was not acked."""
        if consumer is self.active:
            self._ready.clear()
            self._ready_bytes = 0
            self._last, self._complete, self._reading = 0, False, None
        if consumer in self._consumers:
            self._consumers.remove(consumer)
            self.pump_soon()

    def arrive(self, messages: Sequence[Message]) -> None:
        """These messages are on disk: keep those that fit in memory, and hand out what may be."""
        self.depth += len(messages)
        if self._complete:
            fitting = self._fitting(messages) if self._consumers else ()
            if fitting:
                self._keep(fitting)
            self._complete = len(fitting) == len(messages)
        self.pump()

    def settled(self, consumer: EmbeddedConsumer, id_: int) -> None:
        """The active consumer is done with a message; it is deleted with the next transaction."""
        self.depth -= 1
        consumer.unacked -= 1
        self.journal.batch.gone.append(id_)
        self.journal.wake_later(LINGER_S)
        if self._ready or not self._complete:
            self.pump_soon()

    def pump_soon(self, delay_s: float = 0) -> None:
        """Call `pump` once, in a later turn of the loop. Before the journal is open this does nothing, because opening it pumps."""
        if not self._pump_scheduled and self.journal.loop is not None:
            self._pump_scheduled = True
            self.journal.loop.call_later(delay_s, self._scheduled_pump)

    def _scheduled_pump(self) -> None:
        self._pump_scheduled = False
        self.pump()

    def pump(self) -> None:
        """Hand the active consumer what it may have now."""
        if self._pumping:  # a handler that acks at once leads back here
            return
        self._pumping = True
        budget = MAX_PER_TURN
        while self._ready and budget and (consumer := self.active) is not None and consumer.unacked < consumer.prefetch:
            budget -= 1
            consumer.unacked += 1
            message = self._ready.popleft()
            self._ready_bytes -= len(message[2])
            delivery = EmbeddedDelivery(consumer, *message)
            try:
                consumer.handler(delivery)
            except Exception as error:
                log.exception("broker.handler_failed", queue=self.name)
                delivery.dead(f"the handler failed: {type(error).__name__}")
        self._pumping = False
        if not budget:
            self.pump_soon()
        elif not self._ready and not self._complete and self._reading is None and self.active is not None:
            self._read()

    def _fitting(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The first of these messages for which memory has room."""
        room, size = MAX_READY - len(self._ready), self._ready_bytes
        for number, (_, _, body) in enumerate(messages):
            if number >= room or size >= MAX_READY_BYTES:
                return messages[:number]
            size += len(body)
        return messages

    def _keep(self, messages: Sequence[Message]) -> None:
        self._ready.extend(messages)
        self._ready_bytes += sum([len(body) for _, _, body in messages])
        self._last = messages[-1][0]

    def _read(self) -> None:
        token = self._reading = object()

        def then(rows: list[Row] | None) -> None:
            if self._reading is not token:
                return
            self._reading = None
            if rows is None:
                self.pump_soon(RETRY_S)
                return
            before = self._ready_bytes
            if rows:
                self._keep(rows)
            self._complete = len(rows) < PAGE and self._ready_bytes - before <= MAX_READ_BYTES
            self.pump()

        sql = "SELECT id, headers, body FROM messages WHERE queue = ? AND id > ? ORDER BY id LIMIT ?"
        self.journal.batch.reads.append(Read(sql, (self.name, self._last, PAGE), then))
        self.journal.wake()
