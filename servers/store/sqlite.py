"""The library's recorder on SQLite, with several tracking positions in one transaction and many rows in one statement.

Rule: what a row says stays the library's; how rows are found is `servers/store/sqlite_schema.py`.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import InterfaceError, StoredEvent
from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteFactory,
    SQLiteProcessRecorder,
    SQLiteTransaction,
)

from servers.store.positions import unless_relay
from servers.store.sqlite_schema import COLUMNS, SCHEMA, STREAM, convert

# Any number of rows fits one of these with a third to spare at most, and they are few enough to be kept compiled.
ROWS_PER_STATEMENT = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
MOST_ROWS = ROWS_PER_STATEMENT[-1]
MOST_VERSIONS = 2**63 - 1  # what SQLite can hold
STATEMENTS = 64  # texts that a connection keeps compiled
LOCK_TIMEOUT_S = 5  # for another process that reads the file, such as a backup


class OneStatement(SQLiteTransaction):
    """A transaction of a single statement, which SQLite begins and commits by itself: `BEGIN` and `COMMIT` of their own would give up
    the interpreter lock eight times more, and each time the busy event loop keeps it for up to half a millisecond."""

    def __enter__(self) -> SQLiteCursor:
        return self.connection.cursor()


class SQLiteStoreRecorder(SQLiteProcessRecorder):
    """`insert_events(..., trackings=[…])`, with many rows per statement.

    The library inserts row by row, and SQLite's driver gives up the interpreter lock several times for every statement: under load the
    commit thread then waits for the event loop hundreds of times per batch. One statement for all rows waits once, and costs half the
    CPU. Rows to spare are NULLs, which are not inserted.
    """

    def insert_events(self, stored_events: Sequence[Any], **kwargs: Any) -> Sequence[int] | None:
        """All of them and the positions in `trackings`, or nothing. Returns the events' positions. `stored_events`: what the library's
        class of this name holds, in its order."""
        if kwargs.get("trackings") or len(stored_events) > MOST_ROWS:
            return super().insert_events(stored_events, **kwargs)
        with self.datastore.get_connection(commit=True) as connection, OneStatement(connection, commit=True) as c, c:
            return self._insert_events(c, stored_events)

    def _insert_events(self, c: SQLiteCursor, stored_events: Sequence[Any], **kwargs: Any) -> Sequence[int] | None:
        for start in range(0, len(stored_events), MOST_ROWS):
            chunk = stored_events[start : start + MOST_ROWS]
            rows = next(rows for rows in ROWS_PER_STATEMENT if rows >= len(chunk))
            values: list[Any] = [value for row in chunk for value in row]
            values += [None] * (4 * (rows - len(chunk)))
            c.execute(_insert(rows), values)
        last: int = c.lastrowid or 0  # rows of one transaction of the only writer are numbered without gaps
        for tracking in kwargs.get("trackings", ()):
            with unless_relay(tracking):
                self._insert_tracking(c, tracking)
        return range(last - len(stored_events) + 1, last + 1)

    def select_events(
        self, originator_id: UUID | str, *, gt: int | None = None, lte: int | None = None, desc: bool = False, limit: int | None = None
    ) -> Sequence[StoredEvent]:
        """The events of a stream with versions above `gt`, up to `lte`, in order; the first or last `limit` of them."""
        after, upto = gt or 0, MOST_VERSIONS if lte is None else lte
        statement = f"{STREAM} {'DESC' if desc else 'ASC'} LIMIT ?"
        with self.datastore.transaction(commit=False) as c:
            c.execute(statement, (str(originator_id), after, after, upto, -1 if limit is None else limit))
            return [StoredEvent(*row) for row in c.fetchall()]

    def select_trackings(self, prefix: str) -> dict[str, int]:
        """The tracking positions whose names begin with `prefix`."""
        statement = "SELECT application_name, notification_id FROM tracking WHERE application_name >= ? AND application_name < ?"
        with self.datastore.transaction(commit=False) as c:
            c.execute(statement, (prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)))  # names are in the order of their bytes
            return {row[0]: row[1] for row in c.fetchall()}

    def construct_create_table_statements(self) -> list[str]:
        """Ours come first: of what is there already, the library makes nothing."""
        return [*SCHEMA, *super().construct_create_table_statements()]

    def _create_table(self, c: SQLiteCursor) -> None:
        convert(c)
        super()._create_table(c)


@cache
def _insert(rows: int) -> str:
    """The statement that inserts up to `rows` events."""
    places = ",".join(["(?,?,?,?)"] * rows)
    return f"INSERT INTO stored_events ({COLUMNS}) SELECT * FROM (VALUES {places}) WHERE column1 IS NOT NULL"  # noqa: S608 - constants


class DurablePool(SQLiteConnectionPool):
    """Connections whose commit means: on disk."""

    def _create_connection(self) -> SQLiteConnection:
        """As the library makes one, but for the pragmas and for a cache of statements: its own keeps a single one."""
        try:
            connection = sqlite3.connect(
                self.db_name,
                uri=True,
                check_same_thread=False,
                isolation_level=None,
                cached_statements=STATEMENTS,
                timeout=self.lock_timeout or LOCK_TIMEOUT_S,
            )
        except sqlite3.Error as error:
            raise InterfaceError(error) from error
        cursor = connection.cursor()
        with contextlib.closing(cursor):
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")  # said here because some builds of SQLite default to NORMAL in WAL mode
            cursor.execute("PRAGMA temp_store=MEMORY")  # a statement of many rows keeps a journal of its own: not in a file
            cursor.execute("PRAGMA cache_size=-512")  # KiB: the ends of 10,000 streams and the end of the log; the rest is read once
            cursor.execute("PRAGMA wal_autocheckpoint=4000")  # 16 MB: fewer pauses of the commit thread than at the default 4 MB
        connection.row_factory = sqlite3.Row
        return SQLiteConnection(sqlite_conn=connection, max_age=self.max_age)


class SQLiteStoreFactory(SQLiteFactory):
    """A factory of `SQLiteStoreRecorder`."""

    process_recorder_class = SQLiteStoreRecorder

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__(env)
        old: SQLiteDatastore = self.datastore
        old.pool.close()
        old.pool = DurablePool(db_name=env["SQLITE_DBNAME"], lock_timeout=old.pool.lock_timeout)


def sqlite_factory(url: str) -> SQLiteStoreFactory:
    """A factory for `sqlite:///path`; the directory is made when it is missing."""
    path = Path(url.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return SQLiteStoreFactory({"SQLITE_DBNAME": str(path), "ORIGINATOR_ID_TYPE": "text"})
