"""The event log in PostgreSQL, for a server at work. Rule: a whole commit is one call in the database.

The library sends five statements for each commit and builds a composite value for each event. Here it is one statement with arrays
(`servers/store/postgres/schema.py`): a seventh of the CPU, and no transaction is ever open while the database waits for us. Every call
fails fast: a user who waits hears at once that the database is away.
"""

import contextlib
import os
import select
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from eventsourcing.persistence import Tracking
from psycopg.rows import TupleRow, tuple_row
from psycopg.sql import SQL, Composed, Identifier
from psycopg_pool import ConnectionPool

from domain.errors import Unavailable
from runtime.postgres_options import KEEPALIVES
from servers.store.log.event_log import Conflicted, NewRow, Row, SetBack
from servers.store.log.lease import LeaseLost
from servers.store.log.positions import is_outbox
from servers.store.postgres.lease import PostgresLease
from servers.store.postgres.schema import COLUMNS, CONNECT_TIMEOUT_S, FENCED, commit_call, make_tables, program_name, schema_of

RECONNECT_S = 5.0  # the pool's pauses double; after this time it forgets them, and the next call tries at once
POOL_SIZE = 2  # one connection for commits, one for the reader; more come and go as needed
MAX_CONNECTIONS = 12
LOCK_TIMEOUT_S = 5.0  # for another server's commit, or an administrator's lock on a table: as on SQLite

_LAST = "SELECT max(notification_id) FROM {s}.stored_events"
_PUT_SNAPSHOT = (
    "WITH newest AS ("
    "INSERT INTO {s}.stored_snapshots (originator_id, originator_version, topic, state) "
    "VALUES (%(stream)s, %(version)s, 'snapshot', %(data)s) "
    "ON CONFLICT (originator_id, originator_version) DO UPDATE SET state = excluded.state) "
    "DELETE FROM {s}.stored_snapshots WHERE originator_id = %(stream)s AND originator_version <> %(version)s"
)
_DROP_OLD_SNAPSHOT = (
    "DELETE FROM {s}.stored_snapshots WHERE originator_id = %(stream)s "
    "AND originator_version = (SELECT min(originator_version) FROM {s}.stored_snapshots WHERE originator_id = %(stream)s) "
    "AND originator_version < (SELECT max(originator_version) FROM {s}.stored_snapshots WHERE originator_id = %(stream)s)"
)
_AT = (
    "SELECT {c} FROM (SELECT {c}, sum(octet_length(state)) OVER (ORDER BY notification_id) - octet_length(state) AS before "
    "FROM {s}.stored_events WHERE notification_id = ANY(%s)) AS found WHERE before < %s ORDER BY notification_id"
)


@dataclass(frozen=True, slots=True)
class PostgresTimeouts:
    """`connect_s`: until a user hears that the store is away; `lock_s`: how long a statement waits for a lock."""

    connect_s: float = CONNECT_TIMEOUT_S
    lock_s: float = LOCK_TIMEOUT_S


class PostgresLog:
    """`EventLog` in a schema."""

    def __init__(self, url: str, server: str, timeouts: PostgresTimeouts = PostgresTimeouts()) -> None:
        """Raises `Unavailable` when the database cannot be reached."""
        self._schema = schema_of(server)
        self._commit = commit_call(server)
        self._fence = 0  # the number of the lease under which we write; 0: this server has none
        self._lock_s = timeouts.lock_s
        self._known = 0  # the newest position that this process has seen
        self._set_back = ""  # why nothing may be stored any more
        self._url = url
        self._options: dict[str, Any] = {**KEEPALIVES, "application_name": f"{program_name(server)} {os.getpid()}"}
        with _driver_errors():
            make_tables(url, server)
        self._pool = ConnectionPool(
            url,
            connection_class=psycopg.Connection[TupleRow],
            kwargs=self._options,
            min_size=POOL_SIZE,
            max_size=MAX_CONNECTIONS,
            open=True,
            configure=self._configure,
            check=_still_there,
            timeout=timeouts.connect_s,
            reconnect_timeout=RECONNECT_S,
        )

    def append(self, rows: Sequence[NewRow], trackings: Sequence[Tracking] = ()) -> Sequence[int]:
        streams, versions, topics, states = zip(*rows, strict=True) if rows else ((), (), (), ())
        values = [self._fence, list(streams), list(versions), list(topics), list(states)]
        inboxes = [t for t in trackings if not is_outbox(t.application_name)]
        outboxes = [t for t in trackings if is_outbox(t.application_name)]
        for group in (inboxes, outboxes):
            values += [[t.application_name for t in group], [t.notification_id for t in group]]
        with self._connection() as connection, connection.cursor(binary=True) as cursor:
            row = cursor.execute(self._commit, values, prepare=True).fetchone()
        positions: Sequence[int] = (row and row[0]) or ()
        if positions:
            self._known = positions[-1]
        return positions

    def read(self, after: int, limit: int) -> list[Row]:
        return self._rows("WHERE notification_id > %s ORDER BY notification_id LIMIT %s", after, limit)

    def read_stream(self, stream: str, after: int = 0) -> list[Row]:
        return self._rows("WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version", stream, after)

    def read_at(self, positions: Sequence[int], max_bytes: int) -> list[Row]:
        return list(map(Row._make, self._ask(_AT, list(positions), max_bytes)))

    def last_position(self) -> int:
        last = self._number(_LAST)
        self._known = max(self._known, last)
        return last

    def now(self) -> float:
        return float(self._ask("SELECT extract(epoch FROM clock_timestamp())")[0][0])

    def tracked(self, source: str) -> int:
        return self._number("SELECT max(notification_id) FROM {s}.notification_tracking WHERE application_name = %s", source)

    def tracked_under(self, prefix: str) -> dict[str, int]:
        query = "SELECT application_name, notification_id FROM {s}.notification_tracking WHERE starts_with(application_name, %s)"
        return dict(self._ask(query, prefix))

    def untrack(self, names: Sequence[str]) -> None:
        with self._connection() as connection:
            connection.execute(self._sql("DELETE FROM {s}.notification_tracking WHERE application_name = ANY(%s)"), (list(names),))

    def put_snapshot(self, stream: str, version: int, data: bytes) -> None:
        with self._connection() as connection:
            connection.execute(self._sql(_PUT_SNAPSHOT), {"stream": stream, "version": version, "data": data})

    def newest_snapshot(self, stream: str) -> tuple[int, bytes] | None:
        query = (
            "SELECT originator_version, state FROM {s}.stored_snapshots WHERE originator_id = %s ORDER BY originator_version DESC LIMIT 1"
        )
        found = self._ask(query, stream)
        return found[0] if found else None

    def snapshot_counts(self, after: str, limit: int) -> list[tuple[str, int]]:
        query = "SELECT originator_id, count(*) FROM {s}.stored_snapshots WHERE originator_id > %s GROUP BY 1 ORDER BY 1 LIMIT %s"
        return self._ask(query, after, limit)

    def drop_old_snapshot(self, stream: str) -> None:
        with self._connection() as connection:
            connection.execute(self._sql(_DROP_OLD_SNAPSHOT), {"stream": stream})

    def lease(self) -> PostgresLease:
        return PostgresLease({"conninfo": self._url, **self._options}, self._schema)

    def fence(self, epoch: int) -> None:
        self._fence = epoch

    def let_go(self) -> None:
        """Nothing hinders: no transaction is open."""

    def close(self) -> None:
        self._pool.close()

    def _rows(self, which: str, *values: Any) -> list[Row]:
        return list(map(Row._make, self._ask("SELECT {c} FROM {s}.stored_events " + which, *values)))  # noqa: S608 - constants

    def _number(self, query: str, *values: Any) -> int:
        return self._ask(query, *values)[0][0] or 0

    def _ask(self, query: str, *values: Any) -> list[Any]:
        with self._connection() as connection:
            return connection.execute(self._sql(query), values, prepare=True, binary=True).fetchall()

    def _sql(self, text: Any) -> Composed:
        return SQL(text).format(s=Identifier(self._schema), c=SQL(COLUMNS))

    @contextlib.contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[TupleRow]]:
        with _driver_errors(), self._pool.connection() as connection:
            if self._set_back:
                raise SetBack(self._set_back)
            yield connection

    def _configure(self, connection: psycopg.Connection[Any]) -> None:
        """A commit means: on disk, whatever the database's default is; and nobody waits for a lock without an end."""
        connection.autocommit = True
        connection.row_factory = tuple_row
        connection.execute(f"SET lock_timeout = '{self._lock_s}s'".encode())
        connection.execute("SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
        known = self._known  # before the database is asked: other threads go on committing over the other connections
        if known:  # a new connection may lead to another database, such as a replica that took over and lacks the newest commits
            row = connection.execute(self._sql(_LAST)).fetchone()
            last = (row and row[0]) or 0
            if last < known:
                self._set_back = f"The database was set back: its log ends at {last}, and this process has stored events up to {known}."


@contextlib.contextmanager
def _driver_errors() -> Iterator[None]:
    """What the driver raises, in the words of the port."""
    try:
        yield
    except psycopg.IntegrityError as error:
        raise Conflicted(f"Another process wrote first: {error}") from error
    except psycopg.Error as error:
        if error.sqlstate == FENCED:
            raise LeaseLost from error
        raise Unavailable(f"The store is away: {error}") from error


def _still_there(connection: psycopg.Connection[Any]) -> None:
    """Raises when a connection died while nobody used it. An idle one has nothing to read; only one that has is asked."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(connection)
