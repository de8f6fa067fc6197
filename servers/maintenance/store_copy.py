"""Moves a server's store to another database, position by position. Rule: the copy is compared with the original before it is committed;
before that moment the target holds nothing.

Positions stay, because the history, the other homes and the seals know events by them. Snapshots stay behind: the server makes new ones.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from servers.encryption.key_tables import open_table
from servers.maintenance.errors import NotCopied
from servers.maintenance.rebuild_projections import drop_projections
from servers.store.databases import copy_rows, open_tables
from servers.trust.records import copy_records


@dataclass(frozen=True, slots=True)
class Copied:
    """What is in the target now."""

    events: int
    last_position: int
    trackings: int
    keys: int


def copy_store(server: str, source_url: str, target_url: str, directory: Path, keys: bool, say: Callable[[str], None]) -> Copied:
    """Copy `server`'s events, tracking positions and, with `keys`, the keys that lie beside them. Projections that were saved in
    `directory` are dropped, because they may be of another log; the server folds them again. Blocks. Raises `NotCopied` when a server still
    works on one of the stores or the target is not empty, `Unavailable`."""
    with open_tables(source_url, server) as source, open_tables(target_url, server) as target:
        for tables in (source, target):
            if (other := tables.in_use()) is not None:
                raise NotCopied(f"{tables.name} is in use by {other}; stop the server first")
        if next(target.rows(), None) or target.trackings():
            raise NotCopied(f"{target.name} is not empty")
        if not (trackings := source.trackings()) and next(source.rows(), None) is None:
            raise NotCopied(f"{source.name} holds nothing of {server}")
        drop_projections(directory)
        events = copy_rows(source, target, say)
        target.track(trackings)
        if any(copied != original for copied, original in zip_longest(target.rows(), source.rows())):
            raise NotCopied("the copy differs from the original")
        if target.trackings() != trackings:
            raise NotCopied("the copy's tracking positions differ")
        told = _copy_keys(server, source_url, target_url, target.name) if keys else 0
        last = target.commit()
    return Copied(events, last, len(trackings), told)


def _copy_keys(server: str, source_url: str, target_url: str, target: str) -> int:
    """Copy the keys beside the events, destroyed ones as destroyed, the trust records and the users' words. Called before the
    events are committed, so that none lies there without its key. Returns the number of keys."""
    with closing(open_table("", source_url, server)) as mine, closing(open_table("", target_url, server)) as theirs:
        every = mine.everything()
        theirs.add(every)
        copy_records(mine, theirs)
        theirs.add_words(mine.every_word())
        if (theirs.everything(), theirs.records(), theirs.every_word()) != (every, mine.records(), mine.every_word()):
            raise NotCopied(f"the keys beside {target} are not the ones beside the original")
    return len(every)
