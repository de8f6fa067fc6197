"""The presence feed for integrators: a snapshot, and the stream from there on. Rule: the server decides what is granted."""

from collections.abc import Sequence

from domain.errors import Gap, NotAnIntegrator, NotGranted, Unavailable
from edge.contracts import requests
from edge.contracts.servers import Global
from edge.http.messages import Answer, Call, answer_json
from edge.http.problems import problem, problem_for
from edge.http.route import Gate, Route
from edge.transports.back_connection import BackConnection, BackConnections
from edge.transports.framing import EVENT_STREAM
from servers.global_server import views

MAX_CURSOR_CHARS = 64  # ours have at most 25
STREAM = {200: ("text/event-stream",)}


class PresenceRoutes:
    """Handlers for integrators."""

    def __init__(self, server: Global, streams: BackConnections) -> None:
        self._server = server
        self._streams = streams

    async def snapshot(self, call: Call) -> Answer:
        """How users stand, and the cursor from which their changes follow."""
        query: requests.Presence = call.query or requests.Presence()
        after = int(query.page, 16) if query.page else 0
        return answer_json(200, await self._server.presence(call.identity, _uids(query.uids), query.limit, after))

    async def stream(self, call: Call) -> Answer:
        """Presence changes after a cursor, as they happen; the answer is endless.

        The connection is handed over, so the answer that this returns is only counted.
        """
        query: requests.PresenceStream = call.query or requests.PresenceStream()
        after = call.headers.get("Last-Event-ID") or query.after
        if after is not None and len(after) > MAX_CURSOR_CHARS:
            raise Gap
        back = BackConnection(self._streams, EVENT_STREAM)
        if not call.connection.detach_to(back):
            return problem(Unavailable("The client has gone."))
        try:
            subscriber = self._server.subscribe(call.identity, _uids(query.uids), after, back)
        except Exception as error:
            answer, _ = problem_for(error, "GET /v1/presence/stream")
            back.refuse(answer)
            return answer
        back.opened(subscriber)
        return Answer(200)


def _uids(text: str | None) -> frozenset[int] | None:
    return None if text is None else frozenset(map(int, text.split(",")))


def presence_routes(server: Global, gate: Gate, streams: BackConnections) -> Sequence[Route]:
    """Both calls for integrators, as `docs/protocol.md` lists them."""
    on = PresenceRoutes(server, streams)
    refusals = (NotAnIntegrator, NotGranted)
    return [
        Route("GET", "/v1/presence", on.snapshot, {200: views.PresencePage}, None, refusals, gate=gate, query=requests.Presence),
        Route("GET", "/v1/presence/stream", on.stream, STREAM, None, (*refusals, Gap), gate=gate, query=requests.PresenceStream),
    ]
