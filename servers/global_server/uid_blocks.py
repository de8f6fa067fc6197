"""Gives uids, each once. Rule: the end of a block is in the history before a uid of it is given, so that a Global Server whose database was
set back, and which puts back what the history has, begins behind it.

Each process has a block of its own: two Global Servers on one store never give the same uid. The rest of a block is lost at a stop.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from domain.errors import Unavailable
from domain.events.global_server import UidsReserved
from domain.registry.commands import ReserveUids
from projections.directory.directory import Directory
from servers.messaging.outbox import Outbox
from servers.writing.writer import Writer

BLOCK = 100  # uids; one event for as many people
LOST = 1_000_000  # uids that are left out after a loss: more than were given since any copy of a database was made
LOOK_S = 0.02  # the history gets an event after 50 ms
LOOKS = 250  # 5 s: a person who registers waits for this


@dataclass(slots=True, eq=False)
class UidBlocks:
    """One process's."""

    writer: Writer
    outbox: Outbox
    directory: Directory
    new_id: Callable[[], str]
    _next: int = field(default=1, init=False)
    _last: int = field(default=0, init=False)
    _reserving: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def next(self) -> int:
        """A uid that was never given. Raises `Unavailable`."""
        async with self._reserving:
            if self._next > self._last:
                await self._reserve(self.directory.last_uid)
            self._next += 1
            return self._next - 1

    async def leave_out(self) -> None:
        """Nobody knows which uids were given in the part of the log that is lost. Raises `Unavailable`."""
        await self.writer.submit((self._command(self.directory.last_uid + LOST),))

    async def _reserve(self, after: int) -> None:
        events = await self.writer.submit((self._command(after),))
        block = events[0]
        assert isinstance(block, UidsReserved)
        position = self.outbox.recent.last
        for _ in range(LOOKS):
            if self.outbox.history.position >= position:
                self._next, self._last = block.first, block.last
                return
            await asyncio.sleep(LOOK_S)
        raise Unavailable("The history is away, so nobody would know which numbers were given.")

    def _command(self, after: int) -> ReserveUids:
        return ReserveUids(after=after, count=BLOCK, cause=self.new_id())
