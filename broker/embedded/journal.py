"""The SQLite file behind the embedded broker. Rule: one worker thread runs all SQL; work that comes meanwhile is its next transaction.

The event loop gathers work into `Journal.batch` and calls `wake`; nothing waits for a timer.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from broker.embedded.journal_file import Batch, Contents, JournalFile, Row
from broker.topology import DEAD
from domain.errors import Unavailable

LINGER_S = 0.05  # how long an ack waits for others: a message may come again after a crash, and a transaction for each ack is dear
PAGE = 256  # messages read at a time: 1 KB each is a quarter of a megabyte


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
        while self._running or (self._has_work and not self._failed):
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

    @property
    def _has_work(self) -> bool:
        batch = self.batch
        return bool(batch.messages or batch.streams or batch.gone or batch.moves or batch.waiters or batch.reads or batch.queues)

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
        if self._has_work and not self._running and self._opened:
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
            file = JournalFile(self._path)
        except sqlite3.Error as failure:
            cause = Unavailable(f"the broker could not open its file ({failure})")
            self._loop.call_soon_threadsafe(opened.set_exception, cause)
            return
        self._loop.call_soon_threadsafe(opened.set_result, file.contents)
        while (batch := self._work.get()) is not None:
            error = file.commit(batch)
            pages = [file.query(read) for read in batch.reads]
            self._loop.call_soon_threadsafe(self._done, batch, error, pages)
        file.close()
