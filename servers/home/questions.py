"""A home's answers to questions of other servers. Rule: an answer changes nothing, and tells each server only what it must know; a question
that is not understood gets no answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import msgpack

from domain.registry.registered_home import GLOBAL
from projections.server.contacters import ContacterIndex
from projections.server.presence import NEVER, PresenceIndex
from runtime.scheduler import Jobs, Steps
from servers.fairness.load import Load
from servers.fairness.throttling import Throttling
from servers.home.health import Health
from servers.messaging.cards import Cards
from servers.messaging.mail_check import MailCheck
from servers.messaging.questions import (
    AskCard,
    AskHealth,
    AskLoad,
    AskPresence,
    AskTicket,
    HomeHealth,
    HomeQuestion,
    MailQuestion,
    Noted,
    TicketRoute,
    ToldCard,
    ToldCommitted,
    ToldEnd,
    ToldLoad,
    ToldPresence,
    UserPresence,
)
from servers.sessions.tickets import Tickets
from servers.trust.server_identity import NotBelieved

CONTACTERS_A_STEP = 5_000  # some 0.3 ms


@dataclass(slots=True, eq=False)
class Questions:
    """Answers for one home."""

    health: Health
    tickets: Tickets
    presence: PresenceIndex
    contacters: ContacterIndex
    cards: Cards
    mail_check: MailCheck
    life: Callable[[], int]
    scheduler: Jobs
    load: Load
    throttling: Throttling

    async def openly(self, body: bytes) -> bytes:
        """The answer to a question in the clear: a card proves itself. Raises `msgspec.MsgspecError` for any other question."""
        return msgpack.encode(self.cards.shown(msgpack.decode(body, type=AskCard)))

    async def answer(self, source: str, body: bytes) -> bytes:
        """The answer to one question of `source`. Raises `msgspec.MsgspecError` for a question of another shape, `NotBelieved` for one that
        this server may not ask."""
        question = msgpack.decode(body, type=HomeQuestion)
        answer: HomeHealth | ToldLoad | TicketRoute | ToldPresence | ToldCard | ToldCommitted | ToldEnd | Noted
        if isinstance(question, AskHealth | AskLoad):
            if source != GLOBAL:
                raise NotBelieved(f"{source} asked for figures that only the Global Server sees")
            answer = await self.health.report() if isinstance(question, AskHealth) else self._load()
        elif isinstance(question, AskCard):
            answer = self.cards.shown(question)
        elif isinstance(question, AskTicket):
            answer = self.tickets.answer(question, source)
        elif isinstance(question, MailQuestion):
            answer = await self.mail_check.answer(source, question)
        else:
            answer = await self.scheduler.run(source, "presence", self._presence(source, question))
        return msgpack.encode(answer)

    def _load(self) -> ToldLoad:
        return ToldLoad(self.load.heaviest(), self.load.cpu_s, self.throttling.waiting)

    def _presence(self, source: str, question: AskPresence) -> Steps[ToldPresence]:
        """Each user once, however often the question names them."""
        told: list[UserPresence] = []
        looked_at = 0
        for uid in dict.fromkeys(question.uids):
            looked_at += 1 + len(self.contacters.contacters.get(uid, ()))  # to find a watcher, all of them may be looked at
            if looked_at > CONTACTERS_A_STEP:
                looked_at = 0
                yield None
            if self.contacters.is_watched_from(uid, source):
                told.append(UserPresence(uid, *self.presence.users.get(uid, NEVER)))
        return ToldPresence(told, self.life())
