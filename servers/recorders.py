"""The library's recorders, taught to move several tracking positions in one transaction. Rule: nothing else is changed.

A batch holds commands from several homes' inboxes and the relay's own position; the library's `insert_events` takes one.
"""

from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import StoredEvent, Tracking
from eventsourcing.postgres import PostgresFactory, PostgresProcessRecorder
from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool, SQLiteCursor, SQLiteDatastore, SQLiteFactory, SQLiteProcessRecorder


class SQLiteStoreRecorder(SQLiteProcessRecorder):
    """`insert_events(..., trackings=[…])`."""

    def _insert_events(self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        trackings: Sequence[Tracking] = kwargs.pop("trackings", ())
        returning = super()._insert_events(c, stored_events, **kwargs)
        for tracking in trackings:
            self._insert_tracking(c, tracking)
        return returning


class PostgresStoreRecorder(PostgresProcessRecorder):
    """`insert_events(..., trackings=[…])`."""

    def _insert_events(self, curs: Any, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        trackings: Sequence[Tracking] = kwargs.pop("trackings", ())
        super()._insert_events(curs, stored_events, **kwargs)
        for tracking in trackings:
            self._insert_tracking(curs, tracking)


class DurablePool(SQLiteConnectionPool):
    """Connections whose commit means: on disk."""

    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=FULL")  # said here because some builds of SQLite default to NORMAL in WAL mode
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


class PostgresStoreFactory(PostgresFactory):
    """A factory of `PostgresStoreRecorder`."""

    process_recorder_class = PostgresStoreRecorder
