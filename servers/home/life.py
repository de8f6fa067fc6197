"""What a home asks the Global Server about its own log. Rule: it is asked and answered in boxes, so a home that lost its keys is enrolled
first; without an answer the home knows no more than before, and waits no longer."""

import asyncio
from dataclasses import dataclass, field

import structlog
from msgspec import MsgspecError

from broker.port import Broker
from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL
from servers.home.enrolling import Enrolling
from servers.lives.knowledge import Known, Loss
from servers.messaging.questions import AskCard, AskLife, Requests, ToldCard, ToldLife, ask, home_key
from servers.trust.server_identity import NotBelieved

ASK_TIMEOUT_S = 2.0  # a home that starts waits for this
TWIN_TIMEOUT_S = 1.0  # the same, at every start that needs no lease

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class LifeAtGlobal:
    """Asks for one home."""

    requests: Requests
    broker: Broker
    enrolling: Enrolling
    name: str
    _said: str = field(default="", init=False)

    async def known(self) -> Known | None:
        """How far the Global Server knows this home's log to have come; None when it does not answer."""
        told = await self._ask(AskLife(self.name, 0, 0))
        return None if told is None else Known("the Global Server", told.sealed)

    async def accepted(self, loss: Loss) -> bool:
        """Whether the ops have accepted this loss; from now on they can see it."""
        told = await self._ask(AskLife(self.name, loss.life, loss.end, loss.known.position, str(loss)))
        return told is not None and told.accepted

    async def another(self) -> bool:
        """Whether another process answers as this home: the same log, or a copy of it, would be at work twice."""
        try:
            await ask(self.broker, home_key(self.name), AskCard(self.name), ToldCard, TWIN_TIMEOUT_S)
        except Unavailable:
            return False
        except MsgspecError:  # whatever it says, it is there
            return True
        return True

    async def _ask(self, question: AskLife) -> ToldLife | None:
        try:
            if self.enrolling.needed:  # its keys are new, or were lost with its log
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    await self.enrolling.enrol()
            return await ask(self.requests, GLOBAL, question, ToldLife, ASK_TIMEOUT_S)
        except (Unavailable, MsgspecError, NotBelieved, TimeoutError) as error:  # it is away, or does not know this home
            why = str(error) or type(error).__name__
            if why != self._said:
                self._said = why
                log.warning("life.not_asked", server=self.name, why=why)
            return None
