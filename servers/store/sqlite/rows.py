"""The rows of an event log in SQLite as they lie, for backup, restore, copy and verification. Rule: one transaction from first to last.

A running server is not hindered: in WAL mode a reader sees the moment of its first question.
"""

import contextlib
import fcntl
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote

from domain.errors import Unavailable
from servers.store.log.event_log import Row
from servers.store.log.positions import LIBRARYS_OWN
from servers.store.sqlite.schema import COLUMNS, make_tables

PAGE = 2_000  # rows fetched at a time: about 1 MB


class SqliteView:
    """`LogView` of a file, over an open transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def rows(self) -> Iterator[Row]:
        return self._select("ORDER BY rowid")

    def stream(self, name: str) -> Iterator[Row]:
        return self._select("WHERE originator_id = ? ORDER BY originator_version", name)

    def snapshots(self) -> Iterator[tuple[str, int, bytes]]:
        with _unavailable("the snapshots cannot be read"):
            yield from self._database.execute("SELECT originator_id, originator_version, state FROM stored_snapshots")

    def trackings(self) -> dict[str, int]:
        with _unavailable("the tracking positions cannot be read"):
            return dict(self._database.execute("SELECT * FROM tracking WHERE application_name <> ?", (LIBRARYS_OWN,)).fetchall())

    def close(self) -> None:
        self._database.close()

    def _select(self, which: str, *values: str) -> Iterator[Row]:
        statement = f"SELECT rowid, {COLUMNS} FROM stored_events {which}"  # noqa: S608 - constants
        with _unavailable("the events cannot be read"):
            cursor = self._database.execute(statement, values)
            while rows := cursor.fetchmany(PAGE):
                yield from map(Row._make, rows)


class SqliteTables(SqliteView):
    """`LogTables` of a file. A server that works on it holds the lock beside it."""

    def __init__(self, database: sqlite3.Connection, path: Path, server: str) -> None:
        super().__init__(database)
        self.name = str(path)
        self._lock_file = path.with_name(f"{server}.lock")
        self._lock: IO[str] | None = None

    def in_use(self) -> str | None:
        self._lock = self._lock or self._lock_file.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "another process of this machine"
        return None

    def put(self, rows: Sequence[Row]) -> None:
        with _unavailable("the events cannot be stored"):
            self._database.executemany(f"INSERT INTO stored_events (rowid, {COLUMNS}) VALUES (?,?,?,?,?)", rows)  # noqa: S608

    def track(self, trackings: dict[str, int]) -> None:
        with _unavailable("the tracking positions cannot be stored"):
            self._database.executemany("INSERT OR REPLACE INTO tracking VALUES (?,?)", trackings.items())

    def commit(self) -> int:
        with _unavailable("the store cannot be committed"):
            last: int | None = self._database.execute("SELECT max(rowid) FROM stored_events").fetchone()[0]
            self._database.execute("COMMIT")
            self._database.execute("PRAGMA journal_mode=DELETE")  # one file, whole when it is closed, until a server works on it
        return last or 0

    def close(self) -> None:
        super().close()
        if self._lock is not None:
            self._lock.close()


def open_sqlite_view(path: Path) -> SqliteView:
    """A view of this moment. Raises `Unavailable` when there is no such file, or it is no store."""
    with _unavailable(f"{path} cannot be opened"):
        database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    database.text_factory = _text
    try:
        database.execute("BEGIN")
        database.execute("SELECT max(rowid) FROM stored_events").fetchone()  # from now on the transaction sees this moment
    except sqlite3.Error as error:
        database.close()
        raise Unavailable(f"{path} cannot be read: {error}") from error
    return SqliteView(database)


def open_sqlite_tables(path: Path, server: str) -> SqliteTables:
    """The tables in the file, which are made where they are missing. Raises `Unavailable`."""
    with _unavailable(f"{path} cannot be opened"):
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, isolation_level=None)
        make_tables(database, path)
        database.execute("BEGIN")
    return SqliteTables(database, path, server)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")  # junk that somebody wrote there reads as a difference, not as a failure


@contextlib.contextmanager
def _unavailable(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"{what}: {error}") from error
