"""Tickets: a sender and a recipient in the same network may talk directly. Rule: a stamp is made only for a message committed just now.

The recipient's home derives a ticket's key from the key of the recipient's direct route, so the recipient's client can derive it too. The
sender's home keeps the key and makes stamps with it. The sender's client gets a second key that is derived from it: with that key the two
clients prove to each other who they are. A ticket lives for a minute, and never longer than the process.
"""

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256

import msgspec
import structlog

from domain.errors import NoRoute, Unavailable
from domain.user.commands import Send
from projections.server.contacters import ContacterIndex
from runtime.bounds import Bound, Holding
from runtime.times import rfc3339
from servers.messaging.questions import AskTicket, Requests, TicketRoute, ask, home_key
from servers.sessions import views
from servers.sessions.sessions import Sessions

TICKET_S = 60.0  # asking again costs one request a minute, and the sender's home checks each send in any case
ASK_S = 2.0  # a direct way that takes longer to find is no shortcut
NO_ROUTE = TicketRoute()
TICKETS = Bound(
    name="tickets",
    holds="tickets for direct lines, each for a minute",
    filled_by="users",
    past="the oldest is forgotten, and its holder's popups come by the home",
    within=("Tickets.held",),
    entries=10_000,
    each=330,
    cache=True,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ticket:
    """One user may send directly to another until `expires`, seconds since 1970."""

    sender: int
    to: int
    expires: float
    key: bytes = field(repr=False)


def ticket_key(route_key: bytes, sender: int, to: int, expires_at: str) -> bytes:
    """The key of a ticket. Only the recipient's client and the two homes can know it."""
    return hmac.digest(route_key, f"ticket|{sender}|{to}|{expires_at}".encode(), "sha256")


def door_key(key: bytes) -> bytes:
    """The key that sender's and recipient's clients prove to know before they talk. No stamp can be made with it."""
    return hmac.digest(key, b"door", "sha256")


@dataclass(slots=True, eq=False)
class Tickets:
    """The tickets that one home's users hold, `most` of them at the most, and its answers to homes whose users ask for one."""

    home: str
    sessions: Sessions
    contacters: ContacterIndex
    requests: Requests
    clock: Callable[[], float]
    new_id: Callable[[], str]
    most: int
    forgotten: int = field(default=0, init=False)  # tickets that made room for others
    held: dict[str, Ticket] = field(default_factory=dict, init=False)  # in the order in which they expire

    async def issue(self, sender: int, to: int, address: str) -> views.Ticket:
        """Where `sender`, who is seen at `address`, can reach `to`, and a ticket for it. Raises `NoRoute`."""
        if sender not in self.contacters.watchers.get(to, {}):
            raise NoRoute
        home = self.contacters.home_of[to]
        question = AskTicket(sender, to, address)
        try:
            there = home != self.home
            route = await ask(self.requests, home_key(home), question, TicketRoute, ASK_S) if there else self.answer(question, home)
        except Unavailable:
            raise NoRoute from None
        except msgspec.MsgspecError as error:
            log.error("home.ticket_answer_unreadable", home=home, error=type(error).__name__)
            raise NoRoute from None
        if not route.address:
            raise NoRoute
        ticket = Ticket(sender, to, route.expires, route.key)
        id = self.new_id()
        self.held[id] = ticket
        self._forget_old()
        return views.Ticket(route.address, route.port, id, door_key(ticket.key).hex(), rfc3339(ticket.expires))

    def answer(self, question: AskTicket, source: str) -> TicketRoute:
        """The route to a user of this home and the ticket's key, for a sender who lives at `source`; empty when there is no route."""
        sender, to = question.sender, question.to
        if self.contacters.contacters.get(to, {}).get(sender) != source:
            return NO_ROUTE
        for session in self.sessions.of(to):
            route = session.route
            address = None if route is None else route.from_where(question.address)
            if route is not None and address is not None:
                expires = float(int(self.clock() + TICKET_S))
                key = ticket_key(route.key, sender, to, rfc3339(expires))
                return TicketRoute(address, route.port, key, expires)
        return NO_ROUTE

    def stamp(self, id: str, send: Send, accepted_at: str) -> str | None:
        """A stamp, which proves to the recipient's client that this home has committed this message; None when the ticket does not fit."""
        ticket = self.held.get(id)
        if ticket is None or (ticket.sender, ticket.to) != (send.uid, send.to) or ticket.expires <= self.clock():
            return None
        urgent = "urgent" if send.urgent else ""
        said = (send.id, send.handle, send.name, send.text, send.in_reply_to or "", urgent, accepted_at)
        digests = b"".join(sha256(text.encode("utf-8", "surrogatepass")).digest() for text in said)
        return hmac.digest(ticket.key, b"stamp" + digests, "sha256").hex()

    def _forget_old(self) -> None:
        now = self.clock()
        while self.held:
            oldest = next(iter(self.held))
            if len(self.held) <= self.most and self.held[oldest].expires > now:
                return
            self.forgotten += self.held[oldest].expires > now
            del self.held[oldest]

    def holdings(self) -> Iterator[Holding]:
        """The tickets."""
        yield replace(TICKETS, entries=self.most).holding(len(self.held), refused=self.forgotten)
