"""What a server says about itself, and that its description is true."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import flash_sdk
from broker.port import Unroutable
from domain import errors
from domain.profile import PROFILE_FIELDS
from edge.contracts import answers
from edge.http import openapi
from edge.http.limits import Limits
from edge.http.ops_routes import ops_routes
from edge.http.problems import STATUS, problem, status_of
from edge.http.route import Route
from runtime.times import rfc3339
from servers.trust.box import NoCard
from tests.edge.conftest import RunningGlobal, RunningHome
from tests.edge.raw_client import ANN, RawClient, raw_client_to

HOME_CALLS = {
    "POST /v1/back-connection",
    "POST /v1/parts",
    "POST /v1/logoff",
    "GET /v1/contacts",
    "PUT /v1/contacts/{uid}",
    "DELETE /v1/contacts/{uid}",
    "POST /v1/messages",
    "POST /v1/acks",
    "POST /v1/messages/{id}/done",
    "PUT /v1/status",
    "PUT /v1/direct",
    "POST /v1/tickets",
}
GLOBAL_CALLS = {
    "POST /v1/users",
    "POST /v1/tokens",
    "GET /v1/users",
    "GET /v1/users/{uid}",
    "GET /v1/users/by-handle/{handle}",
    "PATCH /v1/users/me",
    "POST /v1/users/me/erase",
    "POST /v1/users/{uid}/erase",
    "GET /v1/presence",
    "GET /v1/presence/stream",
    "GET /v1/ops/heavy",
    "POST /v1/ops/throttles",
    "POST /v1/ops/throttles/end",
}
OPS_CALLS = {"GET /healthz", "GET /readyz", "GET /metrics", "GET /openapi.json"}


async def test_a_server_is_alive_and_ready_or_says_why_not(home: RunningHome, raw_client: RawClient):
    assert (await raw_client.ask("GET", "/healthz")).json == {"status": "alive"}
    assert (await raw_client.ask("GET", "/readyz")).json == {"status": "ready"}
    home.home.elsewhere = ["The broker is away."]
    answer = await raw_client.ask("GET", "/readyz")
    assert (answer.status, answer.json) == (200, {"status": "ready", "warnings": ["The broker is away."]})
    home.home.reason = "The broker is away."
    answer = await raw_client.ask("GET", "/readyz?verbose")
    assert (answer.status, answer.code, answer.json["detail"]) == (503, "unavailable", "The broker is away.")
    assert (await raw_client.ask("GET", "/healthz")).status == 200


async def test_who_asks_for_metrics_all_the_time_costs_a_tenth_of_the_cpu():
    """`/metrics` is open to everybody who reaches the port."""
    asked: list[float] = []

    class Slow(Collector):
        def collect(self) -> Iterator[Metric]:
            asked.append(time.monotonic())
            while time.monotonic() < asked[-1] + 0.01:
                pass
            yield GaugeMetricFamily("flash_asked", "How often.", len(asked))

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Slow())
    asked.clear()
    metrics = next(route for route in ops_routes("x", (), lambda: None, list, registry) if route.path == "/metrics").handle
    first = await metrics(None)
    while (await metrics(None)).body == first.body:
        await asyncio.sleep(0)
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 10 * 0.01


async def test_a_closed_home_answers_nobody_not_even_whom_it_does_not_know(home: RunningHome, raw_client: RawClient):
    """A standby knows no keys yet: 401 would send people back to the sign-in."""
    home.home.closed_because = "Standby."
    for headers in (ANN, {}):
        answer = await raw_client.ask("GET", "/v1/contacts", headers=headers)
        assert (answer.status, answer.code, answer.json["detail"]) == (503, "unavailable", "Standby.")
    home.home.closed_because = None
    assert (await raw_client.ask("GET", "/v1/contacts", headers=ANN)).status == 200


async def test_two_servers_in_one_process_count_for_themselves(home: RunningHome, global_server: RunningGlobal):
    async with raw_client_to(home.edge.port) as one, raw_client_to(global_server.edge.port) as two:
        assert (await one.ask("GET", "/v1/contacts", headers=ANN)).status == 200
        assert (await two.ask("GET", "/v1/contacts", headers=ANN)).status == 404
        text = (await two.ask("GET", "/metrics")).body.decode()
        assert "/v1/contacts" not in text
        assert 'flash_http_refused_total{code="not_found"} 1.0' in text
        assert "flash_connections_open 1.0" in text


async def test_every_call_is_described_and_nothing_else(home: RunningHome, global_server: RunningGlobal):
    for port, calls in ((home.edge.port, HOME_CALLS), (global_server.edge.port, GLOBAL_CALLS)):
        async with raw_client_to(port) as raw_client:
            described = (await raw_client.ask("GET", "/openapi.json")).json
        assert described["openapi"] == "3.1.0"
        found = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
        assert found == calls | OPS_CALLS
        for path, methods in described["paths"].items():
            for operation in methods.values():
                is_open = not path.startswith("/v1/") or operation["operationId"] in ("post_v1_users", "post_v1_tokens")
                assert ("security" in operation) is not is_open


MADE_OF: dict[type[errors.FlashError], tuple[Any, ...]] = {  # the others take a detail and any fields
    errors.Invalid: ("field", "a number"),
    Unroutable: ("flash.homes", {"h1"}),
    NoCard: ("h1",),
}


def test_every_error_has_a_status_and_a_problem_that_says_so():
    def tree(kind: type[errors.FlashError]) -> list[type[errors.FlashError]]:
        return [kind, *(each for child in kind.__subclasses__() for each in tree(child))]

    wire_codes = {}
    for kind in tree(errors.FlashError):
        error = kind(*MADE_OF[kind]) if kind in MADE_OF else kind("Detail.", status="shadow")
        answer = problem(error)
        body = msgspec.json.decode(answer.body, type=answers.Problem)
        assert body.status == answer.status == status_of(kind)
        assert body.code == kind.code
        wire_codes[kind] = answer.status
    assert wire_codes[errors.NotAContact] == 403
    assert wire_codes[errors.HandleTaken] == 409
    assert wire_codes[errors.UnknownMessage] == 404
    assert set(STATUS) <= set(wire_codes)


async def test_a_problem_that_a_route_gives_is_one_that_it_names(home: RunningHome, raw_client: RawClient):
    statuses: dict[str, set[int]] = {}
    for route in home.edge.routes:
        assert isinstance(route, Route)
        path = route.path.replace("{uid}", "2").replace("{id}", "unknown")
        for body, headers in ((b"{", ANN), (b'{"x":1}', ANN), (b"", {}), (None, ANN), (b" " * 70_000, ANN)):
            async with raw_client_to(home.edge.port) as other:
                other.request(route.method, path, body, headers)
                status, _, _ = await other.head()
                statuses.setdefault(route.name, set()).add(status)
                assert status in {*route.success, *(status_of(error) for error in openapi.refusals(route))}, route.name
    assert statuses["POST /v1/messages"] == {400, 401, 413, 422}


@pytest.mark.parametrize("limits", [Limits(per_user=200)])
async def test_many_at_once_are_all_answered(home: RunningHome):
    async def one(number: int) -> int:
        async with raw_client_to(home.edge.port) as raw_client:
            body = {"id": f"m{number}", "to": 2, "text": "x"}
            return (await raw_client.ask("POST", "/v1/messages", body, ANN)).status

    assert set(await asyncio.gather(*(one(number) for number in range(200)))) == {202}
    assert len(home.home.sent) == 200


@pytest.mark.parametrize("seconds", [0.0, 1_700_000_000.25, 1_893_456_000.999999])
def test_times_have_microseconds_and_a_z(seconds: float):
    text = rfc3339(seconds)
    assert len(text) == len("1970-01-01T00:00:00.000000Z")
    assert datetime.fromisoformat(text).timestamp() == seconds


def test_the_sdk_names_the_profile_fields_of_the_domain():
    assert flash_sdk.PROFILE_FIELDS == PROFILE_FIELDS
