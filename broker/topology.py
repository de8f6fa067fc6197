"""The one table of exchanges, queues and streams. Rule: both adapters read it; no name of an exchange or queue is written elsewhere.

    flash.homes     direct  key = server name               -> flash.home.<name>     quorum queue, one active consumer
    flash.events    topic   <server>.<n events>             -> flash.history         stream
    flash.presence  topic   presence.<home>.<uid>.<st>      -> flash.presence.log    stream
    flash.requests  direct  `global` or `home.<name>`       -> flash.calls.<name>    short stream: questions to a server
    flash.answers   direct  key = the server that asked     -> flash.calls.<name>    and the answers to its own
    flash.dead      fanout                                  -> flash.dead            quorum queue
    flash.beats     fanout                                  -> flash.heartbeats      short stream

Everything is durable and has a name, so that a home needs no right to make or bind a queue: whoever may make a queue may let RabbitMQ
publish from it under any key, by a dead-letter exchange, and whoever may bind one exchange to another goes round the rights on its keys.
The queues of a server are made by the Global Server, or by definitions (`deploy/rabbitmq/permissions.sh`).

What concerns this moment only, calls and heartbeats, goes over short streams that are read from their end. So it expires: nobody reads
what came before they listened. And all processes of one server hear it, as a home and its standby must.

Only features that RabbitMQ 3.10 has and 4.x still allows are used: no transient queue, no mirrored queue, no global prefetch. Limits on
the age or size of the history and the presence log are set by policy (`rabbitmqctl set_policy`) and not in this table, because a changed
argument would make every declaration fail.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from domain.registry.registered_home import GLOBAL

HOMES = "flash.homes"
EVENTS = "flash.events"
PRESENCE = "flash.presence"
REQUESTS = "flash.requests"
ANSWERS = "flash.answers"
DEAD = "flash.dead"  # the exchange and its queue
HEARTBEATS = "flash.beats"

HISTORY = "flash.history"
PRESENCE_LOG = "flash.presence.log"
HEARTBEAT_LOG = "flash.heartbeats"  # not called as its exchange is: RabbitMQ's rights do not tell an exchange from a queue
INBOX_PREFIX = "flash.home."
CALLS_PREFIX = "flash.calls."

REASON_HEADER = "flash-reason"  # why a dead letter could not be handled
QUEUE_HEADER = "flash-queue"  # the queue a dead letter came from
AT_HEADER = "flash-at"  # when, in microseconds since 1970
RETURNED_HEADER = "flash-returned"  # a message with it was a dead letter and was put back

_HOME_KEY = "home."

EVERYTHING = "#"  # the only pattern in use on topic exchanges; any other binding key matches itself alone

# Without a limit in the declaration, RabbitMQ 4 dead-letters a message after 20 redeliveries: a home that crashes 20 times would lose
# good messages. RabbitMQ 3.10 does not know -1 (no limit), so the limit is out of reach. With a limit, a quorum queue also keeps messages
# that were given back in their order.
DELIVERY_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange. `kind`: `direct`, `topic` or `fanout`."""

    name: str
    kind: str


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
    Exchange(HEARTBEATS, "fanout"),
    Exchange(EVENTS, "topic"),
    Exchange(PRESENCE, "topic"),
    Exchange(REQUESTS, "direct"),
    Exchange(DEAD, "fanout"),
    Exchange(HOMES, "direct"),
    Exchange(ANSWERS, "direct"),  # declared last, after the bindings: where this exchange exists, the topology is complete
)

# Whoever follows a short stream is at its end. 5 MB are more than a server is late by, and little on disk.
_SHORT: Mapping[str, str | int | bool] = {
    "x-queue-type": "stream",
    "x-max-length-bytes": 5_000_000,
    "x-stream-max-segment-size-bytes": 1_000_000,
}

STREAMS = (
    Queue(HISTORY, {"x-queue-type": "stream"}),
    Queue(PRESENCE_LOG, {"x-queue-type": "stream"}),
)

# A visit takes dead letters and gives them back: without a limit out of reach, RabbitMQ 4 would drop them at the twentieth visit.
QUEUES = (*STREAMS, Queue(DEAD, {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}), Queue(HEARTBEAT_LOG, _SHORT))

BINDINGS = (
    Binding(EVENTS, HISTORY),
    Binding(PRESENCE, PRESENCE_LOG),
    Binding(DEAD, DEAD),
    Binding(HEARTBEATS, HEARTBEAT_LOG),
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


def inbox_of(queue: str) -> str | None:
    """The server whose inbox a queue is; None for another queue."""
    return queue.removeprefix(INBOX_PREFIX) if queue.startswith(INBOX_PREFIX) and queue != INBOX_PREFIX else None


def calls(server: str) -> Queue:
    """The stream of the questions to one server, and of the answers to its own."""
    return Queue(CALLS_PREFIX + server, _SHORT)


def server_queues(server: str) -> tuple[Queue, ...]:
    """The queues of one server."""
    return inbox(server), calls(server)


def server_bindings(server: str) -> tuple[Binding, ...]:
    """What goes to the queues of one server."""
    return (
        Binding(HOMES, INBOX_PREFIX + server, server),
        Binding(REQUESTS, CALLS_PREFIX + server, request_key(server)),
        Binding(ANSWERS, CALLS_PREFIX + server, server),
    )


def request_key(server: str) -> str:
    """The key of questions to a server."""
    return server if server == GLOBAL else _HOME_KEY + server


def asked_server(key: str) -> str:
    """The server whose questions have this key."""
    return key.removeprefix(_HOME_KEY)
