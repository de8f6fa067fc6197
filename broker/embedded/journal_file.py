"""The SQLite file of the embedded broker, as its worker thread uses it. Rule: all SQL that changes it stands here; one batch is one
transaction.

Statements insert many rows each, because sqlite3 gives the interpreter lock away once per statement, and a busy event loop may keep it for
milliseconds.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.topology import STREAMS

Row = tuple[Any, ...]  # one row of a query, with the columns of the query

_SCHEMA = """
CREATE TABLE IF NOT EXISTS queues (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, queue TEXT NOT NULL, headers TEXT, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS messages_by_queue ON messages (queue, id);
""" + "".join(f'CREATE TABLE IF NOT EXISTS "{stream.name}" (offset INTEGER PRIMARY KEY, body BLOB NOT NULL);\n' for stream in STREAMS)

MAX_READ_BYTES = 4_000_000  # read at a time: of the longest messages four
_ROWS_PER_STATEMENT = (64, 8, 1)  # few different statements, so that sqlite3 keeps them all compiled


@dataclass(slots=True)
class Read:
    """One query, which runs after the transaction of the batch. `then` gets the rows on the event loop, or None when the query failed."""

    sql: str
    arguments: Row
    then: Callable[[list[Row] | None], None]
    max_bytes: int = MAX_READ_BYTES  # of the rows' last column, and one row more: then there may be further rows


@dataclass(slots=True)
class Batch:
    """The work of one transaction. The worker numbers the messages; `arrivals` are those that are new in their queues, by number."""

    queues: list[str] = field(default_factory=list)
    messages: list[tuple[str, str | None, bytes]] = field(default_factory=list)  # queue, headers, body
    streams: dict[str, list[bytes]] = field(default_factory=dict)
    gone: list[int] = field(default_factory=list)  # ids of messages that were acked or buried
    moves: list[tuple[int, str, str | None, bytes]] = field(default_factory=list)  # id; new queue, headers, body
    waiters: list[asyncio.Future[None]] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    arrivals: list[tuple[int, str, str | None, bytes]] = field(default_factory=list)  # id, queue, headers, body


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of the file when it was opened: waiting messages by queue, and the next offset of each stream."""

    depths: dict[str, int]
    ends: dict[str, int]


class JournalFile:
    """For one thread alone. Raises `sqlite3.Error` when it cannot be opened."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self.contents = self._prepare()

    def _prepare(self) -> Contents:
        database = self._database
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # what was published survives a power cut
        database.execute("PRAGMA temp_store = MEMORY")  # a statement of many rows keeps its own journal, which need not be a file
        database.execute("PRAGMA cache_size = -500")  # KB: rows are written and read at one end of a table, so old pages are not worth it
        database.executescript(_SCHEMA)
        depths = {name: 0 for (name,) in database.execute("SELECT name FROM queues")}
        depths.update(database.execute("SELECT queue, count(*) FROM messages GROUP BY queue").fetchall())
        self._ends = {stream.name: _end(database, stream.name) for stream in STREAMS}
        self._next_id = database.execute("SELECT coalesce(max(id), 0) + 1 FROM messages").fetchone()[0]
        return Contents(depths, dict(self._ends))

    def commit(self, batch: Batch) -> sqlite3.Error | None:
        """Store the work of a batch, whose `arrivals` are numbered then. Returns why that failed; then nothing is stored."""
        database = self._database
        if not (batch.messages or batch.streams or batch.gone or batch.moves or batch.queues):
            return None
        messages = batch.messages + [(queue, headers, body) for _, queue, headers, body in batch.moves]
        batch.arrivals = [(id_, *message) for id_, message in enumerate(messages, self._next_id)]
        statements = [*_inserts("INSERT OR IGNORE INTO queues (name) VALUES", [(name,) for name in batch.queues])]
        statements += _inserts("INSERT INTO messages (id, queue, headers, body) VALUES", batch.arrivals)
        for stream, bodies in batch.streams.items():
            statements += _inserts(f'INSERT INTO "{stream}" (offset, body) VALUES', list(enumerate(bodies, self._ends[stream])))
        if gone := batch.gone + [id_ for id_, *_ in batch.moves]:
            statements.append(("DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(gone),)))
        try:
            if len(statements) > 1:  # a single statement is a transaction by itself
                statements = [("BEGIN IMMEDIATE", ()), *statements, ("COMMIT", ())]
            for statement, arguments in statements:
                database.execute(statement, arguments)
        except sqlite3.Error as error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            return error
        self._next_id += len(messages)
        for stream, bodies in batch.streams.items():
            self._ends[stream] += len(bodies)
        return None

    def query(self, read: Read) -> list[Row] | None:
        """The rows, or None when the query failed."""
        try:
            cursor, rows, size = self._database.execute(read.sql, read.arguments), [], 0
            while size <= read.max_bytes and (row := cursor.fetchone()) is not None:
                rows.append(row)
                size += len(row[-1]) if isinstance(row[-1], bytes) else 0
            cursor.close()
        except sqlite3.Error:
            return None
        return rows

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _end(database: sqlite3.Connection, stream: str) -> int:
    end: int = database.execute(f'SELECT coalesce(max(offset) + 1, 0) FROM "{stream}"').fetchone()[0]  # noqa: S608  # our own table
    return end


def _inserts(statement: str, rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    start = 0
    for size in _ROWS_PER_STATEMENT:
        while len(rows) - start >= size:
            chunk = rows[start : start + size]
            places = ",".join(["(" + ",".join("?" * len(chunk[0])) + ")"] * size)
            yield f"{statement} {places}", tuple([value for row in chunk for value in row])
            start += size
