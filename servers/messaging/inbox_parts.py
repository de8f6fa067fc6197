"""The bounds of an inbox, and whom it tells what mail means besides its events. Rule: values and callbacks only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from domain.event import Event
from servers.messaging.receivers import Receiver

NOTHING_NEW = (
    "not applied: later events of this server were applied already, and there is no record that this one was skipped, "
    "so it may have been applied before"
)


@dataclass(frozen=True, slots=True)
class InboxConfig:
    """The bounds of one inbox."""

    max_deliveries: int = 64  # read at a time; each holds the events of one remote commit
    max_events: int = 1_000  # read at a time, and one delivery more
    max_bytes: int = 4_000_000  # read at a time, and one delivery more
    waiting_bytes: int = 64_000_000  # of mail that waits to be read; a quarter of a megabyte for each that the broker hands out
    portion_events: int = 200  # of one source in one unit of work: they are decided and encrypted in one turn of the loop, some 4 ms
    portion_bytes: int = 250_000  # of one source in one unit of work: a quarter of what a transaction takes
    turn_events: int = 64  # read and decrypted before others get a turn of the loop: some 1.5 ms, and one short delivery more
    junk_weighs: int = 8  # as so many events: to find out that nothing of a mail is believed may take the check of a card, 0.2 ms
    prefetch: int = 256  # deliveries that a broker hands out before some are acked
    empty_after_s: float = 1.0  # a broker hands out what it has within milliseconds
    dead_per_minute: int = 60  # dead letters of one source: enough to see what is wrong; whoever sends more floods a queue and a log
    dead_bytes_per_minute: int = 1_000_000  # of one source, and one dead letter more: the broker keeps them until somebody looks
    retry_s: float = 0.5  # pause while this server's store is away; the deliveries stay unacked


@dataclass(frozen=True, slots=True, kw_only=True)
class MailListener:
    """`told(source, position)`: so far a source says it has come in our log, where our `receivers` do not know that so much was sent to it.
    `card(card, source)`: a card came with mail; whether it is believed. `unopened(source, why)`: a box said to be from this
    source does not open. `missing(source)`: its mail does not follow on what came before. `sent_again(source)`: all that was missing is
    there. `came_before(source)`: it sent nothing but what is committed. `hears`: the classes of events of which the inbox's `heard` is
    told."""

    told: Callable[[str, int], None]
    card: Callable[[bytes, str], bool]
    unopened: Callable[[str, str], None]
    missing: Callable[[str], None]
    came_before: Callable[[str], None]
    sent_again: Callable[[str], None] = lambda source: None
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    hears: tuple[type[Event], ...] = (Event,)
