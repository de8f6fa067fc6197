"""A home's answers to questions of other servers. Rule: an answer changes nothing; a question that is not understood gets no answer."""

from dataclasses import dataclass

from msgspec import msgpack

from projections.server.presence import NEVER, PresenceIndex
from servers.home.health import Health
from servers.messaging.cards import Cards
from servers.messaging.mail_check import MailCheck
from servers.messaging.questions import (
    AskCard,
    AskHealth,
    AskTicket,
    HomeHealth,
    HomeQuestion,
    MailQuestion,
    Noted,
    TicketRoute,
    ToldCard,
    ToldCommitted,
    ToldPresence,
    UserPresence,
)
from servers.sessions.tickets import Tickets


@dataclass(slots=True, eq=False)
class Questions:
    """Answers for one home."""

    health: Health
    tickets: Tickets
    presence: PresenceIndex
    cards: Cards
    mail_check: MailCheck

    async def answer(self, body: bytes) -> bytes:
        """The answer to one question, both as they travel. Raises `msgspec.MsgspecError` for a question of another shape."""
        question = msgpack.decode(body, type=HomeQuestion)
        answer: HomeHealth | TicketRoute | ToldPresence | ToldCard | ToldCommitted | Noted
        if isinstance(question, AskHealth):
            answer = await self.health.report()
        elif isinstance(question, AskCard):
            answer = self.cards.shown(question)
        elif isinstance(question, AskTicket):
            answer = self.tickets.answer(question)
        elif isinstance(question, MailQuestion):
            answer = await self.mail_check.answer(question)
        else:
            users = self.presence.users
            answer = ToldPresence([UserPresence(uid, *users.get(uid, NEVER)) for uid in question.uids])
        return msgpack.encode(answer)
