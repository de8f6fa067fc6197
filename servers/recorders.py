"""The library's recorders, taught to move several tracking positions in one transaction. Rule: what is stored stays the library's.

A batch holds commands from several homes' inboxes and the relay's own position; the library's `insert_events` takes one.
"""

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from eventsourcing.persistence import AggregateRecorder, IntegrityError, ProcessRecorder, StoredEvent, Tracking
from eventsourcing.postgres import PostgresAggregateRecorder, PostgresFactory, PostgresProcessRecorder
from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool, SQLiteCursor, SQLiteDatastore, SQLiteFactory, SQLiteProcessRecorder
from psycopg.sql import SQL, Identifier

RELAY = "@relay"  # under this name a store remembers how far its server has published; no server's name, for those are inbox positions
SETUP_LOCK = 0x666C617368  # "flash": a key that no other user of the database is likely to lock
RECONNECT_S = 5.0  # the pool's pauses double; after this time it forgets them, and the next call tries at once
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
            with _unless_relay(tracking):
                self._insert_tracking(c, tracking)
        if not stored_events:
            return ()
        c.execute("SELECT last_insert_rowid()")  # rows of one transaction of the only writer are numbered without gaps
        last: int = c.fetchone()[0]
        return range(last - len(stored_events) + 1, last + 1)


class PostgresSnapshotRecorder(PostgresAggregateRecorder):
    """Every call fails fast. The library tries each ten times while the database is away: a user would wait for a minute to hear it."""

    insert_events = inspect.unwrap(PostgresAggregateRecorder.insert_events)
    select_events = inspect.unwrap(PostgresAggregateRecorder.select_events)


class PostgresStoreRecorder(PostgresProcessRecorder):
    """`insert_events(..., trackings=[…])`, and every call fails fast."""

    insert_events = inspect.unwrap(PostgresProcessRecorder.insert_events)
    select_events = inspect.unwrap(PostgresProcessRecorder.select_events)
    select_notifications = inspect.unwrap(PostgresProcessRecorder.select_notifications)
    max_notification_id = inspect.unwrap(PostgresProcessRecorder.max_notification_id)
    max_tracking_id = inspect.unwrap(PostgresProcessRecorder.max_tracking_id)

    def _insert_events(self, curs: Any, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        trackings: Sequence[Tracking] = kwargs.pop("trackings", ())
        super()._insert_events(curs, stored_events, **kwargs)
        for tracking in trackings:
            with _unless_relay(tracking):
                self._insert_tracking(curs, tracking)


def _unless_relay(tracking: Tracking) -> contextlib.AbstractContextManager[None]:
    """An inbox position that does not rise means that another process consumed it: a conflict. A relay position that does not rise
    means that another process on this store published further: no harm, relays may repeat."""
    return contextlib.suppress(IntegrityError) if tracking.application_name.startswith(RELAY) else contextlib.nullcontext()


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
    """A factory of `PostgresStoreRecorder`. Several servers share a database: each has a schema, made here when it is missing."""

    process_recorder_class = PostgresStoreRecorder
    aggregate_recorder_class = PostgresSnapshotRecorder

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__(env)
        self.datastore.pool.reconnect_timeout = RECONNECT_S

    def process_recorder(self) -> ProcessRecorder:
        """The events and tracking positions."""
        with self._one_at_a_time():
            return super().process_recorder()

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """The snapshots."""
        with self._one_at_a_time():
            return super().aggregate_recorder(purpose)

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """`IF NOT EXISTS` does not hold between two servers that start in the same moment; a lock of the whole database does."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (SETUP_LOCK,))
            with self.datastore.transaction(commit=True) as other:  # on another connection: the tables are made on yet another
                other.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(self.datastore.schema)))
            yield
