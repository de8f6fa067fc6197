"""Opens the event log that a URL names: `sqlite:///path` or `postgresql://user:password@host:port/database`, schema `flash_<server>`.

Rule: nothing else knows which database a log is in. PostgreSQL's driver takes 10 MB, so a home on SQLite never imports it.
"""

import contextlib
from collections.abc import Callable, Iterator
from itertools import islice

from domain.errors import Unavailable
from runtime.database_urls import sqlite_file
from servers.store.log.event_log import EventLog, LogTables, LogView
from servers.store.sqlite.log import SqliteLog
from servers.store.sqlite.rows import open_sqlite_tables, open_sqlite_view

PAGE = 5_000  # events copied at a time: some megabytes


def open_event_log(url: str, server: str) -> EventLog:
    """The log of a server at work; its tables are made where they are missing. Raises `Unavailable`, `ValueError` for another URL."""
    if (path := sqlite_file(url)) is not None:
        return SqliteLog(path)
    from servers.store.postgres.log import PostgresLog

    return PostgresLog(url, server)


def open_view(url: str, server: str) -> LogView:
    """The log as it is now. Raises `Unavailable` where there is none, `ValueError` for another URL."""
    if (path := sqlite_file(url)) is not None:
        return open_sqlite_view(path)
    from servers.store.postgres.rows import open_postgres_view

    return open_postgres_view(url, server)


@contextlib.contextmanager
def open_tables(url: str, server: str) -> Iterator[LogTables]:
    """One end of a copy; the tables are made where they are missing. Raises `Unavailable`, `ValueError` for another URL."""
    if (path := sqlite_file(url)) is not None:
        tables: LogTables = open_sqlite_tables(path, server)
    else:
        from servers.store.postgres.rows import open_postgres_tables

        tables = open_postgres_tables(url, server)
    with contextlib.closing(tables):
        yield tables


def copy_rows(source: LogView, target: LogTables, say: Callable[[str], None] = lambda line: None) -> int:
    """Add all events of `source` to `target`, at their positions. Returns their number."""
    rows, events = source.rows(), 0
    while page := list(islice(rows, PAGE)):
        target.put(page)
        events += len(page)
        say(f"{events} events")
    return events


def is_log(url: str, server: str) -> bool:
    """Whether a log of `server` can be read there."""
    try:
        open_view(url, server).close()
    except Unavailable:
        return False
    return True
