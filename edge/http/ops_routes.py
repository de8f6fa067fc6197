"""What every server answers about itself. Rule: open to everybody who reaches the port, so nothing personal is said here."""

import time
from collections.abc import Callable, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from domain.errors import Unavailable
from edge.contracts import answers
from edge.http.messages import Answer, Call, answer_json
from edge.http.route import Route
from runtime.deferred import Deferred, succeeded

KEPT = 9  # times as long as `/metrics` takes to make, it is handed out again: whoever asks, and how often, it costs a tenth of the CPU

ALIVE = answer_json(200, answers.Health("alive"))


def ops_routes(
    title: str, routes: Sequence[Route], ready: Callable[[], str | None], warnings: Callable[[], list[str]], registry: CollectorRegistry
) -> Sequence[Route]:
    """`/healthz`, `/readyz`, `/metrics` and `/openapi.json`, which describes `routes` and these four."""

    def healthz(call: Call) -> Deferred[Answer]:
        """Whether the process answers at all."""
        return succeeded(ALIVE)

    async def readyz(call: Call) -> Answer:
        """Whether it is ready, or why not. What is wrong elsewhere makes no server unready, and stands beside the answer."""
        reason = ready()
        if reason is not None:
            raise Unavailable(reason)
        return answer_json(200, answers.Health("ready", warnings()))

    kept = Answer(200, b"", CONTENT_TYPE_LATEST.encode())
    kept_until = float("-inf")

    async def metrics(call: Call) -> Answer:
        """Counters for Prometheus."""
        nonlocal kept, kept_until
        began = time.monotonic()
        if began >= kept_until:
            kept = Answer(200, generate_latest(registry), CONTENT_TYPE_LATEST.encode())
            ended = time.monotonic()
            kept_until = ended + KEPT * (ended - began)
        return kept

    async def openapi(call: Call) -> Answer:
        """This description."""
        return description()

    own = [
        Route("GET", "/healthz", healthz, {200: answers.Health}, any_query=True),
        Route("GET", "/readyz", readyz, {200: answers.Health}, any_query=True),
        Route("GET", "/metrics", metrics, {200: ("text/plain",)}, any_query=True),
        Route("GET", "/openapi.json", openapi, {200: ("application/json",)}, any_query=True),
    ]

    @cache
    def description() -> Answer:
        from edge.http.openapi import describe  # with what it needs 1 MB, for a page that hardly anybody opens

        return answer_json(200, describe(title, [*routes, *own]))

    return own
