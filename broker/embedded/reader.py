"""Reads the streams in the file of an embedded broker while another process owns it, or none does. Rule: the file is never written.

Commits of another process are noticed by looking again, because nothing announces them.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

from broker.embedded.journal_file import Row
from broker.port import StreamItem
from broker.topology import check_stream
from domain.errors import Unavailable

PAGE = 64  # messages read at a time: at most 64 MB of history
LOOK_S = 0.1  # how late a message may be noticed; a look at an indexed file costs 50 µs


class EmbeddedReader:
    """The `read_stream` of `broker.port.Broker`, over the SQLite file at `path`. Each call has its own connection to the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read_stream(self, stream: str, start: int | str | datetime = "first", *, follow: bool = True) -> AsyncIterator[StreamItem]:
        """The messages of a stream from `start`. Raises `ValueError` for an unknown stream; `Unavailable` when the file cannot be
        read."""
        check_stream(stream, start)
        database = await asyncio.to_thread(self._open)
        try:
            end = await asyncio.to_thread(self._end, database, stream)
            offset = {"first": 0, "next": end}[start] if isinstance(start, str) else start if isinstance(start, int) else 0
            while follow or offset < end:
                rows = await asyncio.to_thread(self._page, database, stream, offset)
                for at, body in rows:
                    if not follow and at >= end:
                        return
                    yield StreamItem(at, body)
                    offset = at + 1
                if not rows:
                    await asyncio.sleep(LOOK_S)
        finally:
            database.close()

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise Unavailable(f"there is no {self._path}: no embedded broker has run there")
        try:
            return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise Unavailable(f"{self._path} cannot be opened: {error}") from error

    def _end(self, database: sqlite3.Connection, stream: str) -> int:
        sql = f'SELECT coalesce(max(offset) + 1, 0) FROM "{stream}"'  # noqa: S608  # our own table
        end: int = self._query(database, sql, ())[0][0]
        return end

    def _page(self, database: sqlite3.Connection, stream: str, offset: int) -> list[Row]:
        sql = f'SELECT offset, body FROM "{stream}" WHERE offset >= ? ORDER BY offset LIMIT ?'  # noqa: S608  # our own table
        return self._query(database, sql, (offset, PAGE))

    def _query(self, database: sqlite3.Connection, sql: str, values: Row) -> list[Row]:
        try:
            return database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"{self._path} cannot be read: {error}") from error
