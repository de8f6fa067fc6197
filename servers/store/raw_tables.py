"""The two ends of a copy: a server's tables as they are, in SQLite and in PostgreSQL. Rule: nothing is written before `commit`."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import psycopg
from eventsourcing.persistence import PersistenceError
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Composed, Identifier

from domain.errors import Unavailable
from servers.encryption.key_store import KeyTable
from servers.encryption.key_tables import open_table
from servers.store.postgres import postgres_factory
from servers.store.sqlite import sqlite_factory

COPIER = "flash-copy"  # not to be taken for a server at work, also by ourselves
LIBRARYS_OWN = "__migration__"  # a row of the tracking table that belongs to the library, not to us
Trackings = dict[str, int]


class Row(NamedTuple):
    """One stored event."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes


class End(Protocol):
    """One database. Every method blocks."""

    name: str

    def in_use(self) -> str | None:
        """Who works on it, if anybody does."""

    def read(self, after: int, limit: int) -> Sequence[Row]:
        """Up to `limit` events above `after`, in order, our own uncommitted ones included."""

    def trackings(self) -> Trackings:
        """How far other logs were consumed, and this one published."""

    def put(self, rows: Sequence[Row]) -> None:
        """Add events."""

    def track(self, trackings: Trackings) -> None:
        """Add tracking positions."""

    def commit(self) -> int:
        """Make it so; the last position."""

    def keys(self) -> contextlib.closing[KeyTable]:
        """The keys beside it."""


@contextlib.contextmanager
def open_end(url: str, server: str) -> Iterator[End]:
    """The tables of `server`, made when they are missing. Raises `Unavailable`, `ValueError` for another kind of URL."""
    scheme = url.partition("://")[0]
    if scheme not in ("sqlite", "postgresql", "postgres"):
        raise ValueError(f"not a store URL: {scheme}://…; expected sqlite:///path or postgresql://…")
    try:
        factory = sqlite_factory(url) if scheme == "sqlite" else postgres_factory(url, server, COPIER)
        factory.process_recorder()
        factory.close()
        with contextlib.closing(SqliteEnd(url, server) if scheme == "sqlite" else PostgresEnd(url, server)) as end:
            yield cast(End, end)
    except (PersistenceError, sqlite3.Error, psycopg.Error) as error:
        raise Unavailable(f"The store is away: {error}") from error


class SqliteEnd:
    """A file. A server that works on it holds the lock beside it."""

    def __init__(self, url: str, server: str) -> None:
        self._url = url
        self._server = server
        self._path = Path(url.removeprefix("sqlite:///"))
        self.name = str(self._path)
        self._lock = self._path.with_name(f"{server}.lock").open("w")
        self._db = sqlite3.connect(self._path, isolation_level=None)
        self._db.execute("BEGIN")

    def in_use(self) -> str | None:
        """See `End`."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "another process of this machine"
        return None

    def read(self, after: int, limit: int) -> Sequence[Row]:
        """See `End`."""
        query = "SELECT rowid, originator_id, originator_version, topic, state FROM stored_events WHERE rowid > ? ORDER BY rowid LIMIT ?"
        return [Row(*row) for row in self._db.execute(query, (after, limit))]

    def trackings(self) -> Trackings:
        """See `End`."""
        return dict(self._db.execute("SELECT application_name, notification_id FROM tracking WHERE application_name <> ?", (LIBRARYS_OWN,)))

    def put(self, rows: Sequence[Row]) -> None:
        """See `End`."""
        self._db.executemany("INSERT INTO stored_events (rowid, originator_id, originator_version, topic, state) VALUES (?,?,?,?,?)", rows)

    def track(self, trackings: Trackings) -> None:
        """See `End`."""
        self._db.executemany("INSERT INTO tracking VALUES (?,?)", trackings.items())

    def commit(self) -> int:
        """See `End`."""
        last: int | None = self._db.execute("SELECT max(rowid) FROM stored_events").fetchone()[0]
        self._db.execute("COMMIT")
        return last or 0

    def keys(self) -> contextlib.closing[KeyTable]:
        """See `End`."""
        return contextlib.closing(open_table("", self._url, self._server))

    def close(self) -> None:
        """Let go; what was not committed is gone."""
        self._db.close()
        self._lock.close()


class PostgresEnd:
    """A schema. A server that works on it is connected under its name."""

    def __init__(self, url: str, server: str) -> None:
        self._url = url
        self._server = server
        self.name = f"the schema of {server} in PostgreSQL"
        self._schema = f"flash_{server.replace('-', '$')}"
        self._db = psycopg.connect(url, row_factory=tuple_row, application_name=f"{COPIER} {server} {os.getpid()}")
        self._db.execute(self._sql("LOCK TABLE {s}.stored_events, {s}.notification_tracking IN EXCLUSIVE MODE NOWAIT"))

    def _sql(self, text: str) -> Composed:
        return SQL(text).format(s=Identifier(self._schema))

    def in_use(self) -> str | None:
        """See `End`."""
        query = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ %s"
        row = self._db.execute(query, (f"^flash {self._server} [0-9]+$",)).fetchone()
        return None if row is None else str(row[0])

    def read(self, after: int, limit: int) -> Sequence[Row]:
        """See `End`."""
        query = (
            "SELECT notification_id, originator_id, originator_version, topic, state FROM {s}.stored_events "
            "WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
        )
        return [Row(*row) for row in self._db.execute(self._sql(query), (after, limit), binary=True)]

    def trackings(self) -> Trackings:
        """See `End`."""
        query = "SELECT application_name, notification_id FROM {s}.notification_tracking WHERE application_name <> %s"
        return dict(self._db.execute(self._sql(query), (LIBRARYS_OWN,)))

    def put(self, rows: Sequence[Row]) -> None:
        """See `End`."""
        statement = "COPY {s}.stored_events (notification_id, originator_id, originator_version, topic, state) FROM STDIN (FORMAT BINARY)"
        with self._db.cursor() as cursor, cursor.copy(self._sql(statement)) as copy:
            copy.set_types(["int8", "text", "int8", "text", "bytea"])
            for row in rows:
                copy.write_row(row)

    def track(self, trackings: Trackings) -> None:
        """See `End`."""
        with self._db.cursor() as cursor:
            cursor.executemany(self._sql("INSERT INTO {s}.notification_tracking VALUES (%s, %s)"), list(trackings.items()))

    def commit(self) -> int:
        """See `End`. The next position comes after the last one."""
        row = self._db.execute(self._sql("SELECT max(notification_id) FROM {s}.stored_events")).fetchone()
        last = int(row[0]) if row is not None and row[0] is not None else 0
        if last:
            name = "pg_get_serial_sequence(format('%%I.stored_events', %s::text), 'notification_id')"
            self._db.execute(f"SELECT setval({name}, %s)", (self._schema, last))
        self._db.commit()
        return last

    def keys(self) -> contextlib.closing[KeyTable]:
        """See `End`."""
        return contextlib.closing(open_table("", self._url, self._server))

    def close(self) -> None:
        """Let go; what was not committed is gone."""
        self._db.close()
