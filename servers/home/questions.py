"""A home's answers to questions of other servers. Rule: an answer changes nothing; a question that is not understood gets no answer."""

from msgspec import msgpack

from projections.server.presence import NEVER, PresenceIndex
from servers.home.health import Health
from servers.messaging.questions import AskHealth, AskTicket, HomeHealth, HomeQuestion, TicketRoute, ToldPresence, UserPresence
from servers.sessions.tickets import Tickets


class Questions:
    """Answers for one home."""

    def __init__(self, health: Health, tickets: Tickets, presence: PresenceIndex) -> None:
        self._health = health
        self._tickets = tickets
        self._presence = presence

    async def answer(self, body: bytes) -> bytes:
        """The answer to one question, both as they travel. Raises `msgspec.MsgspecError` for a question of another shape."""
        question = msgpack.decode(body, type=HomeQuestion)
        answer: HomeHealth | TicketRoute | ToldPresence
        if isinstance(question, AskHealth):
            answer = await self._health.report()
        elif isinstance(question, AskTicket):
            answer = self._tickets.answer(question)
        else:
            users = self._presence.users
            answer = ToldPresence([UserPresence(uid, *users.get(uid, NEVER)) for uid in question.uids])
        return msgpack.encode(answer)
