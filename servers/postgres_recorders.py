"""The library's recorders on PostgreSQL, with several tracking positions in one transaction. Rule: what is stored stays the library's."""

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from eventsourcing.persistence import AggregateRecorder, ProcessRecorder, StoredEvent, Tracking
from eventsourcing.postgres import PostgresAggregateRecorder, PostgresFactory, PostgresProcessRecorder
from psycopg.sql import SQL, Identifier

from servers.trackings import unless_relay

SETUP_LOCK = 0x666C617368  # "flash": a key that no other user of the database is likely to lock
RECONNECT_S = 5.0  # the pool's pauses double; after this time it forgets them, and the next call tries at once


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
            with unless_relay(tracking):
                self._insert_tracking(curs, tracking)


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


def postgres_factory(url: str, server: str) -> PostgresStoreFactory:
    """A factory for `postgresql://user:password@host:port/database`, in the server's own schema."""
    parts = urlsplit(url)
    env = {
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parts.hostname or "127.0.0.1",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": unquote(parts.username or ""),
        "POSTGRES_PASSWORD": unquote(parts.password or ""),
        "POSTGRES_SCHEMA": f"flash_{server.replace('-', '$')}",  # "-" would need quotes, which the library forgets in one place
        "POSTGRES_POOL_SIZE": "2",  # one for commits, one for the reader; more come and go as needed
        "POSTGRES_CONNECT_TIMEOUT": "3",  # seconds until a user hears that the store is away
        "POSTGRES_PRE_PING": "yes",  # a connection that died with the database is replaced before it is used
        "ORIGINATOR_ID_TYPE": "text",
    }
    return PostgresStoreFactory(env)
