"""The one table of exchanges, queues and streams (DESIGN §5). Rule: both implementations read it; no broker name is written elsewhere.

    flash.homes     direct  key = server name           -> flash.home.<name>     quorum queue, one active consumer
    flash.events    topic   <server>.<n events>         -> flash.history         stream
    flash.presence  topic   presence.<home>.<uid>.<st>  -> flash.presence.log    stream
    flash.requests  direct  key = what is asked         -> exclusive queue of each who serves it; answers by direct reply-to
    flash.dead      fanout                              -> flash.dead            quorum queue
    flash.beats     fanout                              -> exclusive queue of each who listens; nothing here is stored

Everything is durable but the beats and the exclusive queues. Only what RabbitMQ 3.10 knows and 4.x still allows is used: no
transient queue that is not exclusive, no mirrored queue, no global prefetch. Limits on a stream's age or size are a matter of
policy (`rabbitmqctl set_policy`), not of this table: a changed argument would make every declaration fail.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

HOMES = "flash.homes"
EVENTS = "flash.events"
PRESENCE = "flash.presence"
REQUESTS = "flash.requests"
DEAD = "flash.dead"  # the exchange and its queue
BEATS = "flash.beats"

HISTORY = "flash.history"
PRESENCE_LOG = "flash.presence.log"
INBOX_PREFIX = "flash.home."

REASON_HEADER = "flash-reason"  # why a dead letter could not be handled
QUEUE_HEADER = "flash-queue"  # the queue a dead letter came from
AT_HEADER = "flash-at"  # when, in microseconds since 1970
RETURNED_HEADER = "flash-returned"  # a message with it was a dead letter and was put back

EVERYTHING = "#"  # the one pattern used on topic exchanges; any other binding key is matched as it stands

# RabbitMQ 4 dead-letters after 20 redeliveries unless told otherwise: a home that crashes 20 times would lose good messages. 3.10
# does not know -1 (none), so the limit is set out of reach. Having one also keeps returned messages in their place in the queue.
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
        """Whether it is read by offset and keeps what was read."""
        return self.arguments.get("x-queue-type") == "stream"


@dataclass(frozen=True, slots=True)
class Binding:
    """What goes from an exchange to a queue: messages with exactly this `key`, or `EVERYTHING`."""

    exchange: str
    queue: str
    key: str = EVERYTHING


EXCHANGES = (
    Exchange(BEATS, "fanout", durable=False),
    Exchange(EVENTS, "topic"),
    Exchange(PRESENCE, "topic"),
    Exchange(REQUESTS, "direct"),
    Exchange(DEAD, "fanout"),
    Exchange(HOMES, "direct"),  # declared after all else, bindings too: where it is, the topology is whole
)

STREAMS = (
    Queue(HISTORY, {"x-queue-type": "stream"}),
    Queue(PRESENCE_LOG, {"x-queue-type": "stream"}),
)

# Looking at dead letters takes and returns them: without a limit out of reach, RabbitMQ 4 would drop them at the twentieth look.
QUEUES = (*STREAMS, Queue(DEAD, {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}))

BINDINGS = (
    Binding(EVENTS, HISTORY),
    Binding(PRESENCE, PRESENCE_LOG),
    Binding(DEAD, DEAD),
)


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
