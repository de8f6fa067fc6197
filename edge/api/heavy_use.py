"""The calls of the Global Server for ops: who is heavy, and who has turns at a tenth. Rule: one short handler for each."""

from collections.abc import Sequence

from domain.errors import Forbidden, UnknownUser
from edge.contracts import requests
from edge.contracts.servers import HeavyUse
from edge.http.messages import NO_CONTENT, Answer, Call, answer_json
from edge.http.route import Gate, Route
from servers.global_server import views


def heavy_use_routes(heavy: HeavyUse, gate: Gate) -> Sequence[Route]:
    """`/v1/ops/heavy` and `/v1/ops/throttles`, each behind `gate`."""

    async def look(call: Call) -> Answer:
        """Who used most of each server in the last minute, and who has turns at a tenth; for the role ops."""
        return answer_json(200, await heavy.look(call.identity))

    async def throttle(call: Call) -> Answer:
        """Give a user, an address or a home turns at a tenth, at every server; for the role ops."""
        body: requests.Throttle = call.body
        return answer_json(200, await heavy.throttle(call.identity, body.kind, body.name, body.for_s))

    async def end_throttle(call: Call) -> Answer:
        """Give it all turns again; for the role ops."""
        body: requests.EndThrottle = call.body
        await heavy.end_throttle(call.identity, body.kind, body.name)
        return NO_CONTENT

    refusals = (Forbidden, UnknownUser)
    return [
        Route("GET", "/v1/ops/heavy", look, {200: views.HeavyUse}, refusals=(Forbidden,), gate=gate),
        Route("POST", "/v1/ops/throttles", throttle, {200: views.Throttle}, requests.Throttle, refusals, gate=gate),
        Route("POST", "/v1/ops/throttles/end", end_throttle, {204: None}, requests.EndThrottle, refusals, gate=gate),
    ]
