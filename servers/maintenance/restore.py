"""Restores a server: the events of its backup, then those that the history has beyond it, at the same positions. Rule: a server is restored
into an empty place only, whole or not at all; events that are missing in both are counted and reported.

The history gets every event about 50 ms after it was stored. Other servers may have heard of events of the last moment that are in no
history, so the restored log goes on far beyond every position that was ever used.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from broker.envelope import EventRecord
from domain.event import stored_fields, stream_uid
from domain.events.every import every_event
from domain.events.integrity import LifeBegan, LogRestored
from domain.integrity.lives import life_began, life_stream
from servers.encryption.event_codec import ENCRYPTED
from servers.encryption.key_tables import open_table
from servers.maintenance.errors import NotRestored
from servers.maintenance.history_since_backup import HistorySinceBackup, read_history_since_backup
from servers.maintenance.rebuild_projections import drop_projections
from servers.store.databases import copy_rows, open_tables, open_view
from servers.store.log.event_log import LogTables, LogView, Row
from servers.store.log.positions import MAILED, RELAY
from servers.trust.records import restore_records
from servers.trust.trust import have_new_box_key

JUMP = 100_000  # positions that are left out; a server at full load uses as many in half a minute, and its history is never so late
JUMP_BLIND = 5_000_000  # the same where no history says how far the server had come; a seal can cover twice as many
HISTORY = f"{RELAY}-history"
ERASING = {kind.TOPIC for kind in every_event() if kind.ERASES}


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored. `unreadable`: how many people have names or texts in the log and no key here."""

    from_backup: int
    backed_up: int
    from_history: int
    last: int
    missing: int
    unreadable: int
    continues_at: int


async def restore(
    server: str,
    backup: Path,
    keys: Path | None,
    target_url: str,
    keys_url: str,
    directory: Path,
    history: Any,
    now: float,
    incomplete: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Restored:
    """Fill the empty store `target_url` of `server`. `backup`, `keys`: files as `servers.maintenance.backup` makes them; `directory`: where
    the server's projections are saved; `history`: a `read_stream`, or None where there is none; `now`: seconds since 1970; `incomplete`:
    go on although events are missing, which `say` tells.

    Raises `NotRestored`, `Unavailable`; then the target holds nothing, or keys that it will need.
    """
    with closing(open_view(f"sqlite:///{backup}", server)) as log:
        trackings = log.trackings()
        versions, owners, erased, end, count, life = _look(log)
        backed_up = end.position if end else 0
        since = HistorySinceBackup() if history is None else await read_history_since_backup(history, server, backed_up, trackings)
        _same_life(server, end, since)
        missing = _missing(since.records, versions)
        blind = not since.last or since.last < trackings.get(HISTORY, 0)
        for line in _doubts(server, since, missing, blind, history is None):
            say(line)
            if not incomplete:
                raise NotRestored(f"{line}; --incomplete restores what there is")
        owners |= _owners(record.data for record in since.records)
        erased |= _erased((record.topic, record.stream) for record in since.records)
        last = max(backed_up, since.last)
        former = _life(since.records, life)
        marker = _marker(server, backed_up, last, len(missing), versions, last + (JUMP_BLIND if blind else JUMP), now)
        began = _life_began(server, former, last, versions, marker.position + 1, now)
        with open_tables(target_url, server) as target:
            _refuse_unless_empty(target)
            drop_projections(directory)
            unreadable = _restore_keys(server, keys, keys_url, target_url, owners, erased)
            copy_rows(log, target)
            target.put([Row(r.position, r.stream, r.version, r.topic, r.data) for r in since.records])
            target.put([marker, began])
            target.track(_trackings(trackings, since, blind))
            target.commit()
    return Restored(count, backed_up, len(since.records), last, len(missing), unreadable, marker.position)


def _look(log: LogView) -> tuple[dict[str, int], set[int], set[int], Any, int, int]:
    """Read a whole log: each stream's last version, the owners of personal fields, the erased users, the last row, the number of rows, and
    the life."""
    versions: dict[str, int] = {}
    owners: set[int] = set()
    erased: set[int] = set()
    end, count, life = None, 0, 0
    for row in log.rows():
        versions[row.stream] = row.version
        owners |= _owners((row.data,))
        erased |= _erased(((row.topic, row.stream),))
        life = _life((row,), life)
        end, count = row, count + 1
    return versions, owners, erased, end, count, life


def _life(events: Iterable[Row | EventRecord], before: int) -> int:
    """The life that a log is in after `events`."""
    for event in events:
        if event.topic == LifeBegan.TOPIC:
            before = msgpack.unpackb(event.data)["life"]
    return before


def _erased(events: Iterable[tuple[str, str]]) -> set[int]:
    return {stream_uid(stream) for topic, stream in events if topic in ERASING}


def _owners(states: Any) -> set[int]:
    return {owner for state in states for owner, _ in msgpack.unpackb(state, strict_map_key=False).get(ENCRYPTED, ())}


def _same_life(server: str, end: Any, since: HistorySinceBackup) -> None:
    told = since.at_end
    if end is not None and told is not None and (told.stream, told.version, told.data) != (end.stream, end.version, end.data):
        raise NotRestored(
            f"at position {end.position} the history has another event of {server} than the backup: it is not of this one's life"
        )


def _missing(records: list[EventRecord], versions: dict[str, int]) -> list[str]:
    """The events that the versions of their streams show to be missing; `versions` is brought up to date."""
    missing: list[str] = []
    for record in records:
        known = versions.get(record.stream, 0)
        if record.version <= known:
            raise NotRestored(f"at position {record.position} the history continues another log than the backup's ({record.stream})")
        missing += [f"{record.stream} {number}" for number in range(known + 1, record.version)]
        versions[record.stream] = record.version
    return missing


def _doubts(server: str, since: HistorySinceBackup, missing: list[str], blind: bool, without: bool) -> Iterator[str]:
    if without:
        yield f"{server}: there is no history: what came after the backup is lost"
    elif blind:
        yield f"{server}: the history is shorter than when the backup was made: what came after the backup may be lost"
    if missing:
        yield f"{server}: {len(missing)} events are neither in the backup nor in the history, the first {missing[0]}"


def _refuse_unless_empty(target: LogTables) -> None:
    if (other := target.in_use()) is not None:
        raise NotRestored(f"{target.name} is in use by {other}; stop the server first")
    if next(target.rows(), None) or target.trackings():
        raise NotRestored(f"{target.name} is not empty: a backup is restored into an empty place")


def _restore_keys(server: str, backup: Path | None, keys_url: str, target_url: str, owners: set[int], erased: set[int]) -> int:
    """Add the keys and the trust records of the backup; those that are still there win, and users who were erased after the keys were saved
    get none. Returns how many keys are needed and missing."""
    with closing(open_table(keys_url, target_url, server)) as table:
        table.add(dict.fromkeys(erased))
        if backup is not None:
            with closing(open_table(f"sqlite:///{backup}", "", server)) as saved:
                table.add(saved.everything())
                restore_records(saved, table)
            have_new_box_key(server, table)
        return len(owners - table.read(owners).keys())


def _marker(server: str, backed_up: int, last: int, missing: int, versions: Mapping[str, int], position: int, now: float) -> Row:
    stream = f"restored-{server}"
    event = LogRestored(server=server, backed_up=backed_up, told=last, missing=missing, at=now, cause=f"restore-{secrets.token_hex(8)}")
    return Row(position, stream, versions.get(stream, 0) + 1, event.TOPIC, msgpack.packb(stored_fields(event)))


def _life_began(server: str, former: int, agreed: int, versions: Mapping[str, int], position: int, now: float) -> Row:
    version = versions.get(life_stream(server), 0) + 1
    event = life_began(server, version=version, former=former, agreed=agreed, now=now)
    return Row(position, event.originator_id, version, event.TOPIC, msgpack.packb(stored_fields(event)))


def _trackings(saved: Mapping[str, int], since: HistorySinceBackup, blind: bool) -> dict[str, int]:
    """The positions at which the server goes on. Mail to other servers is repeated from the backup's position, because they drop what they
    have; where the broker was lost as well, it is repeated from the start."""
    trackings = {**saved, **{source: max(position, saved.get(source, 0)) for source, position in since.consumed.items()}}
    trackings |= {HISTORY: since.last}
    if blind:
        trackings[RELAY] = 0
        trackings |= dict.fromkeys([name for name in trackings if name.startswith(MAILED)], 0)
    return {name: position for name, position in trackings.items() if position}
