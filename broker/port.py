"""The `Broker` port: what Flash needs of a message broker. Rule: every implementation passes the tests in `tests/broker/contract`.

Unavailable
└── NotTaken        503  a queue does not take a message; the broker itself is well
    └── Unroutable  503  there is no such queue
"""

from asyncio import Future
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from broker.answering import Handler
from broker.dead_letter import DeadLetter
from broker.publishers import SINGLE_PROCESS
from domain.errors import Unavailable
from runtime.bounds import Holding

MSGPACK = "application/msgpack"
MAX_PER_TURN = 32  # messages handed over in one turn of the loop: a peer that sends many must not make everybody else wait


class NotTaken(Unavailable):
    """A queue refuses a message, because it is full or was lost meanwhile."""


class Unroutable(NotTaken):
    """No queue takes a message."""

    def __init__(self, exchange: str, keys: Collection[str]) -> None:
        """`keys`: of all messages of one publication that no queue takes."""
        super().__init__(f"no queue takes {', '.join(sorted(keys))} on {exchange}")
        self.keys = frozenset(keys)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish. `exchange` is one of `broker.topology`, which says what `key` means there (on `flash.homes` it is the name
    of the server). With `mandatory`, a message that no queue takes is an error."""

    exchange: str
    key: str
    body: bytes
    content_type: str = MSGPACK
    message_id: str | None = None
    mandatory: bool = False


class Delivery(Protocol):
    """A message handed to a consumer, who must call either `ack` or `dead`, once. Neither of them blocks or raises. After a loss of the
    connection or a `cancel` both do nothing, because the message comes again."""

    @property
    def body(self) -> bytes:
        """The message as it was published; it may be junk of a foreign client."""

    @property
    def headers(self) -> Mapping[str, object]:
        """The headers of the message; most messages have none."""

    @property
    def publisher(self) -> str | None:
        """The user that published the message, as the broker checked it; `Broker.speaks_for` judges whether it may be of a server.
        Empty where there is no such user: in an embedded broker, and for a dead letter that the Global Server put back, whose box
        alone tells whose it is. None when the publisher hid its name, as Flash never does."""

    @property
    def gone(self) -> bool:
        """Whether its connection was lost. Then the message comes again, and this delivery can no longer be acked."""

    def ack(self) -> None:
        """The message is handled and will not come again."""

    def dead(self, reason: str) -> None:
        """The message cannot be handled. It goes to `flash.dead` with `reason` in the header `flash-reason`, its queue in `flash-queue`
        and the time in `flash-at`; other messages go on. It leaves its queue only when the dead-letter queue has it."""


@dataclass(frozen=True, slots=True)
class StreamItem:
    """One message of a stream, with its offset. `publisher`: as in `Delivery`, but also None for what was published before Flash signed."""

    offset: int
    body: bytes
    headers: Mapping[str, object] = field(default_factory=dict)
    publisher: str | None = SINGLE_PROCESS


class Consumer(Protocol):
    """A running consumer. A handler that raises is logged, and its message goes to `flash.dead`."""

    async def cancel(self) -> None:
        """Stop. Messages that were not acked come again to the next consumer."""


class Broker(Protocol):
    """Durable queues and streams, request and reply, and heartbeats. All methods may be called before the broker is reachable."""

    @property
    def connected(self) -> bool:
        """Whether the broker answers right now."""

    async def start(self) -> None:
        """Begin to connect, and reconnect after every loss, with jitter. Returns at once, even when the broker is away."""

    async def close(self) -> None:
        """Send what was published and acked, then disconnect. Pending calls raise `Unavailable`."""

    async def wait_connected(self, timeout_s: float) -> None:
        """Return as soon as the broker is connected and the topology declared. Raises `Unavailable` after `timeout_s`."""

    async def declare_inbox(self, server: str) -> None:
        """Make sure the durable queue `flash.home.<server>` exists and is bound, so that messages to the server wait there, and the
        stream `flash.calls.<server>` with them. When the broker is away this returns at once, and they are declared on connecting,
        before anything can be published. Where our user may not make them, the broker counts as away until somebody else has."""

    def publish(self, outgoing: Sequence[Outgoing]) -> "Future[None]":
        """Begin to publish; the order of the calls is the order of the messages. The future is done once the broker has every message on
        disk. Raises `Unavailable` when the broker is away, and so does the future when it goes away; any part of the messages may be
        published all the same. So it is when the future is cancelled. The future raises `NotTaken` when a queue refuses a message, and
        `Unroutable` when the broker has every message on disk but those with `mandatory` that no queue takes. A queue that does not
        confirm delays its own messages only."""

    async def consume(self, server: str, handler: Callable[[Delivery], None], prefetch: int = 256) -> Consumer:
        """Hand the messages of `flash.home.<server>` to `handler`, in order, up to `prefetch` unacked. Survives reconnects:
        unacked messages come again, in order. One consumer at a time is active per queue; a second waits as standby."""

    async def request(self, key: str, body: bytes, timeout_s: float) -> bytes:
        """Send a request on `flash.requests` to the server of `key`, `global` or `home.<name>`, and return its answer. Raises `Unavailable`
        when there is no such server, or it does not answer in time."""

    async def serve(self, key: str, handler: Handler) -> None:
        """Answer requests for `key` from now on, over reconnects, until `close`. `handler`: (question, who asks) -> answer; who asks is the
        server for which the publisher speaks, and empty within one process. When it raises, no answer is sent, and no more are answered at
        a time than `broker/answering.py` says."""

    @property
    def unanswered(self) -> int:
        """The requests that got no answer because their asker had sent too many."""

    async def send_heartbeat(self, body: bytes) -> None:
        """Tell every server that listens that this server is alive. A heartbeat is neither stored nor confirmed, and is dropped silently
        when the broker is away."""

    async def listen_heartbeats(self, handler: Callable[[bytes, str | None], None]) -> None:
        """Hand the heartbeats of every server, this one included, to `handler` from now on, over reconnects, until `close`. The second
        argument is the publisher, as in `Delivery`."""

    def read_stream(self, stream: str, start: int | str | datetime = "first", *, follow: bool = True) -> AsyncIterator[StreamItem]:
        """The messages of a stream (`flash.history`, `flash.presence.log`) from `start`: an offset, a moment (then some earlier messages
        may come first), `"first"`, or `"next"` for messages after this call only. With `follow` the reader waits for more; without, it
        ends with the message that was the last when it began. After a reconnect it goes on behind the last item that it gave; where
        the stream does not hold that item any more, because it was begun anew or cut off, the reader raises `Unavailable`, and the caller
        looks where it stands."""

    async def first_of(self, stream: str) -> StreamItem | None:
        """The first message of a stream; None when it is empty. Raises `Unavailable`."""

    async def last_of(self, stream: str) -> StreamItem | None:
        """The newest message of a stream; None when it is empty. Raises `Unavailable`."""

    def speaks_for(self, publisher: str | None, server: str) -> bool:
        """Whether a message of this publisher (`Delivery.publisher`) may claim to be of `server`. Whoever does not ask believes what any
        server says of any other. Those that may not are counted."""

    def holdings(self) -> Iterator[Holding]:
        """What its queues hold in this process."""

    @property
    def received(self) -> Mapping[str, int]:
        """How many bytes came from each publisher since the start. Empty in an embedded broker."""

    @property
    def not_believed(self) -> Mapping[str, int]:
        """How many messages of each publisher claimed to be of a server for which it does not speak."""

    async def depths(self) -> dict[str, int]:
        """How many messages wait in each queue, by its name: in `flash.dead`, and in the inboxes that were declared or are consumed
        here. Messages that our own consumers hold are counted, those of other consumers are not, because AMQP does not tell.
        Raises `Unavailable`."""

    async def dead_letters(self) -> list[DeadLetter]:
        """The first `MAX_DEAD_LETTERS` of `flash.dead`, oldest first; all of them stay there. Raises `Unavailable`."""

    async def requeue_dead(self, ids: Collection[str] | None = None) -> int:
        """Put dead letters back at the end of the queue that each came from, and return how many. Only the first `MAX_DEAD_LETTERS` are
        considered, and of these, unless `ids` is None, only those in `ids`. Each carries the header `flash-returned` from then on. A dead
        letter that came from no inbox stays, and cannot be put back by its id either: a home could make one that says anything. A dead
        letter leaves `flash.dead` only when its queue has it, so after a crash it may be in both. Raises `Unavailable`, also
        when the queue of a dead letter does not exist any more: that one and those after it stay."""

    async def drop_dead(self, ids: Collection[str]) -> int:
        """Delete those of the first `MAX_DEAD_LETTERS` dead letters that are in `ids`, and return how many. Raises `Unavailable`."""
