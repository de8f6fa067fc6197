"""The library's recorder on SQLite, with several tracking positions in one transaction and many rows in one statement.

Rule: what is stored stays the library's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool, SQLiteCursor, SQLiteDatastore, SQLiteFactory, SQLiteProcessRecorder

from servers.trackings import unless_relay

ROWS_PER_STATEMENT = (128, 32, 8, 1)  # few enough texts for the driver's statement cache


class SQLiteStoreRecorder(SQLiteProcessRecorder):
    """`insert_events(..., trackings=[…])`, with many rows per statement.

    The library inserts row by row, and SQLite's driver gives up the interpreter lock at every row: under load the commit thread then
    waits for the event loop hundreds of times per batch. One statement for many rows waits once, and costs half the CPU.
    """

    def _insert_events(self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        start = 0
        for rows in ROWS_PER_STATEMENT:
            statement = f"INSERT INTO {self.events_table_name} VALUES {','.join(['(?,?,?,?)'] * rows)}"  # noqa: S608 - a constant name
            while len(stored_events) - start >= rows:
                chunk = stored_events[start : start + rows]
                c.execute(statement, [v for e in chunk for v in (e.originator_id, e.originator_version, e.topic, e.state)])
                start += rows
        for tracking in kwargs.get("trackings", ()):
            with unless_relay(tracking):
                self._insert_tracking(c, tracking)
        if not stored_events:
            return ()
        c.execute("SELECT last_insert_rowid()")  # rows of one transaction of the only writer are numbered without gaps
        last: int = c.fetchone()[0]
        return range(last - len(stored_events) + 1, last + 1)


class DurablePool(SQLiteConnectionPool):
    """Connections whose commit means: on disk."""

    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=FULL")  # said here because some builds of SQLite default to NORMAL in WAL mode
            cursor.execute("PRAGMA temp_store=MEMORY")  # a statement of many rows keeps a journal of its own: not in a file
            cursor.execute("PRAGMA wal_autocheckpoint=4000")  # 16 MB: fewer pauses of the commit thread than at the default 4 MB
        return connection


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
