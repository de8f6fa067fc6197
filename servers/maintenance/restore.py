"""Restores a server: the events of its backup, then those that the history has beyond it, at the same positions. Rule: a server is restored
into an empty place only, whole or not at all; events that are missing in both are counted and reported.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers.encryption.key_tables import open_table
from servers.lives.continuation import HISTORY, OtherLog, Seen, continuation, refuse_another_log
from servers.lives.history_since import HistorySince, read_history_since
from servers.maintenance.errors import NotRestored
from servers.maintenance.rebuild_projections import drop_projections
from servers.store.databases import copy_rows, open_tables, open_view
from servers.store.log.event_log import LogTables
from servers.trust.publications import HistoryJudge
from servers.trust.records import restore_records
from servers.trust.trust import have_new_box_key


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
    judge: HistoryJudge | None = None,
) -> Restored:
    """Fill the empty store `target_url` of `server`. `backup`, `keys`: files as `servers.maintenance.backup` makes them; `directory`: where
    the server's projections are saved; `history`: a `read_stream`, or None where there is none; `now`: seconds since 1970; `incomplete`:
    go on although events are missing, which `say` tells; `judge`: who says what of the history is believed.

    Raises `NotRestored`, `Unavailable`; then the target holds nothing, or keys that it will need.
    """
    with closing(open_view(f"sqlite:///{backup}", server)) as log:
        seen, trackings = Seen(), log.trackings()
        seen.see(log.rows())
        backed_up, count = seen.last, seen.count
        since = HistorySince()
        if history is not None:
            since = await read_history_since(history, server, backed_up, trackings, judge or HistoryJudge(), seen.life, seen.seals)
        blind = not since.last or since.last < trackings.get(HISTORY, 0)
        try:
            refuse_another_log(server, seen, since, since.parts_at(log.rows()) if since.same_places else 0)
            behind = continuation(server, seen, since, trackings, now, blind=blind)
        except OtherLog as other:
            raise NotRestored(other.detail) from other
        for line in _doubts(server, since, behind.missing, blind, history is None):
            say(line)
            if not incomplete:
                raise NotRestored(f"{line}; --incomplete restores what there is")
        with open_tables(target_url, server) as target:
            _refuse_unless_empty(target)
            drop_projections(directory)
            unreadable = _restore_keys(server, keys, keys_url, target_url, seen.owners, seen.erased, now)
            copy_rows(log, target)
            target.put(behind.rows)
            target.track(behind.trackings)
            target.commit()
    return Restored(count, backed_up, len(since.records), behind.last, len(behind.missing), unreadable, behind.continues_at)


def _doubts(server: str, since: HistorySince, missing: list[str], blind: bool, without: bool) -> Iterator[str]:
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


def _restore_keys(server: str, backup: Path | None, keys_url: str, target_url: str, owners: set[int], erased: set[int], now: float) -> int:
    """Add the keys, the trust records and the users' words of the backup; those that are still there win, and users who were erased after
    the keys were saved get none. Returns how many keys are needed and missing."""
    with closing(open_table(keys_url, target_url, server)) as table:
        table.add(dict.fromkeys(erased))
        if backup is not None:
            with closing(open_table(f"sqlite:///{backup}", "", server)) as saved:
                table.add(saved.everything())
                restore_records(saved, table)
                table.add_words(saved.every_word())
            have_new_box_key(server, table, now)
        return len(owners - table.read(owners).keys())
