"""The event log in SQLite, for a server at work. Rule: a commit is on disk when `append` returns, and takes as few statements as it can.

SQLite's driver gives up the interpreter lock several times for every statement, and each time the busy event loop may keep it for half a
millisecond. One statement for all rows of a batch waits once and costs half the CPU of one statement a row (decision 6).
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from eventsourcing.persistence import Tracking

from domain.errors import Unavailable
from servers.store.log.event_log import Conflicted, NewRow, Row
from servers.store.log.positions import is_outbox
from servers.store.sqlite.schema import COLUMNS, STREAM, make_tables

# Any number of rows fits one of these with a third to spare at most, and they are few enough to be kept compiled.
ROWS_PER_STATEMENT = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
MOST_ROWS = ROWS_PER_STATEMENT[-1]
STATEMENTS = 64  # texts that a connection keeps compiled
LOCK_TIMEOUT_S = 5  # for another process that reads the file, such as a backup
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",  # said here because some builds of SQLite default to NORMAL in WAL mode
    "temp_store=MEMORY",  # a statement of many rows keeps a journal of its own: not in a file
    "cache_size=-512",  # KiB: the ends of 10,000 streams and the end of the log; the rest is read once
    "wal_autocheckpoint=4000",  # 16 MB: fewer pauses of the commit thread than at the default 4 MB
)
_TRACK = (
    "INSERT INTO tracking VALUES (?,?) ON CONFLICT (application_name) DO UPDATE SET notification_id = excluded.notification_id "
    "WHERE tracking.notification_id < excluded.notification_id"
)
_DROP_OLD_SNAPSHOT = (
    "DELETE FROM stored_snapshots WHERE originator_id = ?1 "
    "AND originator_version = (SELECT min(originator_version) FROM stored_snapshots WHERE originator_id = ?1) "
    "AND originator_version < (SELECT max(originator_version) FROM stored_snapshots WHERE originator_id = ?1)"
)
_AT = (  # one text for any number of positions, so that it stays compiled
    f"SELECT rowid, {COLUMNS} FROM stored_events WHERE rowid IN (SELECT value FROM json_each(?)) ORDER BY rowid"  # noqa: S608
)


class SqliteLog:
    """`EventLog` in a file."""

    def __init__(self, path: Path) -> None:
        """Raises `Unavailable` when the file cannot be opened."""
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            make_tables(connection, path)

    def append(self, rows: Sequence[NewRow], trackings: Sequence[Tracking] = ()) -> Sequence[int]:
        with self._connection() as connection:
            if trackings or len(rows) > MOST_ROWS:
                connection.execute("BEGIN IMMEDIATE")
                last = _insert(connection, rows)
                for tracking in trackings:
                    risen = connection.execute(_TRACK, (tracking.application_name, tracking.notification_id)).rowcount
                    if not risen and not is_outbox(tracking.application_name):
                        raise Conflicted(f"The position of {tracking.application_name} does not rise.")
                connection.execute("COMMIT")
            else:  # a single statement is a transaction of its own: BEGIN and COMMIT would give up the interpreter lock eight times more
                last = _insert(connection, rows)
        return range(last - len(rows) + 1, last + 1)

    def read(self, after: int, limit: int) -> list[Row]:
        return self._rows(f"SELECT rowid, {COLUMNS} FROM stored_events WHERE rowid > ? ORDER BY rowid LIMIT ?", after, limit)  # noqa: S608

    def read_stream(self, stream: str, after: int = 0) -> list[Row]:
        return self._rows(STREAM, stream, after, after)

    def read_at(self, positions: Sequence[int], max_bytes: int) -> list[Row]:
        rows: list[Row] = []
        size = 0
        with self._connection() as connection:
            for row in connection.execute(_AT, (json.dumps(positions),)):
                rows.append(Row._make(row))
                size += len(row[4])
                if size >= max_bytes:
                    break
        return rows

    def last_position(self) -> int:
        return self._number("SELECT max(rowid) FROM stored_events")

    def now(self) -> None:
        return None

    def tracked(self, source: str) -> int:
        return self._number("SELECT max(notification_id) FROM tracking WHERE application_name = ?", source)

    def tracked_under(self, prefix: str) -> dict[str, int]:
        after_all = prefix[:-1] + chr(ord(prefix[-1]) + 1)  # names are in the order of their bytes
        return dict(self._ask("SELECT * FROM tracking WHERE application_name >= ? AND application_name < ?", prefix, after_all))

    def untrack(self, names: Sequence[str]) -> None:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM tracking WHERE application_name = ?", [(name,) for name in names])
            connection.execute("COMMIT")

    def put_snapshot(self, stream: str, version: int, data: bytes) -> None:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM stored_snapshots WHERE originator_id = ?", (stream,))
            connection.execute("INSERT INTO stored_snapshots VALUES (?,?,'snapshot',?)", (stream, version, data))
            connection.execute("COMMIT")

    def newest_snapshot(self, stream: str) -> tuple[int, bytes] | None:
        query = "SELECT originator_version, state FROM stored_snapshots WHERE originator_id = ? ORDER BY originator_version DESC LIMIT 1"
        found = self._ask(query, stream)
        return found[0] if found else None

    def snapshot_counts(self, after: str, limit: int) -> list[tuple[str, int]]:
        query = "SELECT originator_id, count(*) FROM stored_snapshots WHERE originator_id > ? GROUP BY originator_id ORDER BY 1 LIMIT ?"
        return self._ask(query, after, limit)

    def drop_old_snapshot(self, stream: str) -> None:
        self._ask(_DROP_OLD_SNAPSHOT, stream)

    def lease(self) -> None:
        return None

    def fence(self, epoch: int) -> None:
        raise NotImplementedError("a SQLite file belongs to one process")

    def let_go(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        self.let_go()

    def _rows(self, statement: str, *values: Any) -> list[Row]:
        return list(map(Row._make, self._ask(statement, *values)))

    def _number(self, statement: str, *values: Any) -> int:
        return self._ask(statement, *values)[0][0] or 0

    def _ask(self, statement: str, *values: Any) -> list[Any]:
        with self._connection() as connection:
            return connection.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that no other thread uses meanwhile: the thread that reads never delays the one that commits."""
        try:
            connection = self._taken()
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._idle.append(connection)
        except sqlite3.IntegrityError as error:
            raise Conflicted(f"Another process wrote first: {error}") from error
        except sqlite3.Error as error:
            raise Unavailable(f"The store is away: {error}") from error

    def _taken(self) -> sqlite3.Connection:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        connection = sqlite3.connect(
            self._path, check_same_thread=False, isolation_level=None, cached_statements=STATEMENTS, timeout=LOCK_TIMEOUT_S
        )
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        return connection


def _insert(connection: sqlite3.Connection, rows: Sequence[NewRow]) -> int:
    """Insert the rows. Returns the position of the last of them: the rows of one transaction are numbered without gaps."""
    last = 0
    for start in range(0, len(rows), MOST_ROWS):
        chunk = rows[start : start + MOST_ROWS]
        places = next(places for places in ROWS_PER_STATEMENT if places >= len(chunk))
        values: list[Any] = [value for row in chunk for value in row]
        values += [None] * (4 * (places - len(chunk)))
        last = connection.execute(_insertion(places), values).lastrowid or 0
    return last


@cache
def _insertion(rows: int) -> str:
    """The statement that inserts up to `rows` events; rows to spare are NULLs, which are not inserted."""
    places = ",".join(["(?,?,?,?)"] * rows)
    return f"INSERT INTO stored_events ({COLUMNS}) SELECT * FROM (VALUES {places}) WHERE column1 IS NOT NULL"  # noqa: S608 - constants
