"""Mail in portions, each of which is one unit of work with its own position. Rule: the order stays, and a delivery is settled with its end.

A long delivery is applied piece by piece. When the server dies in between, the delivery comes again: what was applied counts as a repeat,
and the rest is new.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from broker.topology import RETURNED_HEADER
from servers.messaging.dedup import Arrived
from servers.messaging.mail_reader import Incoming


@dataclass(slots=True)
class Piece:
    """A whole delivery, or a part of one. `size`: its share of the delivery's bytes; `whole`: the delivery that ends with a later piece,
    None where this is the end."""

    incoming: Incoming
    size: int
    whole: Incoming | None = None


def portions(batch: Sequence[Incoming], max_events: int, max_bytes: int) -> Iterator[list[Piece]]:
    """The deliveries of one source in portions of so many events and bytes at most; a single event may have more bytes."""
    portion: list[Piece] = []
    events = size = 0
    for incoming in batch:
        for piece in _pieces(incoming, max_events, max_bytes):
            count = len(piece.incoming.arrived.events)
            if portion and (events + count > max_events or size + piece.size > max_bytes):
                yield portion
                portion, events, size = [], 0, 0
            portion.append(piece)
            events += count
            size += piece.size
    if portion:
        yield portion


def ended(portion: Sequence[Piece]) -> Iterator[Incoming]:
    """The deliveries that a portion has applied to their ends. What was wrong with a piece is wrong with its delivery."""
    for piece in portion:
        if piece.whole is None:
            yield piece.incoming
        else:
            piece.whole.fault = piece.whole.fault or piece.incoming.fault


def _pieces(incoming: Incoming, max_events: int, max_bytes: int) -> Iterator[Piece]:
    """A dead letter that was put back stays whole, because only as a whole it says whether anything of it is new."""
    source, events, previous, last = incoming.arrived
    size = len(incoming.delivery.body)
    pieces = max(-(-len(events) // max_events), min(-(-size // max_bytes), len(events)), 1)
    if pieces == 1 or RETURNED_HEADER in incoming.delivery.headers:
        yield Piece(incoming, size)
        return
    each = -(-len(events) // pieces)
    starts = range(0, len(events), each)
    for start in starts[:-1]:
        yield Piece(Incoming(incoming.delivery, Arrived(source, events[start : start + each], previous), None), size // pieces, incoming)
    incoming.arrived = Arrived(source, events[starts[-1] :], previous, last)
    yield Piece(incoming, size // pieces)
