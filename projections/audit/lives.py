"""One popup's whole life, across homes. Rule: a step stands after the one that causes it, whatever the servers' clocks say."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from domain.home_events import (
    MessageBounced,
    MessageDone,
    MessageExpired,
    MessageQueued,
    MessagesDelivered,
    MessageSent,
    ReceiptQueued,
)
from projections.audit.facts import fields_of
from projections.audit.rows import AuditRow, Life, Step

_NAMES = {
    MessageSent.TOPIC: "sent",
    MessageQueued.TOPIC: "queued",
    MessageBounced.TOPIC: "bounced",
    MessagesDelivered.TOPIC: "delivered",
    MessageExpired.TOPIC: "expired",
    MessageDone.TOPIC: "done",
}
_CAUSES = {  # what each step follows, in the order in which they are shown; the first that there is
    "sent": (),
    "queued": ("sent",),
    "bounced": ("sent",),
    "delivered": ("queued",),
    "receipt delivered": ("delivered",),
    "done": ("delivered", "queued"),
    "receipt done": ("done",),
    "expired": ("queued",),
    "receipt bounced": ("bounced", "expired"),
}
_RANKS = {name: rank for rank, name in enumerate(_CAUSES)}


def lives(message: str, found: Sequence[tuple[int, AuditRow]]) -> list[Life]:
    """The popups with this id among (sender, event) pairs, which come ordered by sender: ids are unique per sender only."""
    return [_life(message, sender, [row for _, row in rows]) for sender, rows in groupby(found, key=itemgetter(0))]


def _life(message: str, sender: int, rows: list[AuditRow]) -> Life:
    named = sorted(((_name(row), row) for row in rows), key=lambda step: (_RANKS.get(step[0], len(_RANKS)), step[1].time, step[1].id))
    to = next((fields_of(row.data).get("to") for name, row in named if name == "sent"), None)
    return Life(message, sender, to if isinstance(to, int) else None, tuple(_steps(named)))


def _name(row: AuditRow) -> str:
    if row.topic == ReceiptQueued.TOPIC:
        return f"receipt {fields_of(row.data).get('state')}"
    return _NAMES.get(row.topic, row.topic)


def _steps(named: Sequence[tuple[str, AuditRow]]) -> Iterator[Step]:
    times: dict[str, float] = {}
    for name, row in named:
        before = next((times[cause] for cause in _CAUSES.get(name, ()) if cause in times), None)
        times.setdefault(name, row.time)
        yield Step(name, row, None if before is None else row.time - before)
