"""Reads the events that the history has and a log lacks, because it is a backup or was set back. Rule: the history is only read, and each
record counts once.

The history has the stored bytes of every event that may leave a store. From the events of other servers and their effects here it also
follows how far this server had consumed them: an event whose effect is in the log was consumed, and so was every event before it.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgpack
import structlog
from msgspec.structs import replace

from broker import topology
from broker.envelope import EventRecord
from broker.history import Publication
from domain.errors import Malformed
from domain.event import Event
from domain.events.home import MessageBounced, MessageQueued, MessageSent, ReceiptQueued
from domain.events.integrity import LogSealed
from domain.mailbox.commands import QueueMessage, QueueReceipt
from domain.rules.by_server import rules_of
from domain.user.commands import HaveSent
from servers.encryption.event_codec import EventDecoder
from servers.encryption.key_store import NO_KEYS
from servers.store.log.event_log import Row
from servers.trust.publications import HistoryJudge
from servers.trust.server_identity import NotBelieved

_DECIDED: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    QueueMessage: lambda command: (command.id, command.sender),
    MessageQueued: lambda event: (event.id, event.uid),
    MessageBounced: lambda event: (event.id, event.uid),
    QueueReceipt: lambda command: (command.id, command.to, command.state),
    ReceiptQueued: lambda event: (event.id, event.to, event.state),
}
COMPARED = 20_000  # positions before the log's end that a start compares; a stream that was just filled again holds millions
NO_SEALS: Mapping[int, bytes] = {}
UNREAD = "…"  # in the place of a text that only its owner's server can decrypt

log = structlog.get_logger()


@dataclass(slots=True)
class HistorySince:
    """`records`: the server's events after the last one of the backup; `last`: the last position that the history has; `at_end`: its
    record of the backup's last event; `consumed`: by source, how far the server had consumed others' events; `agreed`: up to here a seal
    that the log has as well proves that both say the same; `same_places`: its records after that at positions that the log has, too."""

    records: list[EventRecord] = field(default_factory=list)
    last: int = 0
    at_end: EventRecord | None = None
    consumed: dict[str, int] = field(default_factory=dict)
    agreed: int = 0
    same_places: dict[int, EventRecord] = field(default_factory=dict)

    def meet(self, record: EventRecord, seals: Mapping[int, bytes]) -> None:
        """The history has this at a position that the log has, told by the life that the log is in. `seals`: the log's own."""
        if record.topic == LogSealed.TOPIC and seals.get(record.position) == record.data:
            self.agreed = max(self.agreed, msgpack.unpackb(record.data, strict_map_key=False)["last"])
        self.same_places[record.position] = record

    def parts_at(self, rows: Iterable[Row]) -> int:
        """The first position at which the history has something else than the log, whose `rows` these are; 0 where they agree."""
        theirs = {position: record for position, record in self.same_places.items() if position > self.agreed}
        parted = []
        for row in rows:
            record = theirs.pop(row.position, None)
            if record is not None and (record.stream, record.version, record.data) != (row.stream, row.version, row.data):
                parted.append(row.position)
        return min([*parted, *theirs], default=0)


async def newest_in_history(history: Any, server: str, since: float, judge: HistoryJudge, life: int, end: int) -> HistorySince:
    """What came into the history of `server` after the moment `since`: its newest position, and what it has of this `life` at positions up
    to `end`. `judge` says what is believed. Raises `Unavailable`."""
    found = HistorySince()
    start = datetime.fromtimestamp(max(since, 0.0), UTC) if since else "first"
    async for told in _believed(history, start, judge):
        if told.source == server and told.events:
            found.last = max(found.last, told.events[-1].position)
            if _tells_of(told, life):
                found.same_places |= {record.position: record for record in told.events if end - COMPARED < record.position <= end}
    return found


async def read_history_since(
    history: Any,
    server: str,
    backed_up: int,
    trackings: Mapping[str, int],
    judge: HistoryJudge,
    life: int = 0,
    seals: Mapping[int, bytes] = NO_SEALS,
) -> HistorySince:
    """Read from `history` (a `read_stream`) the events of `server` after the position `backed_up`, in the order of the log, whatever the
    order in which they came. `life`, `seals`: of the log, to compare with. Raises `Unavailable`."""
    mine: dict[int, EventRecord] = {}
    others: dict[str, dict[int, EventRecord]] = {}
    since = HistorySince()
    async for told in _believed(history, "first", judge):
        known = mine if told.source == server else others.setdefault(told.source, {})
        after = backed_up - 1 if told.source == server else trackings.get(told.source, 0)
        for record in told.events:
            if record.position > after:
                known.setdefault(record.position, record)
            if told.source == server:
                since.last = max(since.last, record.position)
                if since.agreed < record.position <= backed_up and _tells_of(told, life):
                    since.meet(record, seals)
    since.at_end = mine.pop(backed_up, None)
    since.records = [mine[position] for position in sorted(mine)]
    since.consumed = _consumed(server, since.records, {source: [told[at] for at in sorted(told)] for source, told in others.items()})
    return since


def _tells_of(told: Publication, life: int) -> bool:
    """Whether it was published in this life. What another life says at the same positions may be of a branch that ops gave up."""
    return told.head is not None and told.head.life == life


async def _believed(history: Any, start: Any, judge: HistoryJudge) -> AsyncIterator[Publication]:
    """What `judge` believes. Anybody may publish junk; an event that is missing because of it is noticed later."""
    async for item in history.read_stream(topology.HISTORY, start, follow=False):
        with contextlib.suppress(Malformed, NotBelieved):
            yield judge.read(item)


def _consumed(server: str, records: Sequence[EventRecord], others: Mapping[str, Sequence[EventRecord]]) -> dict[str, int]:
    """By source, the last position whose effect is among `records`."""
    decoder = EventDecoder(NO_KEYS)
    effects = {(record.stream, *_what(event)) for record in records if (event := _event(decoder, record)) is not None}
    rules, found = rules_of(server), dict[str, int]()
    for source, theirs in others.items():
        for record in theirs:
            event = _event(decoder, record)
            if event is None:
                continue
            commands = [command for command in rules.react(event, source) if type(command) is not HaveSent]  # which only refuses
            if any((command.stream, *_what(command)) in effects for command in commands):
                found[source] = record.position
    return found


def _what(decided: Any) -> tuple[Any, ...]:
    """What distinguishes a command, or its effect, from others in the same stream: one popup causes several, and ids are unique for each
    sender only."""
    what = _DECIDED.get(type(decided))
    return (decided.cause, *what(decided)) if what else (decided.cause,)


def _event(decoder: EventDecoder, record: EventRecord) -> Event | None:
    """The event without its texts; None when no server of ours wrote these bytes."""
    try:
        event = decoder.decode(record.stream, record.version, record.topic, record.data)
    except Exception as error:  # any error here means that the bytes are not ours
        log.warning("restore.event_unreadable", topic=record.topic, error=type(error).__name__)
        return None
    if isinstance(event, MessageSent):  # its text cannot be decrypted here, but there was one
        event = replace(event, text=UNREAD)
    return event
