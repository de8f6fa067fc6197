"""Reads from the log what waits for a session, a page at a time. Rule: in the reader's thread, and one page at a time for each session.

A page is what a session's window takes, and its last event is the one with which 256 KB are reached. So a session holds one page at the
most, and only until it is written; sessions that read at the same time take turns page by page.
"""

import asyncio
from collections.abc import Callable, Container, Sequence

import structlog

from domain.events.home import MessageQueued
from runtime.deferred import Deferred
from servers.store.event_store import Committed, Store

MAX_PAGE_BYTES = 262_144  # 16 of the longest texts; of ordinary ones a whole window fits
RETRY_S = 1.0  # after a page that the store could not give

log = structlog.get_logger()


class Pages:
    """What all sessions of a home read through."""

    def __init__(self, store: Store, closed: Container[int]) -> None:
        """`closed`: who has left for good; what they wrote is shown to nobody, although it was read a moment before."""
        self._store = store
        self._closed = closed
        self.read = 0  # pages

    def page(self, uid: int, positions: Sequence[int]) -> Deferred[list[Committed]]:
        """The first of these events of the user's mailbox. Raises what reading them raises."""
        page: Deferred[list[Committed]] = Deferred()

        def done(future: "asyncio.Future[list[Committed]]") -> None:
            error = future.exception()
            if error is None:
                page.set_result(future.result())
            else:
                page.set_exception(error if isinstance(error, Exception) else RuntimeError(type(error).__name__))

        self.read += 1
        self._store.run_reader(self._store.read_at, f"mailbox-{uid}", positions, MAX_PAGE_BYTES).add_done_callback(done)
        return page

    def shown(self, committed: Committed) -> bool:
        """Whether a client may see it: anything but a message whose sender is erased."""
        event = committed.event
        return not isinstance(event, MessageQueued) or bool(event.text and event.uid not in self._closed)

    def later(self, read: Callable[[], None]) -> None:
        """Read again when the store may be back."""
        asyncio.get_running_loop().call_later(RETRY_S, read)
