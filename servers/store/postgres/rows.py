"""The rows of an event log in PostgreSQL as they lie, for backup, restore, copy and verification. Rule: one transaction from first
to last.
"""

import contextlib
import os
from collections.abc import Generator, Iterator, Sequence
from typing import Any, cast

import psycopg
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Composed, Identifier

from domain.errors import Unavailable
from servers.store.log.event_log import Row
from servers.store.log.positions import LIBRARYS_OWN
from servers.store.postgres.schema import COLUMNS, make_tables, program_name, schema_of

PAGE = 2_000  # rows fetched at a time: about 1 MB
CONNECT_TIMEOUT_S = 5

_TRACK = (
    "INSERT INTO {s}.notification_tracking (application_name, notification_id) VALUES (%s, %s) "
    "ON CONFLICT (application_name) DO UPDATE SET notification_id = excluded.notification_id"
)


class PostgresView:
    """`LogView` of a schema, over an open transaction."""

    def __init__(self, database: psycopg.Connection[Any], server: str) -> None:
        self._database = database
        self._schema = schema_of(server)
        self._readings: list[Generator[Row, None, None]] = []

    def rows(self) -> Iterator[Row]:
        return self._reading("SELECT {c} FROM {s}.stored_events ORDER BY notification_id")

    def stream(self, name: str) -> Iterator[Row]:
        return self._reading("SELECT {c} FROM {s}.stored_events WHERE originator_id = %s ORDER BY originator_version", name)

    def snapshots(self) -> Iterator[tuple[str, int, bytes]]:
        query = "SELECT originator_id, originator_version, state FROM {s}.stored_snapshots"
        with unavailable("the snapshots cannot be read"):
            yield from self._database.execute(self._sql(query), binary=True)

    def trackings(self) -> dict[str, int]:
        query = "SELECT application_name, notification_id FROM {s}.notification_tracking WHERE application_name <> %s"
        with unavailable("the tracking positions cannot be read"):
            return dict(self._database.execute(self._sql(query), (LIBRARYS_OWN,)))

    def close(self) -> None:
        try:
            for rows in self._readings:  # a cursor of the server cannot be closed after its connection
                rows.close()
        finally:  # a cursor may fail to close, as when its statement failed
            self._database.close()

    def _reading(self, query: str, *values: str) -> Iterator[Row]:
        rows = self._select(f"rows-{len(self._readings)}", query, values)
        self._readings.append(rows)
        return rows

    def _select(self, cursor_name: str, query: str, values: tuple[str, ...]) -> Generator[Row, None, None]:
        with unavailable("the events cannot be read"), self._database.cursor(cursor_name) as cursor:
            cursor.itersize = PAGE
            cursor.execute(self._sql(query), values, binary=True)
            yield from map(Row._make, cursor)

    def _sql(self, text: str) -> Composed:
        return SQL(cast(Any, text)).format(s=Identifier(self._schema), c=SQL(COLUMNS))


class PostgresTables(PostgresView):
    """`LogTables` of a schema. A server that works on it is connected under its own name."""

    def __init__(self, database: psycopg.Connection[Any], server: str) -> None:
        super().__init__(database, server)
        self.name = f"the schema of {server} in PostgreSQL"
        self._server = server
        self._database.execute(self._sql("LOCK TABLE {s}.stored_events, {s}.notification_tracking IN EXCLUSIVE MODE NOWAIT"))

    def in_use(self) -> str | None:
        query = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ %s"
        with unavailable("the connections cannot be listed"):
            row = self._database.execute(query, (f"^{program_name(self._server)} [0-9]+$",)).fetchone()
        return None if row is None else str(row[0])

    def put(self, rows: Sequence[Row]) -> None:
        statement = self._sql("COPY {s}.stored_events ({c}) FROM STDIN (FORMAT BINARY)")
        with unavailable("the events cannot be stored"), self._database.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(["int8", "text", "int8", "text", "bytea"])
            for row in rows:
                copy.write_row(row)

    def track(self, trackings: dict[str, int]) -> None:
        with unavailable("the tracking positions cannot be stored"), self._database.cursor() as cursor:
            cursor.executemany(self._sql(_TRACK), list(trackings.items()))

    def commit(self) -> int:
        sequence = "pg_get_serial_sequence(format('%%I.stored_events', %s::text), 'notification_id')"
        with unavailable("the store cannot be committed"):
            row = self._database.execute(self._sql("SELECT max(notification_id) FROM {s}.stored_events")).fetchone()
            last: int = (row and row[0]) or 0
            if last:
                self._database.execute(f"SELECT setval({sequence}, %s)", (self._schema, last))
            self._database.commit()
        return last


def open_postgres_view(url: str, server: str) -> PostgresView:
    """A view of this moment. Raises `Unavailable` when the database is away or holds no log of `server`."""
    with unavailable("the database cannot be reached"):
        database: psycopg.Connection[Any] = psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S)
    try:
        database.read_only = True
        database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        table = Identifier(schema_of(server), "stored_events")
        database.execute(SQL("SELECT FROM {} LIMIT 1").format(table))  # from now on the transaction sees this moment
    except psycopg.Error as error:
        database.close()
        raise Unavailable(f"the database cannot be read: {error}") from error
    return PostgresView(database, server)


def open_postgres_tables(url: str, server: str) -> PostgresTables:
    """The tables of `server`, which are made where they are missing. Raises `Unavailable`."""
    with unavailable("the store is away"):
        make_tables(url, server)
        # The name must not be taken for a server at work, also by ourselves.
        database = psycopg.connect(url, row_factory=tuple_row, application_name=f"flash-copy {server} {os.getpid()}")
        try:
            return PostgresTables(database, server)
        except psycopg.Error:  # somebody else holds the lock
            database.close()
            raise


@contextlib.contextmanager
def unavailable(what: str) -> Iterator[None]:
    """Whatever the driver raises, as `Unavailable`."""
    try:
        yield
    except psycopg.Error as error:
        raise Unavailable(f"{what}: {error}") from error
