"""How far a server has come in the mail of others, as its store says. Rule: nothing is told apart before the store has answered, however
long it is away.
"""

import asyncio
from collections.abc import Callable

import structlog

from domain.errors import Unavailable
from servers.messaging.dedup import Dedup
from servers.store.event_store import Store

log = structlog.get_logger()


class Progress:
    """Fills a `Dedup` from the store. `tried` is called after each attempt in vain."""

    def __init__(self, store: Store, dedup: Dedup, retry_s: float, tried: Callable[[], None]) -> None:
        self._store = store
        self._dedup = dedup
        self._retry_s = retry_s
        self._tried = tried

    async def of(self, source: str) -> int:
        """The position up to which the mail of a source is committed."""
        if not self._dedup.knows(source):
            await self.ask(source)
        return self._dedup.position(source)

    async def ask(self, source: str) -> None:
        """Learn how far a source has come, as soon as the store can say so."""
        while True:
            try:
                position, notes = await self._store.run(lambda: (self._store.tracked(source), self._store.notes(source)))
            except Unavailable as error:
                log.warning("inbox.store_away", detail=error.detail)
                self._tried()
                await asyncio.sleep(self._retry_s)
            else:
                if not self._dedup.knows(source):  # somebody else asked as well, and mail was committed since
                    self._dedup.learn(source, position, notes)
                return
