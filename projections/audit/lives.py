"""One popup's whole life, across homes. Rule: a step stands after its cause, whatever the servers' clocks say."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from domain.events import home as events
from projections.audit.facts import fields_of
from projections.audit.rows import AuditRow, Life, Step

_NAMES = {
    events.MessageSent.TOPIC: "sent",
    events.MessageQueued.TOPIC: "queued",
    events.MessageBounced.TOPIC: "bounced",
    events.MessagesDelivered.TOPIC: "delivered",
    events.MessageExpired.TOPIC: "expired",
    events.MessageErased.TOPIC: "erased",
    events.MessageDone.TOPIC: "done",
}
_CAUSES = {  # step -> its possible causes; the first of them that happened counts
    "sent": (),
    "queued": ("sent",),
    "bounced": ("sent",),
    "delivered": ("queued",),
    "receipt delivered": ("delivered",),
    "done": ("queued",),  # a user who presses Done at once does so before the client has acknowledged
    "receipt done": ("done",),
    "expired": ("queued",),
    "erased": ("queued",),
    "receipt bounced": ("bounced", "expired"),
}
_RANKS = {name: rank for rank, name in enumerate(_CAUSES)}


def lives(message: str, found: Sequence[tuple[int, AuditRow]]) -> list[Life]:
    """The popups with this id. `found`: (sender, event) pairs in the order of senders, because an id is unique among one sender's only."""
    return [_life(message, sender, [row for _, row in rows]) for sender, rows in groupby(found, key=itemgetter(0))]


def _life(message: str, sender: int, rows: list[AuditRow]) -> Life:
    named = sorted(((_name(row), row) for row in rows), key=lambda step: (_RANKS.get(step[0], len(_RANKS)), step[1].time))
    to = next((fields_of(row.data).get("to") for name, row in named if name == "sent"), None)
    times: dict[str, float] = {}  # step -> when it happened, by its own server's clock
    after: dict[str, float] = {}  # the same, but never before its cause
    steps: list[tuple[float, Step]] = []
    for name, row in named:
        cause = next((cause for cause in _CAUSES.get(name, ()) if cause in times), None)
        times.setdefault(name, row.time)
        shown_at = max(row.time, after[cause]) if cause is not None else row.time
        after.setdefault(name, shown_at)
        steps.append((shown_at, Step(name, row, None if cause is None else row.time - times[cause])))
    steps.sort(key=itemgetter(0))  # steps of one moment stay in the order of `_CAUSES`
    return Life(message, sender, to if isinstance(to, int) else None, tuple(step for _, step in steps))


def _name(row: AuditRow) -> str:
    if row.topic == events.ReceiptQueued.TOPIC:
        return f"receipt {fields_of(row.data).get('state')}"
    return _NAMES.get(row.topic, row.topic)
