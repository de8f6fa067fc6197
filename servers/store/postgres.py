"""The library's recorders on PostgreSQL: a whole commit is one call in the database. Rule: what is stored stays the library's.

The library sends five statements for each commit and builds a composite value for each event. Here it is one statement with arrays
(`servers/store/postgres_schema.py`): a seventh of the CPU, and no transaction is ever open while the database waits for us.
"""

import contextlib
import inspect
import os
import select
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from eventsourcing.persistence import AggregateRecorder, ProcessRecorder, StoredEvent, Tracking
from eventsourcing.postgres import (
    ConnectionPool,
    PostgresAggregateRecorder,
    PostgresDatastore,
    PostgresFactory,
    PostgresProcessRecorder,
)
from psycopg.rows import DictRow, tuple_row
from psycopg.sql import SQL, Identifier

from runtime.postgres_options import KEEPALIVES
from servers.store.lease import FENCED, FencedOut
from servers.store.positions import RELAY
from servers.store.postgres_lease import PostgresLease
from servers.store.postgres_schema import commit_call, commit_function, lease_table

SETUP_LOCK = 0x666C617368  # "flash": a key that no other user of the database is likely to lock
RECONNECT_S = 5.0  # the pool's pauses double; after this time it forgets them, and the next call tries at once
POOL_SIZE = 2  # one connection for commits, one for the reader; more come and go as needed
MAX_CONNECTIONS = 12
CONNECT_TIMEOUT_S = 3  # until a user hears that the store is away
LOCK_TIMEOUT_S = 5  # for another server's commit, or an administrator's lock on a table: as on SQLite


class PostgresSnapshotRecorder(PostgresAggregateRecorder):
    """Every call fails fast. The library tries each ten times while the database is away: a user would wait for a minute to hear it."""

    insert_events = inspect.unwrap(PostgresAggregateRecorder.insert_events)
    select_events = inspect.unwrap(PostgresAggregateRecorder.select_events)


class PostgresStoreRecorder(PostgresProcessRecorder):
    """`insert_events(..., trackings=[…])`, fenced by `fence`, and every call fails fast."""

    select_events = inspect.unwrap(PostgresProcessRecorder.select_events)
    select_notifications = inspect.unwrap(PostgresProcessRecorder.select_notifications)
    max_notification_id = inspect.unwrap(PostgresProcessRecorder.max_notification_id)
    max_tracking_id = inspect.unwrap(PostgresProcessRecorder.max_tracking_id)

    def __init__(self, datastore: PostgresDatastore, **names: Any) -> None:
        super().__init__(datastore, **names)
        self.fence = 0  # the number of the lease under which we write; 0: this server has none
        schema = Identifier(datastore.schema)
        events, trackings = Identifier(self.events_table_name), Identifier(self.tracking_table_name)
        self.sql_create_statements += [*lease_table(schema), commit_function(schema, events, trackings)]
        self._commit = commit_call(schema)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Commit; the positions. Raises `FencedOut` when another process holds the lease."""
        trackings: Sequence[Tracking] = kwargs.get("trackings", ())
        inboxes = [t for t in trackings if not t.application_name.startswith(RELAY)]
        relays = [t for t in trackings if t.application_name.startswith(RELAY)]
        streams, versions, topics, states = zip(*stored_events, strict=True) if stored_events else ((), (), (), ())
        values = [self.fence, list(streams), list(versions), list(topics), list(states)]
        for group in (inboxes, relays):
            values += [[t.application_name for t in group], [t.notification_id for t in group]]
        with self.datastore.get_connection() as connection, connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            try:
                row = cursor.execute(self._commit, values, prepare=True).fetchone()
            except psycopg.DatabaseError as error:
                if error.sqlstate == FENCED:
                    raise FencedOut(str(error)) from error
                raise
        return (row and row[0]) or ()

    def select_trackings(self, prefix: str) -> dict[str, int]:
        """The tracking positions whose names begin with `prefix`."""
        query = SQL("SELECT application_name, notification_id FROM {}.{} WHERE starts_with(application_name, %s)")
        with self.datastore.get_connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(query.format(Identifier(self.datastore.schema), Identifier(self.tracking_table_name)), (prefix,))
            return dict(cursor.fetchall())


class PostgresStoreFactory(PostgresFactory):
    """A factory of `PostgresStoreRecorder`. Several servers share a database: each has a schema, made here when it is missing."""

    process_recorder_class = PostgresStoreRecorder
    aggregate_recorder_class = PostgresSnapshotRecorder

    def __init__(self, env: dict[str, str], name: str) -> None:
        super().__init__(env)
        self._line = {**self.datastore.pool.kwargs, **KEEPALIVES, "application_name": name}  # type: ignore[dict-item]
        self.datastore.pool = ConnectionPool(
            connection_class=psycopg.Connection[DictRow],
            kwargs=self._line,
            min_size=POOL_SIZE,
            max_size=MAX_CONNECTIONS,
            open=False,
            configure=_durable,
            check=_still_there,
            timeout=CONNECT_TIMEOUT_S,
            reconnect_timeout=RECONNECT_S,
        )

    def process_recorder(self) -> ProcessRecorder:
        """The events and tracking positions."""
        with self._one_at_a_time():
            return super().process_recorder()

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """The snapshots."""
        with self._one_at_a_time():
            return super().aggregate_recorder(purpose)

    def lease(self) -> PostgresLease:
        """The row that says who may write, on a connection of its own."""
        return PostgresLease(self._line, self.datastore.schema)

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """`IF NOT EXISTS` does not hold between two servers that start in the same moment; a lock of the whole database does."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute("SET LOCAL lock_timeout = 0")  # however many start in the same moment, each has its turn
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (SETUP_LOCK,))
            with self.datastore.transaction(commit=True) as other:  # on another connection: the tables are made on yet another
                other.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(self.datastore.schema)))
            yield


def _durable(connection: psycopg.Connection[Any]) -> None:
    """A commit means: on disk, whatever the database's default is; and nobody waits for a lock without an end."""
    connection.autocommit = True
    connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'".encode())
    connection.execute("SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")


def _still_there(connection: psycopg.Connection[Any]) -> None:
    """Raises when a connection died while nobody used it. An idle one has nothing to read; only one that has is asked."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(connection)


def postgres_factory(url: str, server: str, program: str = "flash") -> PostgresStoreFactory:
    """A factory for `postgresql://user:password@host:port/database`, in the server's own schema. `program`: who the database shall say
    is connected; `flash` is a server at work."""
    parts = urlsplit(url)
    env = {
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parts.hostname or "127.0.0.1",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": unquote(parts.username or ""),
        "POSTGRES_PASSWORD": unquote(parts.password or ""),
        "POSTGRES_SCHEMA": schema_of(server),
        "ORIGINATOR_ID_TYPE": "text",
    }
    return PostgresStoreFactory(env, f"{program} {server} {os.getpid()}")


def schema_of(server: str) -> str:
    """A server's own schema. "-" would need quotes, which the library forgets in one place."""
    return f"flash_{server.replace('-', '$')}"
