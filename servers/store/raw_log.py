"""A server's log as the database has it, for those who doubt it. Rule: nothing is written, decoded or believed; one moment is seen.

The server may run: SQLite's WAL mode and PostgreSQL's snapshots let us read without hindering it.
"""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from domain.errors import Unavailable

PAGE = 2_000  # rows fetched at a time: about 1 MB


class Row(NamedTuple):
    """What lies at a position. In a log that was tampered with, a field may be of any type."""

    position: int
    stream: str
    version: int
    topic: str
    data: bytes


class RawLog(Protocol):
    """One server's stored events, as they were when it was opened."""

    def rows(self) -> Iterator[Row]:
        """All of them, by position. Raises `Unavailable` when they cannot be read."""

    def stream(self, name: str) -> Iterator[Row]:
        """Those of one stream, by version. Raises `Unavailable`."""

    def trackings(self) -> dict[str, int]:
        """How far other logs were consumed and this one was published, at the same moment. Raises `Unavailable`."""

    def close(self) -> None:
        """Let go of it."""


class _Log:
    """Readings are ended before the database is let go."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._readings: list[Generator[Row, None, None]] = []

    def _reading(self, rows: Generator[Row, None, None]) -> Iterator[Row]:
        self._readings.append(rows)
        return rows

    def close(self) -> None:
        """Let go of the database."""
        for rows in self._readings:
            rows.close()
        self._database.close()


class SQLiteLog(_Log):
    """`path`: the database file."""

    def __init__(self, path: Path) -> None:
        """Raises `Unavailable` when there is no such file, or it is no store."""
        try:
            super().__init__(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None))
        except sqlite3.Error as error:
            raise Unavailable(f"{path} cannot be opened: {error}") from error
        self._database.text_factory = _text
        try:
            self._database.execute("BEGIN")
            self._database.execute("SELECT max(rowid) FROM stored_events").fetchone()  # from now on we see this moment
        except sqlite3.Error as error:
            self._database.close()
            raise Unavailable(f"{path} cannot be read: {error}") from error

    def rows(self) -> Iterator[Row]:
        """By position."""
        return self._reading(self._select("ORDER BY rowid", ()))

    def stream(self, name: str) -> Iterator[Row]:
        """By version."""
        return self._reading(self._select("WHERE originator_id = ? ORDER BY originator_version", (name,)))

    def trackings(self) -> dict[str, int]:
        """See `RawLog`."""
        try:
            return dict(self._database.execute("SELECT application_name, notification_id FROM tracking").fetchall())
        except sqlite3.Error as error:
            raise Unavailable(f"the tracking positions cannot be read: {error}") from error

    def _select(self, which: str, arguments: tuple[str, ...]) -> Generator[Row, None, None]:
        statement = f"SELECT rowid, originator_id, originator_version, topic, state FROM stored_events {which}"  # noqa: S608 - constants
        try:
            with closing(self._database.execute(statement, arguments)) as cursor:
                while rows := cursor.fetchmany(PAGE):
                    yield from map(Row._make, rows)
        except sqlite3.Error as error:
            raise Unavailable(f"the events cannot be read: {error}") from error


class PostgresLog(_Log):
    """`url`: the database; `schema`: the server's."""

    def __init__(self, url: str, schema: str) -> None:
        """Raises `Unavailable`."""
        import psycopg  # 10 MB that a home on SQLite does not need
        from psycopg.sql import SQL, Identifier

        self._error = psycopg.Error
        self._from = SQL("SELECT notification_id, originator_id, originator_version, topic, state FROM {}.stored_events ").format(
            Identifier(schema)
        )
        self._trackings = SQL("SELECT application_name, notification_id FROM {}.notification_tracking").format(Identifier(schema))
        self._by_position = SQL("ORDER BY notification_id")
        self._by_version = SQL("WHERE originator_id = %s ORDER BY originator_version")
        try:
            super().__init__(psycopg.connect(url, connect_timeout=5))
        except psycopg.Error as error:
            raise Unavailable(f"the database cannot be reached: {error}") from error
        self._database.read_only = True
        self._database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            self._database.execute(self._from + SQL("LIMIT 1"))  # from now on we see this moment
        except psycopg.Error as error:
            self._database.close()
            raise Unavailable(f"the database cannot be read: {error}") from error

    def rows(self) -> Iterator[Row]:
        """By position."""
        return self._reading(self._select("rows", self._by_position, ()))

    def stream(self, name: str) -> Iterator[Row]:
        """By version."""
        return self._reading(self._select("stream", self._by_version, (name,)))

    def trackings(self) -> dict[str, int]:
        """See `RawLog`."""
        try:
            return dict(self._database.execute(self._trackings).fetchall())
        except self._error as error:
            raise Unavailable(f"the tracking positions cannot be read: {error}") from error

    def _select(self, cursor_name: str, which: Any, arguments: tuple[str, ...]) -> Generator[Row, None, None]:
        try:
            with self._database.cursor(cursor_name, withhold=False) as cursor:
                cursor.itersize = PAGE
                cursor.execute(self._from + which, arguments, binary=True)
                yield from map(Row._make, cursor)
        except self._error as error:
            raise Unavailable(f"the events cannot be read: {error}") from error


def open_log(url: str, server: str) -> RawLog:
    """The log of `server` at a store's URL (see `servers.store`). Raises `Unavailable`, `ValueError` for another kind of URL."""
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        return SQLiteLog(Path(url.removeprefix("sqlite:///")))
    if scheme in ("postgresql", "postgres"):
        from servers.store.postgres import schema_of

        return PostgresLog(url, schema_of(server))
    raise ValueError(f"not a store URL: {scheme}://…; expected sqlite:///path or postgresql://…")


def is_store(url: str, server: str) -> bool:
    """Whether a log of `server` can be read there."""
    try:
        open_log(url, server).close()
    except Unavailable:
        return False
    return True


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")  # whatever somebody wrote there: it differs, and that is what we want to see
