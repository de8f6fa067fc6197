"""The same head again: whatever the segments, every request is understood as if the parser had read it."""

import asyncio
import random
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from edge.http.client_address import TrustedProxies
from edge.http.connection import Connection
from edge.http.dispatch import Dispatcher
from edge.http.fast_path import MAX_HEAD_BYTES, WriteBuffer
from edge.http.limits import Limits
from edge.http.messages import Answer, Call
from edge.http.metrics import EdgeMetrics
from edge.http.route import Route
from edge.http.shared import Shared
from edge.http.shares import Shares
from runtime.deferred import Deferred
from tests.edge.conftest import RunningHome
from tests.edge.raw_client import ANN, BOB, RawClient
from tests.support.waiting import eventually

SEED = random.SystemRandom().randrange(10**6)


class Transport(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def unused(call: Call) -> Deferred[Answer]:
    raise AssertionError("the dispatcher here calls no handler")


SYNCHRONOUS = Route("POST", "/v1/x", unused, {})


class Understood:
    """A dispatcher that writes down what it is asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str | None, bytes]] = []

    def synchronous(self, method: str, target: str) -> Route | None:
        return SYNCHRONOUS if (method, target) == (SYNCHRONOUS.method, SYNCHRONOUS.path) else None

    def begin(self, route: Route, headers: Any, raw: bytes, connection: Any) -> None:
        self.requests.append((route.method, route.path, headers.get("Who"), raw))
        connection.answered(Answer(204))

    async def run(self, method: str, target: str, headers: Any, raw: bytes, connection: Any) -> Answer:
        self.requests.append((method, target, headers.get("Who"), raw))
        return Answer(204)


def opened(understood: Understood) -> Connection:
    """A connection that has just been accepted."""
    limits = Limits()
    shares = Shares(limits, TrustedProxies())
    metrics = EdgeMetrics(CollectorRegistry())
    never = bool  # neither full, nor nearly so
    shared: Shared[Connection] = Shared(cast(Dispatcher, understood), metrics, WriteBuffer(), limits, never, never, shares)
    connection = Connection(shared)
    connection.connection_made(Transport())
    return connection


def request(who: str, body: bytes, method: str = "POST") -> bytes:
    length = b"" if method == "GET" else b"Content-Length: %d\r\n" % len(body)
    return b"%b /v1/x HTTP/1.1\r\nHost: h\r\nWho: %b\r\n%b\r\n%b" % (method.encode(), who.encode(), length, body)


@pytest.mark.parametrize("number", range(60))
async def test_requests_are_understood_however_they_are_cut_up(number: int):
    print(f"seed {SEED}, {number}")
    dice = random.Random(SEED + number)
    understood = Understood()
    connection = opened(understood)
    wanted: list[tuple[str, str, str | None, bytes]] = []
    waiting = b""
    who = "a"
    for _ in range(60):
        who = who if dice.random() < 0.8 else dice.choice("ab")
        method = "GET" if dice.random() < 0.1 else "POST"
        body = b"" if method == "GET" else dice.choice((b"12", b"34", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"))
        wanted.append((method, "/v1/x", who, body))
        waiting += request(who, body, method)
        if dice.random() < 0.97:  # mostly one request comes whole and alone
            cut = len(waiting) if dice.random() < 0.98 else dice.randrange(1, len(waiting) + 1)
            connection.data_received(waiting[:cut])
            waiting = waiting[cut:]
            for _ in range(dice.choice((0, 1, 5))):
                await asyncio.sleep(0)
    connection.data_received(waiting)
    await eventually(lambda: len(understood.requests) >= len(wanted))
    assert understood.requests == wanted
    connection.finish()


async def test_a_head_that_comes_again_is_not_parsed_again():
    understood = Understood()
    connection = opened(understood)
    for body in (b"one", b"two"):
        connection.data_received(request("a", body))
        await eventually(lambda body=body: understood.requests and understood.requests[-1][3] == body)
    cached = connection.cached
    assert cached is not None
    for body in (b"six", b"", b"x" * 12_345):
        connection.data_received(request("a", body))
        assert understood.requests[-1] == ("POST", "/v1/x", "a", body)
        assert connection.cached is cached, "what is parsed gets an entry of its own"
    connection.finish()


async def test_what_looks_like_the_segment_before_may_be_something_else():
    understood = Understood()
    connection = opened(understood)
    segment = request("a", b"one") + b"POST /v1/y HTTP/1.1\r\nWho: b\r\nNote: "
    connection.data_received(segment)
    await eventually(lambda: len(understood.requests) == 1)
    connection.data_received(segment)  # what begins like a request is the rest of the note
    await eventually(lambda: len(understood.requests) == 2)
    assert understood.requests[1] == ("POST", "/v1/y", "b", b"one")
    connection.finish()


async def test_nothing_is_known_of_a_request_that_came_in_pieces():
    connection = opened(Understood())
    whole = request("a", b"one")
    for pieces in ((whole[:9], whole[9:]), (whole,)):
        for piece in pieces:
            connection.data_received(piece)
        assert connection.cached is None
    connection.finish()


async def test_a_long_head_is_understood_but_not_kept():
    understood = Understood()
    connection = opened(understood)
    for who in ("a", "a" * MAX_HEAD_BYTES):
        connection.data_received(request(who, b"one"))
        await eventually(lambda who=who: bool(understood.requests) and understood.requests[-1][2] == who)
    assert connection.cached is None
    connection.finish()


async def test_a_head_without_a_length_has_no_body():
    connection = opened(Understood())
    data = b"POST /v1/x HTTP/1.1\r\nHost: h\r\n\r\n"
    connection.data_received(data)
    cached = connection.cached
    assert cached is not None
    assert cached.body_of(data) == b""
    assert [cached.body_of(other) for other in (data + b"x", data + data, data[:-1], b"", b"x" + data)] == [None] * 5
    chunked = opened(Understood())
    chunked.data_received(data.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
    assert chunked.cached is None


@pytest.mark.parametrize("length", [b"3 ", b"+3", b"0x3", b"1_0", b"", b"-1", b"4", b"2", b"00003", "\u0663".encode(), b"70000", b"3, 3"])
async def test_a_length_that_is_not_plain_is_for_the_parser(length: bytes):
    understood = Understood()
    connection = opened(understood)
    connection.data_received(request("a", b"one"))
    cached = connection.cached
    assert cached is not None
    data = request("a", b"two").replace(b"Content-Length: 3", b"Content-Length: " + length)
    assert cached.body_of(data) == (b"two" if length == b"00003" else None)
    body = b"x" * 70_000
    assert cached.body_of(request("a", body)) is None
    connection.finish()


async def test_the_same_connection_may_speak_for_another_user(home: RunningHome, raw_client: RawClient):
    for number, (who, uid) in enumerate(((ANN, 1), (ANN, 1), (BOB, 2), (ANN, 1))):
        raw_client.request("POST", "/v1/messages", {"id": f"m{number}", "to": 3 - uid, "text": "x"}, who)
        assert (await raw_client.response()).status == 202
        assert home.home.sent[-1][:2] == (uid, f"m{number}")
