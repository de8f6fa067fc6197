"""Homes that were set back and wait for the ops. Rule: who accepts a loss works on the Global Server's machine, and each is an event."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from domain.errors import Rejected
from domain.integrity.state import SealedState
from domain.registry.commands import AcceptLoss
from domain.registry.state import HomeState
from servers.messaging.questions import AskLife, ToldLife
from servers.store.event_store import Store
from servers.trust.records import LOSS, Records
from servers.writing.writer import Writer

MAX_WAITING = 1_000  # this bounds what is remembered, and there are fewer homes

log = structlog.get_logger()


class NothingToAccept(Rejected):
    """This server does not wait for anybody to accept a loss."""


@dataclass(slots=True, eq=False)
class Losses:
    """What homes have lost, by name, until the ops accept it."""

    store: Store
    records: Records
    writer: Writer
    new_id: Callable[[], str]
    waiting: dict[str, AskLife] = field(default_factory=dict, init=False)

    async def told(self, asked: AskLife) -> ToldLife:
        """The answer to a home that starts, or waits. Raises `Unavailable`."""
        accepted = False
        if not asked.loss:  # it starts, so what it may have waited for is over
            await self._forget(asked.name)
        else:
            accepted = await self._accepted(asked)
            if accepted:
                await self._forget(asked.name)
            elif self.waiting.get(asked.name) != asked and (asked.name in self.waiting or len(self.waiting) < MAX_WAITING):
                self.waiting[asked.name] = asked
                await asyncio.to_thread(self.records.put, LOSS + asked.name, asked.loss.encode())
                log.error("global.home_set_back", home=asked.name, end=asked.end, known=asked.known, why=asked.loss)
        return ToldLife(await self.sealed(asked.name), accepted)

    async def sealed(self, name: str) -> int:
        """Up to which position the seals of a home are kept here. Raises `Unavailable`."""
        state = await self.store.run(self.store.load, f"witness-{name}")
        assert isinstance(state, SealedState)
        return state.last

    async def accept(self, name: str) -> None:
        """The ops accept what `name` has lost. Raises `NothingToAccept`."""
        asked = self.waiting.get(name)
        if asked is None:
            raise NothingToAccept
        command = AcceptLoss(name=name, life=asked.life, end=asked.end, known=asked.known, loss=asked.loss, cause=self.new_id())
        await self.writer.submit((command,))
        await asyncio.to_thread(self.records.remove, LOSS + name)
        log.warning("global.loss_accepted", home=name, end=asked.end, known=asked.known, loss=asked.loss)

    async def _forget(self, name: str) -> None:
        if self.waiting.pop(name, None) is not None:
            await asyncio.to_thread(self.records.remove, LOSS + name)

    async def _accepted(self, asked: AskLife) -> bool:
        state = await self.store.run(self.store.load, f"home-{asked.name}")
        assert isinstance(state, HomeState)
        return state.accepted == [asked.life, asked.end, asked.known]
