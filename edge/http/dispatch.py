"""Finds the route of a request, lets its gate say who calls, runs it, and turns whatever happens into an answer.

Rule: a route with a gate runs only for an identity that the gate has returned, and nothing but an answer leaves this module.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol
from urllib.parse import unquote

from domain.errors import FlashError, Malformed, NotFound, NotYourHome, Unauthorized, Unavailable
from edge.contracts.servers import Home, Verifier
from edge.http.messages import NOBODY, Answer, Call, Peer
from edge.http.metrics import EdgeMetrics
from edge.http.problems import MethodNotAllowed, problem_for
from edge.http.route import Gate, Route
from edge.http.watch import Answerable, InTurn, Noted, Sample, Watch
from runtime.brake import Turn
from runtime.deferred import Deferred, failed
from servers.security.identity import Identity

NO_PATH: Mapping[str, str] = {}
Segments = tuple[str, ...]


class Asker(Peer, Answerable, Protocol):
    """A connection that waits for an answer."""


class Dispatcher:
    """The routes of one server, found by method and path."""

    def __init__(self, routes: Sequence[Route], metrics: EdgeMetrics, watch: Watch | None = None) -> None:
        self._metrics = metrics
        self._watch = watch or Watch()
        self._exact: dict[tuple[str, str], Route] = {}
        self._fixed: dict[str, dict[str, Route]] = {}
        self._patterns: dict[Segments, dict[str, Route]] = {}
        for route in routes:
            if "{" in route.path:
                self._patterns.setdefault(tuple(route.path.split("/")), {})[route.method] = route
            else:
                self._fixed.setdefault(route.path, {})[route.method] = route
                self._exact[route.method, route.path] = route

    def synchronous(self, method: str, target: str) -> Route | None:
        """The synchronous route at exactly this address, if there is one: `begin` answers its requests."""
        route = self._exact.get((method, target))
        return route if route is not None and route.synchronous else None

    def begin(self, route: Route, headers: Mapping[str, str], raw: bytes, connection: Asker, turn: Turn[int | str] | None = None) -> None:
        """Answer one request for a synchronous route: calls `connection.answered`, now or later. `turn`: that of a request that had to wait
        for it. Never raises."""
        watch = self._watch
        asker: Answerable = connection
        sample: Sample | None = None
        if turn is not None:
            asker = InTurn(connection, turn)
        elif watch.slow and watch.holds(_uid_of(route, headers), connection.seat, partial(self.begin, route, headers, raw, connection)):
            return
        watch.left -= 1
        if watch.left < 0:
            asker = sample = Sample(watch, asker, len(raw))
        try:
            who = NOBODY
            if route.gate is not None:
                who = route.gate(headers)
                connection.belong_to(who.uid)
            try:
                body = route.decode_body(raw)
            except Exception:
                body = route.read_body(raw)  # raises the refusal in our words
            call = Call(who, body, NO_PATH, None, connection, headers)
            deferred: Any = route.handle(call)
        except Exception as error:
            deferred = failed(error)
        if sample is not None:
            sample.handled()
        deferred.add_done_callback(partial(self._finish, route, asker))

    def _finish(self, route: Route, asker: Answerable, deferred: Deferred[Answer]) -> None:
        if deferred.exception is None:
            answer: Answer = deferred.value
        else:
            answer, code = problem_for(deferred.exception, route.name)
            self._metrics.refused(code)
        self._metrics.answered[route.name, answer.status] += 1
        asker.answered(answer)

    async def run(self, method: str, target: str, headers: Mapping[str, str], raw: bytes, connection: Asker) -> Answer:
        """Answer one request. `target`: origin form, as sent. Never raises."""
        route = self._exact.get((method, target))
        whole, path, query, watch, turn = target, NO_PATH, "", self._watch, None
        try:
            if route is None:
                target, _, query = target.partition("?")
                found, path = self._find(target)
                if method == "OPTIONS":
                    return _options(found)
                route = found.get("GET" if method == "HEAD" else method)
                if route is None or (method == "HEAD" and route.endless):
                    raise MethodNotAllowed(allow=_allowed(found))
            who = NOBODY
            if route.gate is not None:
                who = route.gate(headers)
                connection.belong_to(who.uid)
            if watch.slow:
                turn = await watch.turn(who.uid, connection.seat)
            watch.left -= 1
            sample = Sample(watch, connection, len(raw)) if watch.left < 0 else None
            call = Call(who, route.read_body(raw), path, route.read_query(query), connection, headers)
            answer = await (route.handle(call) if sample is None else sample.metered(route.handle(call), route.waits or route.endless))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The server behind the route is going down: it gave up what the route waited for, not the request itself.
            answer, code = problem_for(Unavailable(), "")
            self._metrics.refused(code)
        except Exception as error:
            if route is not None and route.page is not None:
                answer, code = route.page(error, route.name, whole)
            else:
                answer, code = problem_for(error, route.name if route is not None else "none")
            self._metrics.refused(code)
        finally:
            if turn is not None:
                turn.end()
        if answer.source is not None:
            answer = answer._replace(source=Noted(watch.load, connection.seat, answer.source))
        if route is not None:
            self._metrics.answered[route.name, answer.status] += 1
        return answer

    def _find(self, target: str) -> tuple[dict[str, Route], Mapping[str, str]]:
        """The routes at a path, by method, and the path's parameters. Raises `NotFound`, `Malformed`."""
        if target == "*":
            return {}, NO_PATH
        fixed = self._fixed.get(target)
        if fixed is not None:
            return fixed, NO_PATH
        if not target.isascii():
            raise Malformed("The address is not percent-encoded.")
        segments = target.split("/")
        for pattern, routes in self._patterns.items():
            if len(pattern) != len(segments):
                continue
            if all(want == have or (want[:1] == "{" and have) for want, have in zip(pattern, segments, strict=True)):
                try:
                    return routes, {
                        want[1:-1]: unquote(have, errors="strict") for want, have in zip(pattern, segments, strict=True) if want[:1] == "{"
                    }
                except UnicodeDecodeError:
                    raise Malformed("The address is not UTF-8.") from None
        raise NotFound


def _uid_of(route: Route, headers: Mapping[str, str]) -> int:
    """Whose request it is; 0 where that is nobody's business, or not proved: then it is refused in its turn."""
    try:
        return route.gate(headers).uid if route.gate is not None else 0
    except FlashError:
        return 0


def _allowed(routes: Mapping[str, Route]) -> list[str]:
    return sorted({*routes, "OPTIONS", *(("HEAD",) if "GET" in routes and not routes["GET"].endless else ())})


def _options(routes: Mapping[str, Route]) -> Answer:
    allow = _allowed(routes) if routes else ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Answer(204, headers=f"Allow: {', '.join(allow)}\r\n".encode())


def bearer_gate(verifier: Verifier) -> Gate:
    """Lets in everybody who has a valid token of this installation. Raises `Unauthorized`."""
    return _gate(verifier, lambda: None, None)


def home_gate(verifier: Verifier, home: Home) -> Gate:
    """Lets in the users of this home only, while it is open. Raises `Unavailable`, `Unauthorized`, `NotYourHome` (which names the
    right one)."""
    return _gate(verifier, home.closed, home.name)


def _gate(verifier: Verifier, closed: Callable[[], str | None], home: str | None) -> Gate:
    verify = verifier.verify

    def gate(headers: Mapping[str, str]) -> Identity:
        if (why := closed()) is not None:
            raise Unavailable(why)
        said = headers.get("Authorization", "")
        if said[:7].lower() != "bearer " or not said.isascii():
            raise Unauthorized
        who = verify(said[7:])
        if home is not None and who.home != home:
            raise NotYourHome(home={"name": who.home, "url": who.home_url})
        return who

    return gate
