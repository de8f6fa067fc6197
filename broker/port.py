"""The `Broker` port: what Flash needs of a message broker. Rule: every implementation passes `tests/broker/test_contract*.py`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from broker.dead_letter import DeadLetter

MSGPACK = "application/msgpack"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way out. `exchange` is one of `broker.topology`, which says what `key` is there (on `flash.homes` the
    server's name); `mandatory`: unroutable is an error."""

    exchange: str
    key: str
    body: bytes
    content_type: str = MSGPACK
    message_id: str | None = None
    mandatory: bool = False


class Delivery(Protocol):
    """A message handed to a consumer; exactly one of `ack` and `dead` must follow. Neither blocks or raises; after a loss of the
    connection or a `cancel`, both do nothing, because the message comes again."""

    @property
    def body(self) -> bytes:
        """The message as it was published; it may be junk that is not ours."""

    @property
    def headers(self) -> Mapping[str, object]:
        """Its headers, mostly none."""

    @property
    def gone(self) -> bool:
        """Whether the connection it came over was lost: then it comes again, and this one can no longer be acked."""

    def ack(self) -> None:
        """Done with it: it will not come again."""

    def dead(self, reason: str) -> None:
        """It cannot be handled: it goes to `flash.dead` with `reason` in the header `flash-reason`, the queue it came from in
        `flash-queue` and the time in `flash-at`; the rest goes on. It is gone from its queue only when the dead-letter queue has it."""


@dataclass(frozen=True, slots=True)
class StreamItem:
    """One message of a stream, with its offset."""

    offset: int
    body: bytes
    headers: Mapping[str, object] = field(default_factory=dict)


class Consumer(Protocol):
    """A running consumer. A handler that raises is logged, and its message goes to `flash.dead`."""

    async def cancel(self) -> None:
        """Stop. Deliveries that were not acked will come again to the next consumer."""


class Broker(Protocol):
    """Durable queues and streams, request and reply, and beats. All methods may be called before the broker is reachable."""

    @property
    def connected(self) -> bool:
        """Whether the broker answers right now."""

    async def start(self) -> None:
        """Begin to connect (and keep reconnecting, with jitter); returns at once, even when the broker is away."""

    async def close(self) -> None:
        """Finish what was asked and let go of everything. Pending calls raise `Unavailable`."""

    async def wait_connected(self, timeout_s: float) -> None:
        """Return as soon as the broker is connected and the topology declared. Raises `Unavailable` after `timeout_s`."""

    async def declare_inbox(self, server: str) -> None:
        """Make sure the durable queue `flash.home.<server>` exists and is bound, so that what is published to it waits.
        Does not wait for a broker that is away: then the queue is declared on connecting, before anything can be published."""

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """Return once the broker has every message on disk, in order. Raises `Unavailable`, at once when it is away; then any
        part may have been published. Cancelled, it may be published too."""

    async def consume(self, server: str, handler: Callable[[Delivery], None], prefetch: int = 256) -> Consumer:
        """Hand the messages of `flash.home.<server>` to `handler`, in order, up to `prefetch` unacked. Survives reconnects:
        unacked messages come again, in order. One consumer at a time is active per queue; a second waits as standby."""

    async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
        """Ask whoever serves `key` on `flash.requests`. Raises `Unavailable` when nobody answers in time or nobody serves it."""

    async def serve(self, key: str, handler: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer requests for `key` from now on, over reconnects, until `close`. A handler that raises sends no answer."""

    async def beat(self, body: bytes) -> None:
        """Tell every server that listens, now, that we live. Never stored, never confirmed; silently dropped when away."""

    async def listen_beats(self, handler: Callable[[bytes], None]) -> None:
        """Hand every server's beats (our own included) to `handler` from now on, over reconnects, until `close`."""

    def read_stream(self, stream: str, start: int | str = "first", *, follow: bool = True) -> AsyncIterator[StreamItem]:
        """The messages of a stream (`flash.history`, `flash.presence.log`) from `start`: an offset, `"first"` or `"next"` (only
        what comes after this call). With `follow` it waits for more; without, it ends at what was last when it began. Over
        reconnects it goes on after the last item it gave."""

    async def depths(self) -> dict[str, int]:
        """Messages waiting in each Flash queue, by queue name: `flash.dead`, and the inboxes that were declared or are consumed
        here. Ready ones and those in our own consumers' hands; AMQP does not tell of others'. Raises `Unavailable`."""

    async def dead_letters(self) -> list[DeadLetter]:
        """The first `MAX_LETTERS` of `flash.dead`, oldest first; all stay where they are. Raises `Unavailable`."""

    async def requeue_dead(self, ids: Collection[str] | None = None) -> int:
        """Put dead letters back at the end of the queue each came from: those of the first `MAX_LETTERS` that are in `ids`, or (None)
        all of these. How many went; each carries the header `flash-returned` from then on. A letter leaves `flash.dead` only when its
        queue has it, so after a crash it may be in both. Raises `Unavailable`, also when a letter's queue is no more: it and those
        after it stay."""

    async def drop_dead(self, ids: Collection[str]) -> int:
        """Throw away those of the first `MAX_LETTERS` dead letters that are in `ids`, for good. How many. Raises `Unavailable`."""
