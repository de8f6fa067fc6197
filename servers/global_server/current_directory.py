"""Keeps the directory at the end of the log. Rule: several Global Servers may write one log, so a miss in the directory proves nothing
until the log was read to its end."""

import asyncio
from collections.abc import Callable

import structlog

from domain.errors import Unavailable
from domain.events.integrity import SealReceived
from projections.by_server import GlobalProjections
from projections.directory.directory import Listed
from runtime.background_task import BackgroundTasks
from servers.security.tokens import KeyVerifier
from servers.store.event_store import Committed, Store
from servers.writing.projector import Projector

log = structlog.get_logger()


class CurrentDirectory:
    """The directory, and the accounts that are closed, as of now."""

    def __init__(self, projections: GlobalProjections, projector: Projector, store: Store, verifier: KeyVerifier) -> None:
        self._directory = projections.directory
        self._closed = projections.closed
        self._throttles = projections.throttles
        self._projector = projector
        self._store = store
        self._verifier = verifier
        self._catching_up = asyncio.Lock()
        self._tasks = BackgroundTasks("directory-catch-up")

    async def catch_up(self) -> None:
        """Fold what other Global Servers have written meanwhile. Raises `Unavailable`."""
        async with self._catching_up:
            if await self._store.run_reader(self._store.last_position) > self._directory.position:
                await self._projector.catch_up()
                self._verifier.forget_refused()  # one of the new events may have closed an account

    async def find(self, look: Callable[[], Listed | None]) -> Listed | None:
        """What `look` finds in the directory; when it finds nothing, once more after catching up. Raises `Unavailable`."""
        found = look()
        if found is None:
            await self.catch_up()
            found = look()
        return found

    async def stop(self) -> None:
        """Return when no catching up is under way."""
        await self._tasks.wait()

    def committed(self, batch: list[Committed]) -> None:
        """Fold a fresh commit of this process."""
        if batch[0].position == self._directory.position + 1:
            for committed in batch:
                self._directory.apply(committed.position, committed.event)
                self._closed.apply(committed.position, committed.event)
                self._throttles.apply(committed.position, committed.event)
        else:  # another Global Server's events lie between, or positions the database left out: only the log knows
            self._tasks.start(self._catch_up_soon())
        if any(committed.event.ERASES for committed in batch):
            self._verifier.forget_refused()

    async def _catch_up_soon(self) -> None:
        try:
            await self.catch_up()
        except Unavailable as error:
            log.warning("global.catch_up_failed", error=type(error).__name__)  # the next commit or miss tries again


def report_broken_chains(batch: list[Committed]) -> None:
    """Log every home's seal that does not continue the one before it: somebody has rewritten that home's log."""
    for committed in batch:
        if isinstance(committed.event, SealReceived) and not committed.event.follows:
            log.error("global.seal_does_not_follow", home=committed.event.server, number=committed.event.number)
