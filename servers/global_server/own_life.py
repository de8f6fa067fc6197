"""What the Global Server's own log has lost. Rule: while it waits it serves nobody, so its ops leave their word among its records."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from domain.registry.commands import AcceptLoss
from domain.registry.registered_home import GLOBAL
from servers.lives.knowledge import Known, Loss
from servers.trust.records import LOSS, WISH, Records
from servers.trust.wishes import read_wish
from servers.writing.writer import Writer


@dataclass(slots=True, eq=False)
class OwnLife:
    """One Global Server's. `known`: how far its homes know its log to have come."""

    records: Records
    writer: Writer
    new_id: Callable[[], str]
    _accepted: Loss | None = field(default=None, init=False)

    async def known(self) -> Known | None:
        """Nobody is asked before the start: homes tell it when they announce themselves."""
        return None

    async def accepted(self, loss: Loss) -> bool:
        """Whether the ops have accepted that this is lost."""
        await asyncio.to_thread(self.records.put, LOSS + GLOBAL, str(loss).encode())
        for name, stored in (await asyncio.to_thread(self.records.everything, WISH)).items():
            wish = read_wish(stored)
            if wish is not None and (wish.kind, wish.home) == ("accept", GLOBAL):
                await asyncio.to_thread(self.records.change, name, stored, None)
                await asyncio.to_thread(self.records.remove, LOSS + GLOBAL)
                self._accepted = loss
                return True
        return False

    async def note_accepted(self) -> None:
        """What was accepted is an event, as soon as there is a log again to write it to. Raises `Unavailable`."""
        if (loss := self._accepted) is not None:
            command = AcceptLoss(name=GLOBAL, life=loss.life, end=loss.end, known=loss.known.position, loss=str(loss), cause=self.new_id())
            await self.writer.submit((command,))
            self._accepted = None
