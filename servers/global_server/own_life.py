"""What the Global Server's own log has lost. Rule: while it waits it serves nobody, so its ops leave their word among its records."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from domain.registry.commands import AcceptLoss
from domain.registry.registered_home import GLOBAL
from servers.global_server.uid_blocks import UidBlocks
from servers.lives.knowledge import Known, Loss
from servers.lives.standing import own_standing, signed_standing
from servers.store.event_store import Store
from servers.trust.records import LOSS, STANDING, WISH
from servers.trust.trust import Trust
from servers.trust.wishes import read_wish
from servers.writing.writer import Writer


@dataclass(slots=True, eq=False)
class OwnLife:
    """One Global Server's. `known`: how far its homes know its log to have come."""

    trust: Trust
    writer: Writer
    store: Store
    new_id: Callable[[], str]
    end: Callable[[], int]  # the position of the newest commit
    uids: UidBlocks
    _accepted: Loss | None = field(default=None, init=False)

    async def known(self) -> Known | None:
        """How far this log had come by its own word, which a home showed before this start."""
        shown = await asyncio.to_thread(self.trust.records.read, STANDING)
        standing = own_standing(self.trust.identity, shown) if shown else None
        return None if standing is None else Known("a home", standing.position)

    def standing(self) -> bytes:
        """What homes are asked to keep."""
        return signed_standing(self.trust.identity, self.store.life, self.end())

    async def shown(self, raw: bytes) -> int:
        """A home shows what it kept: how far this log had come by its own word. It is remembered when it is beyond the log's end."""
        standing = own_standing(self.trust.identity, raw) if raw else None
        if standing is None:
            return 0
        if standing.position > self.end():
            await asyncio.to_thread(self.trust.records.put, STANDING, raw)
        return standing.position

    async def accepted(self, loss: Loss) -> bool:
        """Whether the ops have accepted that this is lost."""
        await asyncio.to_thread(self.trust.records.put, LOSS + GLOBAL, str(loss).encode())
        for name, stored in (await asyncio.to_thread(self.trust.records.everything, WISH)).items():
            wish = read_wish(stored)
            if wish is not None and (wish.kind, wish.home) == ("accept", GLOBAL):
                await asyncio.to_thread(self.trust.records.change, name, stored, None)
                await asyncio.to_thread(self.trust.records.remove, LOSS + GLOBAL)
                self._accepted = loss
                return True
        return False

    async def note_accepted(self) -> None:
        """What was accepted is an event, as soon as there is a log again to write it to. Raises `Unavailable`."""
        if (loss := self._accepted) is not None:
            command = AcceptLoss(name=GLOBAL, life=loss.life, end=loss.end, known=loss.known.position, loss=str(loss), cause=self.new_id())
            await self.writer.submit((command,))
            await self.uids.leave_out()
            self._accepted = None
