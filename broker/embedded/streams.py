"""Reads the streams of the embedded broker. Rule: a reader waits for what comes next, and never holds more than a page."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

from broker.embedded.journal import PAGE
from broker.embedded.journal_file import Row
from broker.envelope import newest_time
from broker.port import MAX_PER_TURN, StreamItem
from broker.topology import STREAM_NAMES, check_stream
from domain.errors import Unavailable


class Streams:
    """`ends`: the next offset of each stream. `opened`: set once the file is open, or could not be opened; `connected`: whether it is open
    now; `rows` runs a query, and raises `Unavailable`."""

    def __init__(self, opened: asyncio.Event, connected: Callable[[], bool], rows: Callable[[str, Row], Awaitable[list[Row]]]) -> None:
        self.ends = dict.fromkeys(STREAM_NAMES, 0)
        self._opened = opened
        self._connected = connected
        self._rows = rows
        self._grown = asyncio.Event()  # set, and replaced by a new one, whenever a stream has grown

    def wake(self) -> None:
        """A stream has grown, or the broker was closed."""
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def read(self, stream: str, start: int | str | datetime, follow: bool) -> AsyncIterator[StreamItem]:
        """As the port's `read_stream`."""
        check_stream(stream, start)
        end = self.ends[stream] if self._connected() else -1
        if isinstance(start, str):
            start = {"first": 0, "next": end}[start]
        return self._read(stream, start, None if follow else end)

    async def _read(self, stream: str, start: int | datetime, end: int | None) -> AsyncIterator[StreamItem]:
        await self._opened.wait()
        offset = start if isinstance(start, int) else await self._offset_at(stream, start.timestamp())
        offset = self.ends[stream] if offset == -1 else offset  # `read_stream` was called before the file was open
        end = self.ends[stream] if end == -1 else end
        while end is None or offset < end:
            grown = self._grown
            if not self._connected():
                raise Unavailable("the broker is closed")
            if offset >= self.ends[stream]:
                await grown.wait()
                continue
            for at, body in await self._page(stream, offset, end):
                yield StreamItem(at, body)
                offset = at + 1
                if offset % MAX_PER_TURN == 0:
                    await asyncio.sleep(0)

    async def _offset_at(self, stream: str, moment: float) -> int:
        """An offset before which every message tells of an earlier time than `moment`."""
        first, end = 0, self.ends[stream]
        while first < end:
            middle = (first + end) // 2
            page = await self._page(stream, middle, middle + 1)
            if page and newest_time(page[0][1]) < moment:
                first = middle + 1
            else:
                end = middle
        return first

    async def _page(self, stream: str, offset: int, end: int | None) -> list[Row]:
        sql = f'SELECT offset, body FROM "{stream}" WHERE offset >= ? AND offset < ? ORDER BY offset LIMIT ?'  # noqa: S608  # our own table
        return await self._rows(sql, (offset, self.ends[stream] if end is None else end, PAGE))

    async def first_of(self, stream: str) -> StreamItem | None:
        """As the port's `first_of`."""
        check_stream(stream, "first")
        rows = await self._rows(f'SELECT offset, body FROM "{stream}" ORDER BY offset LIMIT 1', ())  # noqa: S608  # our own table
        return StreamItem(*rows[0]) if rows else None

    async def last_of(self, stream: str) -> StreamItem | None:
        """As the port's `last_of`."""
        check_stream(stream, "first")
        rows = await self._rows(f'SELECT offset, body FROM "{stream}" ORDER BY offset DESC LIMIT 1', ())  # noqa: S608  # our own table
        return StreamItem(*rows[0]) if rows else None
