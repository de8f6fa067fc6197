"""`PUT /v1/direct` and `POST /v1/tickets`. Rule: only the address from which a request comes counts.

An offer must come from the port that it names: an established TCP connection proves that its peer owns both address and port.
"""

import math

from domain.errors import NoRoute, NotYourHome, TooManyRequests, UnknownSession
from edge.contracts import answers, requests
from edge.contracts.servers import Home
from edge.direct.config import DirectConfig
from edge.direct.line import DirectLine, may_be_called, may_be_told
from edge.direct.two_way_outlet import DirectLines, TwoWayOutlet
from edge.http.client_address import TrustedProxies
from edge.http.messages import Answer, Call, answer_json
from edge.http.metrics import EdgeMetrics
from edge.http.route import Gate, Route
from servers.sessions import views
from servers.sessions.route import DirectRoute


class DirectOffers:
    """Handles the offers to one home. It tries one offer of a user at a time, and limits how often, so that nobody can make a home hold
    several connections open for nothing, or connect again and again."""

    def __init__(self, home: Home, config: DirectConfig, proxies: TrustedProxies, metrics: EdgeMetrics, lines: DirectLines) -> None:
        self._home = home
        self._config = config
        self._proxies = proxies
        self._metrics = metrics
        self._lines = lines
        self._busy: set[int] = set()

    async def offer(self, call: Call) -> Answer:
        """Offer to be called at the port from which this request comes."""
        uid = call.identity.uid
        if uid in self._busy:
            raise TooManyRequests("An offer is being tried already.", retry_after_s=math.ceil(self._config.probe_s))
        self._lines.probes.take(uid)
        self._busy.add(uid)
        try:
            return await self._offer(call)
        finally:
            self._busy.discard(uid)

    async def _offer(self, call: Call) -> Answer:
        body: requests.OfferDirect = call.body
        session = self._home.offering(call.identity, body.session)
        session.route = None  # the client accepts calls and tickets with the new key only
        line, why = await self._call_back(call, body)
        try:
            await self._home.note_route(call.identity, body.session, why)
        except BaseException:
            if line is not None:
                line.abort()
            raise
        session.route = self._route(call, body, called=line is not None)
        if line is not None:
            TwoWayOutlet.begin(session, line, self._metrics, self._config.stall_s, self._lines)
        return answer_json(200, answers.Direct(why is None, why))

    def _route(self, call: Call, body: requests.OfferDirect, *, called: bool) -> DirectRoute | None:
        """Where contacts in the client's network may try it. Behind a NAT they can reach it, and its home cannot."""
        seen, _ = call.connection.client
        if self._proxies.stands_between(call):
            return None
        local = body.local if body.local is not None and may_be_told(body.local, seen, self._config.networks) else None
        if not called and local is None:
            return None
        return DirectRoute(seen, body.port, body.key, called, local)

    async def _call_back(self, call: Call, body: requests.OfferDirect) -> tuple[DirectLine | None, str | None]:
        address, port = call.connection.client
        if port != body.port or self._proxies.stands_between(call):
            return None, "not_proven"
        if not may_be_called(address, self._config.networks):
            return None, "not_allowed"
        return await self._config.call(address, body.port, body.key, self._config.probe_s)


def direct_route(home: Home, gate: Gate, config: DirectConfig, proxies: TrustedProxies, metrics: EdgeMetrics, lines: DirectLines) -> Route:
    """The call with which a client offers to be called."""
    offers = DirectOffers(home, config, proxies, metrics, lines)
    refusals = (NotYourHome, UnknownSession, TooManyRequests)
    return Route("PUT", "/v1/direct", offers.offer, {200: answers.Direct}, requests.OfferDirect, refusals, gate=gate)


class TicketOffice:
    """Answers senders who ask for the direct way to a contact."""

    def __init__(self, home: Home, proxies: TrustedProxies) -> None:
        self._home = home
        self._proxies = proxies

    async def ask(self, call: Call) -> Answer:
        """Ask for the direct way to a contact in the same network."""
        if self._proxies.stands_between(call):
            raise NoRoute
        return answer_json(200, await self._home.issue_ticket(call.identity, call.body.to, call.connection.client[0]))


def ticket_route(home: Home, gate: Gate, proxies: TrustedProxies) -> Route:
    """The call with which a sender asks for a ticket."""
    refusals = (NotYourHome, NoRoute, TooManyRequests)
    return Route("POST", "/v1/tickets", TicketOffice(home, proxies).ask, {200: views.Ticket}, requests.AskForTicket, refusals, gate=gate)
