"""The SQLite file behind the embedded broker. Rule: one worker thread runs all SQL; work that comes meanwhile is its next transaction.

The event loop gathers work into `Journal.batch` and calls `wake`; nothing waits for a timer. Statements insert many rows each, because
sqlite3 gives the interpreter lock away once per statement, and a busy event loop may keep it for milliseconds.
"""

import asyncio
import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.topology import DEAD, STREAMS
from domain.errors import Unavailable

Row = tuple[Any, ...]  # one row of a query, with the columns of the query

_SCHEMA = """
CREATE TABLE IF NOT EXISTS queues (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, queue TEXT NOT NULL, headers TEXT, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS messages_by_queue ON messages (queue, id);
""" + "".join(f'CREATE TABLE IF NOT EXISTS "{stream.name}" (offset INTEGER PRIMARY KEY, body BLOB NOT NULL);\n' for stream in STREAMS)

_ROWS_PER_STATEMENT = (64, 8, 1)  # few different statements, so that sqlite3 keeps them all compiled
LINGER_S = 0.05  # how long an ack waits for others: a message may come again after a crash, and a transaction for each ack is dear
PAGE = 256  # messages read at a time: 1 KB each is a quarter of a megabyte


@dataclass(slots=True)
class Read:
    """One query, which runs after the transaction of the batch. `then` gets the rows on the event loop, or None when the query failed."""

    sql: str
    arguments: Row
    then: Callable[[list[Row] | None], None]


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

    def __bool__(self) -> bool:
        return bool(self.messages or self.streams or self.gone or self.moves or self.waiters or self.reads or self.queues)


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of the file when it was opened: waiting messages by queue, and the next offset of each stream."""

    depths: dict[str, int]
    ends: dict[str, int]


class Journal:
    """Owns the file and its thread. All methods belong to the event loop that called `open`."""

    def __init__(self, path: str | Path, committed: Callable[[Batch], None]) -> None:
        """`committed` is called on the event loop with each batch that is on disk, before its waiters wake."""
        self.batch = Batch()
        self._path = str(path)
        self._committed = committed
        self._work: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._opened = False
        self._running = False  # the worker has a batch
        self._scheduled = False
        self._idle: asyncio.Future[None] | None = None
        self._failed = False  # the last transaction failed
        self._timer: asyncio.TimerHandle | None = None
        self.loop: asyncio.AbstractEventLoop | None = None  # set while open
        self._next_id = 1  # used by the worker thread alone, as are
        self._ends: dict[str, int] = {}  # the next offset of each stream

    async def open(self) -> Contents:
        """Open or create the file. Raises `Unavailable` when it cannot be opened."""
        self._loop = asyncio.get_running_loop()
        self._work = queue.SimpleQueue()
        opened: asyncio.Future[Contents] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="embedded-broker", daemon=True)
        self._thread.start()
        contents = await opened
        self._opened = True
        self.loop = self._loop
        self.wake()
        return contents

    async def close(self) -> None:
        """Commit what was gathered, then close the file. When the disk fails now, handled messages come again."""
        if not self._opened:
            return
        self._failed = False
        while self._running or (self.batch and not self._failed):
            self._idle = self._loop.create_future()
            self.wake()
            await self._idle
        self._opened = False
        self.loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._work.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def wake(self) -> None:
        """Hand the gathered batch to the worker at the end of this turn of the loop, or when the worker is free."""
        if self._opened and not self._running and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._hand_over)

    def wake_later(self, delay_s: float) -> None:
        """`wake` in `delay_s` at the latest. Work that cannot wait takes this work along."""
        if self._timer is None and self._opened:
            self._timer = self._loop.call_later(delay_s, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        self.wake()

    def _hand_over(self) -> None:
        self._scheduled = False
        if self.batch and not self._running and self._opened:
            self._running = True
            batch, self.batch = self.batch, Batch()
            self._work.put(batch)

    def _done(self, batch: Batch, error: sqlite3.Error | None, pages: list[list[Row] | None]) -> None:
        self._running = False
        if error is None:
            self._committed(batch)
        else:  # handled messages stay handled, and a message that left its queue as a dead letter must arrive in `flash.dead`
            self.batch.gone.extend(batch.gone)
            self.batch.messages[:0] = [message for message in batch.messages if message[0] == DEAD]
        self._failed = error is not None
        for waiter in batch.waiters:
            if not waiter.done():
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(Unavailable("the broker could not write to its disk"))
        for read, rows in zip(batch.reads, pages, strict=True):
            read.then(rows)
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        if self.batch.waiters or self.batch.reads:
            self._hand_over()
        elif self.batch.gone or self.batch.messages:  # acks, and dead letters that could not be written
            self.wake_later(LINGER_S)

    # -- in the worker thread

    def _run(self, opened: "asyncio.Future[Contents]") -> None:
        try:
            database = sqlite3.connect(self._path, isolation_level=None)
            contents = self._open(database)
        except sqlite3.Error as failure:
            cause = Unavailable(f"the broker could not open its file ({failure})")
            self._loop.call_soon_threadsafe(opened.set_exception, cause)
            return
        self._loop.call_soon_threadsafe(opened.set_result, contents)
        while (batch := self._work.get()) is not None:
            error = self._commit(database, batch)
            pages = [_query(database, read) for read in batch.reads]
            self._loop.call_soon_threadsafe(self._done, batch, error, pages)
        database.close()

    def _open(self, database: sqlite3.Connection) -> Contents:
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

    def _commit(self, database: sqlite3.Connection, batch: Batch) -> sqlite3.Error | None:
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


def _query(database: sqlite3.Connection, read: Read) -> list[Row] | None:
    try:
        return database.execute(read.sql, read.arguments).fetchall()
    except sqlite3.Error:
        return None
