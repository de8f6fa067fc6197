"""Backs up a server while it runs. Rule: events and tracking positions are of one moment; the keys come after them, in another file.

A backup lies as a data directory does: `<server>.db` is a store to read, verify and serve from; `keys/<server>.db` has its keys.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.errors import Unavailable
from servers.encryption.key_tables import SqliteKeys, open_table
from servers.maintenance.errors import NotBackedUp
from servers.store.databases import copy_rows, open_tables, open_view
from servers.trust.records import copy_records


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What the new file holds: how many events, and the position of the last."""

    events: int
    last: int


def back_up_log(server: str, store_url: str, target: Path) -> BackedUp:
    """Copy the events of `server` at their positions and its tracking positions into the new SQLite file `target`. The server may run.
    Blocks. Raises `NotBackedUp`, `Unavailable`, `OSError`, `ValueError` for text that is no URL."""
    with closing(open_view(store_url, server)) as log, _new_file(target) as fresh, open_tables(f"sqlite:///{fresh}", server) as tables:
        events = copy_rows(log, tables)
        tables.track(log.trackings())
        last = tables.commit()
    return BackedUp(events, last)


def back_up_keys(server: str, keys_url: str, store_url: str, target: Path) -> int:
    """Copy the keys of `server`, destroyed ones as destroyed, its trust records and the words of users into the new file `target`. Returns
    the number of keys.    Called after `back_up_log`, so that no event in the backup lacks its key. Blocks. Raises as `back_up_log`."""
    with closing(open_table(keys_url, store_url, server)) as table:
        keys = table.everything()
        with _new_file(target) as fresh, closing(SqliteKeys(fresh)) as copy:
            copy.add(keys)
            copy_records(table, copy)
            copy.add_words(table.every_word())
    return len(keys)


def back_up_file(source: Path, target: Path) -> None:
    """Copy a small file, such as the signing key. Raises `NotBackedUp`, `OSError`."""
    with _new_file(target) as fresh:
        fresh.write_bytes(source.read_bytes())


def back_up_broker(source: Path, target: Path) -> None:
    """Copy the embedded broker's file while the broker is at work. Called after the stores were copied, so that its history has what they
    lack. Raises `NotBackedUp`, `Unavailable`, `OSError`."""
    with _new_file(target) as fresh:
        try:
            with (
                closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as live,
                closing(sqlite3.connect(fresh)) as copy,
            ):
                live.backup(copy)
        except sqlite3.Error as error:
            raise Unavailable(f"{source} cannot be copied: {error}") from error


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """A file beside `target` that only its owner can read; it becomes `target` when it is whole and on disk."""
    if target.exists():
        raise NotBackedUp(f"{target} is there already: a backup goes into a new directory")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = target.with_name(f"{target.name}.part")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield fresh
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(target)
        directory = os.open(target.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    finally:
        fresh.unlink(missing_ok=True)
