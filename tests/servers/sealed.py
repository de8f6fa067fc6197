"""A server's store, writer and sealer, and nothing else. Rule: it can be stopped, or die where it stands, and be made again."""

import asyncio
from collections.abc import Callable

from domain.event import Event
from domain.events.integrity import LogSealed
from domain.integrity.chain import Seal
from domain.rules.sealing import seal_of
from domain.user.commands import Adopt
from servers.integrity.policy import SealPolicy
from servers.integrity.sealer import Sealer
from servers.messaging.recent_commits import RecentCommits
from servers.store.event_store import Committed, Store
from servers.writing.writer import Writer
from tests.servers.stores import HOME, NOW
from tests.support.waiting import eventually

AT_ONCE = SealPolicy(events=1_000, seconds=0.01, retry_s=0.01)
ONLY_FULL = SealPolicy(events=10, seconds=3600)


class SealedLog:
    """One server that adopts users and seals."""

    def __init__(self, url: str, policy: SealPolicy = AT_ONCE, server: str = "h1", store: type[Store] = Store) -> None:
        self.store = store(url, server, HOME)
        self.writer = Writer(self.store, lambda: NOW, [self._committed])
        self.recent = RecentCommits()
        self.sealer = Sealer(self.store, self.writer, server, policy, self.recent)
        self.batches: list[list[Committed]] = []
        self.on_commit: Callable[[list[Committed]], None] = lambda batch: None

    def _committed(self, batch: list[Committed]) -> None:
        self.batches.append(batch)
        self.recent.offer(batch)
        self.on_commit(batch)

    async def start(self) -> "SealedLog":
        self.writer.start()
        self.sealer.start()
        return self

    async def adopts(self, *uids: int) -> list[Event]:
        """One event for each, in one commit when they come together."""
        done = await asyncio.gather(
            *(self.writer.submit((Adopt(uid=uid, cause=f"c{uid}", handle=f"ann{uid}", name="Ann Lee"),)) for uid in uids)
        )
        return [event for events in done for event in events]

    async def sealed_up_to(self, position: int) -> None:
        await eventually(lambda: self.sealer.sealed >= position)

    async def stop(self) -> None:
        await self.sealer.stop()
        await self.writer.stop()
        await asyncio.to_thread(self.store.close)

    async def dies(self) -> None:
        """Nothing is finished."""
        for task in (self.sealer.task, self.writer.task):
            await task.stop()
        await asyncio.to_thread(self.store.close)

    def log(self) -> list[Committed]:
        return self.store.read(0, 1_000_000)

    def seals(self) -> list[Seal]:
        return [seal_of(c.event) for c in self.log() if isinstance(c.event, LogSealed)]
