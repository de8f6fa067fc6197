"""What comes behind the end of a log that lacks its newest events: those that the history has, at the same positions, then another life.
Rule: pure; `flash store restore` and a server that was set back put the same there.

The history gets every event about 50 ms after it was stored. Other servers may have heard of events of the last moment that are in no
history, so the log goes on far beyond every position that was ever used.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgpack

from broker.envelope import EventRecord
from domain.errors import Rejected
from domain.event import stored_fields, stream_uid
from domain.events.every import every_event
from domain.events.global_server import UserRegistered
from domain.events.integrity import LifeBegan, LogRestored, LogSealed
from domain.integrity.lives import life_began, life_stream
from servers.encryption.event_codec import ENCRYPTED
from servers.lives.history_since import HistorySince
from servers.store.log.event_log import Row
from servers.store.log.positions import MAILED, RELAY, TAKEN

JUMP = 100_000  # positions that are left out; a server at full load uses as many in half a minute, and its history is never so late
JUMP_BLIND = 5_000_000  # the same where no history says how far the server had come; a seal can cover twice as many
HISTORY = f"{RELAY}-history"
ERASING = {kind.TOPIC for kind in every_event() if kind.ERASES}


class OtherLog(Rejected):
    """The history is of another log."""


@dataclass(slots=True)
class Seen:
    """What a log holds. `versions`: the last version of each stream; `owners`: whose personal fields are in it; `erased`: who left for
    good; `end`: the last row; `life`: the life that it is in; `seals`: its seals, by their positions."""

    versions: dict[str, int] = field(default_factory=dict)
    owners: set[int] = field(default_factory=set)
    erased: set[int] = field(default_factory=set)
    end: Row | None = None
    count: int = 0
    life: int = 0
    seals: dict[int, bytes] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The position of the last row; 0 without any."""
        return self.end.position if self.end else 0

    def see(self, rows: Iterable[Row]) -> None:
        """Look at the next rows."""
        for row in rows:
            self.versions[row.stream] = row.version
            self._look_into(row)
            self.end, self.count = row, self.count + 1
            if row.topic == LogSealed.TOPIC:
                self.seals[row.position] = row.data

    def _look_into(self, event: Row | EventRecord) -> None:
        told = msgpack.unpackb(event.data, strict_map_key=False)
        self.owners |= {owner for owner, _ in told.get(ENCRYPTED, ())}
        if event.topic in ERASING:
            self.erased.add(stream_uid(event.stream))
        if event.topic == LifeBegan.TOPIC:
            self.life = told["life"]

    def go_on(self, records: Sequence[EventRecord]) -> list[str]:
        """Look at what comes behind the end. Returns the events that the versions of their streams show to be missing. Raises
        `OtherLog`."""
        missing: list[str] = []
        for record in records:
            known = self.versions.get(record.stream, 0)
            if record.version <= known:
                raise OtherLog(f"at position {record.position} the history continues another log than this one ({record.stream})")
            missing += [f"{record.stream} {number}" for number in range(known + 1, record.version)]
            self.versions[record.stream] = record.version
            self._look_into(record)
        # The password of an account is the event after the one that opens it, and never leaves the store.
        opened = {record.stream for record in records if record.topic == UserRegistered.TOPIC}
        return missing + [f"{stream} 2" for stream in sorted(opened) if self.versions[stream] == 1]


@dataclass(frozen=True, slots=True)
class Continuation:
    """`rows`: what comes behind the end; `missing`: events that are neither in the log nor in the history; `last`: how far both came;
    `agreed`: how far both say the same; `continues_at`: where the log says that it was restored."""

    rows: list[Row]
    missing: list[str]
    last: int
    agreed: int
    continues_at: int
    trackings: dict[str, int]


def refuse_another_log(server: str, seen: Seen, since: HistorySince, parts_at: int = 0) -> None:
    """Raises `OtherLog` when the history has another event at the end of the log. `parts_at`: where they were found to part before."""
    if parts_at:
        raise OtherLog(
            f"from position {parts_at} on the history has other events of {server} than this log: "
            "another process has gone on from a copy of it"
        )
    end, told = seen.end, since.at_end
    if end is not None and told is not None and (told.stream, told.version, told.data) != (end.stream, end.version, end.data):
        raise OtherLog(f"at position {end.position} the history has another event of {server} than this log: it is not of this one's life")


def continuation(
    server: str, seen: Seen, since: HistorySince, trackings: Mapping[str, int], now: float, *, blind: bool, used: int = 0,
    parts_at: int = 0,
) -> Continuation:  # fmt: skip
    """What comes behind a log that was `seen`. `blind`: the history does not say how far the server had come; `used`: the last position
    that anybody knows of; `parts_at`: the first position at which the history has something else, 0 where they agree. Raises `OtherLog`."""
    backed_up, former = seen.last, seen.life
    missing = seen.go_on(since.records)
    last, former = max(backed_up, since.last), seen.life or former
    place = max(last, used) + (JUMP_BLIND if blind else JUMP)
    rows = [Row(r.position, r.stream, r.version, r.topic, r.data) for r in since.records]
    rows.append(_marker(server, backed_up, last, len(missing), seen.versions, place, now))
    agreed = parts_at - 1 if parts_at else last
    rows.append(_life_began(server, former, agreed, seen.versions, place + 1, now))
    return Continuation(rows, missing, last, agreed, place, _trackings(trackings, since, blind))


def _marker(server: str, backed_up: int, last: int, missing: int, versions: Mapping[str, int], position: int, now: float) -> Row:
    stream = f"restored-{server}"
    event = LogRestored(server=server, backed_up=backed_up, told=last, missing=missing, at=now, cause=f"restore-{secrets.token_hex(8)}")
    return Row(position, stream, versions.get(stream, 0) + 1, event.TOPIC, msgpack.packb(stored_fields(event)))


def _life_began(server: str, former: int, agreed: int, versions: Mapping[str, int], position: int, now: float) -> Row:
    version = versions.get(life_stream(server), 0) + 1
    event = life_began(server, version=version, former=former, agreed=agreed, now=now)
    return Row(position, event.originator_id, version, event.TOPIC, msgpack.packb(stored_fields(event)))


def _trackings(saved: Mapping[str, int], since: HistorySince, blind: bool) -> dict[str, int]:
    """The positions at which the server goes on. Mail to other servers is repeated from the backup's position, because they drop what they
    have; where the broker was lost as well, it is repeated from the start."""
    trackings = {**saved, **{source: max(position, saved.get(source, 0)) for source, position in since.consumed.items()}}
    trackings |= {HISTORY: since.last}
    if blind:
        trackings[RELAY] = 0
        trackings |= dict.fromkeys([name for name in trackings if name.startswith((MAILED, TAKEN))], 0)
    return {name: position for name, position in trackings.items() if position}
