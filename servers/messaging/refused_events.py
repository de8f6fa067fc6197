"""Finds which events of a batch cannot be applied, and applies the others. Rule: to find those that a rule refuses costs no commit.

A receipt must fit a popup that was sent, and only the state of the sender says so. Whoever lies about a thousand popups at once costs one
turn of the writer here, and the true events among the lies are committed together.
"""

from collections.abc import Awaitable, Callable, Sequence

from domain.errors import Rejected, Unavailable
from domain.event import Event
from domain.rules.rules import Command
from domain.user.commands import HaveSent
from servers.messaging.dedup import Arrived, Dedup
from servers.messaging.mail_reader import Incoming
from servers.writing.writer import Writer


def decides(command: Command) -> bool:
    """Whether a command changes something. The others only refuse."""
    return type(command) is not HaveSent


async def set_aside(batch: Sequence[Incoming], dedup: Dedup, react: Callable[[Event, str], Sequence[Command]], writer: Writer) -> int:
    """Treat every new event that is refused as one that cannot be read; its delivery becomes a dead letter that says so. Returns how many
    there are."""
    new = {id(event) for event, _ in dedup.sort([incoming.arrived for incoming in batch]).events}
    asked = []
    for incoming in batch:
        for place, (_, event) in enumerate(incoming.arrived.events):
            if event is None or id(event) not in new:
                continue
            if checks := _checks(event, incoming.arrived.source, react):
                asked.append((incoming, place, writer.submit(checks, lane=incoming.arrived.source)))
    refused: dict[int, tuple[Incoming, set[int]]] = {}
    for incoming, place, answer in asked:
        try:
            await answer
        except Rejected:
            refused.setdefault(id(incoming), (incoming, set()))[1].add(place)
        except Unavailable:  # the batch waits for the store, and is looked at again
            return 0
    for incoming, places in refused.values():
        _mark(incoming, places)
    return sum(len(places) for _, places in refused.values())


def _checks(event: Event, source: str, react: Callable[[Event, str], Sequence[Command]]) -> list[Command]:
    """The commands that only refuse."""
    try:
        return [command for command in react(event, source) if not decides(command)]
    except Exception:  # a fault of the rule; the batch is halved until this event is alone
        return []


def cannot_be_applied(event: Event, position: int, source: str) -> str:
    """What a dead letter says of such an event."""
    return f"event {event.TOPIC!r} at {position} of {source!r} cannot be applied"


def _mark(incoming: Incoming, places: set[int]) -> None:
    events = list(incoming.arrived.events)
    for place in sorted(places):
        position, event = events[place]
        assert event is not None
        incoming.fault = cannot_be_applied(event, position, incoming.arrived.source)
        events[place] = (position, None)
    incoming.arrived = incoming.arrived._replace(events=events)


async def apply_singly(incoming: Incoming, apply: Callable[[Sequence[Incoming]], Awaitable[bool]]) -> tuple[str | None, int]:
    """Apply event by event what can be applied. Returns why the delivery becomes a dead letter, None when it does not, and how many events
    could not be applied."""
    delivery, source, fault, failed = incoming.delivery, incoming.arrived.source, incoming.fault, 0
    previous, last = incoming.arrived.previous, incoming.arrived.last
    for position, event in incoming.arrived.events:
        one = Incoming(delivery, Arrived(source, ((position, event),), previous), fault)
        if not await apply((one,)) and event is not None:
            failed += 1
            fault = cannot_be_applied(event, position, source)
            skipped = Incoming(delivery, Arrived(source, ((position, None),), previous), fault)
            await apply((skipped,))  # note it before a later event raises the position
    await apply((Incoming(delivery, Arrived(source, (), previous, last), fault, incoming.again),))
    return fault, failed
