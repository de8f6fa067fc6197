"""The end of a user's data at one server. Rule: the event comes first, then the key goes, and whoever dies between them does it at the
next start; nothing that was decrypted stays in memory.

The writer tells `Erasure` of every commit before anyone else hears of it.
"""

from collections.abc import Sequence

import structlog

from domain.errors import Unavailable
from projections.server.closed_accounts import ClosedAccounts
from servers.store.event_store import Committed, Store

log = structlog.get_logger()


class Erasure:
    """Destroys the keys of those who left."""

    def __init__(self, store: Store, closed: ClosedAccounts) -> None:
        self._store = store
        self._closed = closed
        self._due: set[int] = set()

    async def start(self) -> None:
        """Finish what the last run began. Raises `Unavailable`: a server does not start with what it should have destroyed."""
        done = await self._store.run(self._store.keys.destroyed, self._closed.uids)
        for uid in sorted(self._closed.uids - done):
            await self._store.run(self._store.keys.destroy, uid)

    async def committed(self, batch: Sequence[Committed]) -> bool:
        """Destroy the keys of those who left with this commit, and say whether there were any: then no state that is remembered is to be
        kept. What cannot be destroyed now is tried again with the next commit."""
        self._due |= {event.stream_uid for _, event, _ in batch if event.ERASES}
        if not self._due:
            return False
        for uid in sorted(self._due):
            try:
                await self._store.run(self._store.keys.destroy, uid)
                self._due.discard(uid)
            except Unavailable as error:
                log.error("erasure.key_not_destroyed", uid=uid, detail=error.detail)
        return True
