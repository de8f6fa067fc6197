"""The one table of exchanges, queues and streams. Rule: both adapters read it; no name of an exchange or queue is written elsewhere.

    flash.homes     direct  key = server name           -> flash.home.<name>     quorum queue, one active consumer
    flash.events    topic   <server>.<n events>         -> flash.history         stream
    flash.presence  topic   presence.<home>.<uid>.<st>  -> flash.presence.log    stream
    flash.requests  direct  key = what is requested     -> exclusive queue of each server of the key; answers by direct reply-to
    flash.dead      fanout                              -> flash.dead            quorum queue
    flash.beats     fanout                              -> exclusive queue of each listener; heartbeats, which are not stored

Everything is durable except `flash.beats` and the exclusive queues. Only features that RabbitMQ 3.10 has and 4.x still allows are used:
no transient queue that is not exclusive, no mirrored queue, no global prefetch. Limits on the age or size of a stream are set by policy
(`rabbitmqctl set_policy`) and not in this table, because a changed argument would make every declaration fail.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

HOMES = "flash.homes"
EVENTS = "flash.events"
PRESENCE = "flash.presence"
REQUESTS = "flash.requests"
DEAD = "flash.dead"  # the exchange and its queue
HEARTBEATS = "flash.beats"

HISTORY = "flash.history"
PRESENCE_LOG = "flash.presence.log"
INBOX_PREFIX = "flash.home."

REASON_HEADER = "flash-reason"  # why a dead letter could not be handled
QUEUE_HEADER = "flash-queue"  # the queue a dead letter came from
AT_HEADER = "flash-at"  # when, in microseconds since 1970
RETURNED_HEADER = "flash-returned"  # a message with it was a dead letter and was put back

EVERYTHING = "#"  # the only pattern in use on topic exchanges; any other binding key matches itself alone

# Without a limit in the declaration, RabbitMQ 4 dead-letters a message after 20 redeliveries: a home that crashes 20 times would lose
# good messages. RabbitMQ 3.10 does not know -1 (no limit), so the limit is out of reach. With a limit, a quorum queue also keeps messages
# that were given back in their order.
DELIVERY_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange. `kind`: `direct`, `topic` or `fanout`."""

    name: str
    kind: str
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue or stream, with the arguments it is declared with."""

    name: str
    arguments: Mapping[str, str | int | bool] = field(default_factory=dict)

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream, which is read by offset and keeps what was read."""
        return self.arguments.get("x-queue-type") == "stream"


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages with exactly this `key`, or `EVERYTHING`, go from the exchange to the queue."""

    exchange: str
    queue: str
    key: str = EVERYTHING


EXCHANGES = (
    Exchange(HEARTBEATS, "fanout", durable=False),
    Exchange(EVENTS, "topic"),
    Exchange(PRESENCE, "topic"),
    Exchange(REQUESTS, "direct"),
    Exchange(DEAD, "fanout"),
    Exchange(HOMES, "direct"),  # declared last, after the bindings: where this exchange exists, the topology is complete
)

STREAMS = (
    Queue(HISTORY, {"x-queue-type": "stream"}),
    Queue(PRESENCE_LOG, {"x-queue-type": "stream"}),
)

# A visit takes dead letters and gives them back: without a limit out of reach, RabbitMQ 4 would drop them at the twentieth visit.
QUEUES = (*STREAMS, Queue(DEAD, {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}))

BINDINGS = (
    Binding(EVENTS, HISTORY),
    Binding(PRESENCE, PRESENCE_LOG),
    Binding(DEAD, DEAD),
)


STREAM_NAMES = frozenset(stream.name for stream in STREAMS)


def check_stream(stream: str, start: int | str | datetime) -> None:
    """Raises `ValueError` unless `stream` is a stream, and `start` an offset, a moment, `"first"` or `"next"`."""
    right = start in ("first", "next") or isinstance(start, datetime) or (isinstance(start, int) and start >= 0)
    if stream not in STREAM_NAMES or not right:
        raise ValueError(f"no such stream or start: {stream}, {start}")


def inbox(server: str) -> Queue:
    """The durable queue of one server's incoming messages."""
    return Queue(
        INBOX_PREFIX + server,
        {
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-dead-letter-exchange": DEAD,
            "x-delivery-limit": DELIVERY_LIMIT,
        },
    )


def inbox_binding(server: str) -> Binding:
    """Messages on `flash.homes` with the server's name as their key go to its inbox."""
    return Binding(HOMES, INBOX_PREFIX + server, server)
