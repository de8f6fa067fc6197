"""The end of a user's data at one server. Rule: the event comes first, then the key is destroyed, and after a crash between the two the
next start destroys it; nothing that was decrypted stays in memory.

The writer calls `Erasure.destroy` before its listeners hear of the commit.
"""

from collections.abc import Callable, Iterable

import structlog

from domain.errors import Unavailable
from projections.server.closed_accounts import ClosedAccounts
from servers.store.event_store import Store

log = structlog.get_logger()


class Erasure:
    """Destroys the keys of users who have closed their account."""

    def __init__(self, store: Store, closed: ClosedAccounts, streams_with: Callable[[int], Iterable[str]]) -> None:
        """`streams_with(uid)`: the streams whose states hold something of that user, once the commit is folded."""
        self._store = store
        self._closed = closed
        self.streams_with = streams_with
        self.forget: list[Callable[[], None]] = []  # called when somebody has left for good: caches that may hold something of them
        self.unfinished: set[int] = set()  # users whose keys could not be destroyed yet

    async def start(self) -> None:
        """Finish what the last run began. Raises `Unavailable`: a server does not start with keys that it should have destroyed."""
        done = await self._store.run(self._store.keys.destroyed, self._closed.uids)
        for uid in sorted(self._closed.uids - done):
            await self._store.run(self._store.keys.destroy, uid)

    async def destroy(self, uids: Iterable[int]) -> None:
        """Destroy the keys of these users and of the unfinished ones. A key that cannot be destroyed now stays unfinished."""
        self.unfinished.update(uids)
        for uid in sorted(self.unfinished):
            try:
                await self._store.run(self._store.keys.destroy, uid)
                self.unfinished.discard(uid)
            except Unavailable as error:
                log.error("erasure.key_not_destroyed", uid=uid, detail=error.detail)
