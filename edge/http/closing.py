"""Routes of a server that may not serve yet. Rule: they refuse with the reason, and touch nothing.

A Global Server that waits for its ops listens all the same, so that whoever looks sees what it waits for.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import wraps

from domain.errors import Unavailable
from edge.http.messages import Answer, Call
from edge.http.route import Gate, Handler, Route
from servers.security.identity import Identity

OPEN = "/ops/static/"  # what the page that tells the reason looks like


def refusing_while(closed: Callable[[], str | None], routes: Sequence[Route]) -> list[Route]:
    """The same routes, which refuse with what `closed` says while it says something."""
    return [route if route.path.startswith(OPEN) else _refusing(closed, route) for route in routes]


def _refusing(closed: Callable[[], str | None], route: Route) -> Route:
    guarded = copy(route)
    guarded.handle = _guarded(closed, route.handle)
    if route.gate is not None:
        guarded.gate = _gated(closed, route.gate)
    return guarded


def _gated(closed: Callable[[], str | None], gate: Gate) -> Gate:
    def gated(headers: Mapping[str, str]) -> Identity:
        _check(closed)
        return gate(headers)

    return gated


def _guarded(closed: Callable[[], str | None], handle: Handler) -> Handler:
    @wraps(handle)
    async def guarded(call: Call) -> Answer:
        _check(closed)
        return await handle(call)

    return guarded


def _check(closed: Callable[[], str | None]) -> None:
    if (why := closed()) is not None:
        raise Unavailable(why)
