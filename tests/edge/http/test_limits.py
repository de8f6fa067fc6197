"""What a client may cost: time, connections, unread answers; and how a server stops."""

import asyncio
from typing import cast

import msgspec
import pytest

from edge.http.limits import Limits
from tests.edge.conftest import RunningHome
from tests.edge.raw_client import ANN, RawClient, raw_client_to
from tests.edge.stand_ins import part
from tests.support.waiting import eventually

QUICK = Limits(max_connections=3, per_address=3, request_s=0.2, idle_s=0.6, stall_s=0.2, linger_s=0.1, tick_s=0.02)
SEND = b'{"id":"m1","to":2,"text":"x"}'


@pytest.fixture
def limits() -> Limits:
    return QUICK


@pytest.mark.parametrize(
    "beginning",
    [
        b"P",
        b"POST /v1/messages HTTP/1.1\r\nHost: h\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n{",
    ],
)
async def test_a_request_that_does_not_end_is_given_up(home: RunningHome, raw_client: RawClient, beginning: bytes):
    raw_client.send(beginning)
    answer = await raw_client.response()
    assert (answer.status, answer.code, answer.headers["connection"]) == (408, "malformed", "close")
    assert await raw_client.rest() == b""
    await eventually(lambda: home.edge.metrics.connections() == 0)


async def test_a_drip_does_not_buy_time(home: RunningHome, raw_client: RawClient):
    raw_client.send(b"GET /healthz HTTP/1.1\r\nX: ")
    answer = asyncio.create_task(raw_client.response())

    async def drip() -> bool:
        raw_client.send(b"x")
        return answer.done()

    await eventually(drip)
    assert (await answer).status == 408


async def test_an_idle_connection_is_closed(home: RunningHome, raw_client: RawClient):
    assert (await raw_client.ask("GET", "/healthz")).status == 200
    assert await raw_client.rest() == b""


async def test_a_request_may_take_long_when_it_is_ours_to_answer(home: RunningHome, raw_client: RawClient):
    home.home.gate = asyncio.Event()
    raw_client.request("POST", "/v1/messages", SEND, ANN)
    async with raw_client_to(home.edge.port) as idle:
        assert await idle.rest() == b""  # closed for idleness: longer than any limit has gone by
    home.home.gate.set()
    assert (await raw_client.response()).status == 202


async def test_a_back_connection_may_be_idle_for_ever(home: RunningHome, raw_client: RawClient):
    await raw_client.log_in()
    async with raw_client_to(home.edge.port) as idle:
        assert await idle.rest() == b""
    (session,) = home.home.sessions.values()
    session.outlet.write((part("blank"),))
    assert (await raw_client.part())[0] == "blank"


async def test_a_client_that_does_not_read_its_answers_is_dropped(home: RunningHome, raw_client: RawClient):
    await raw_client.ask("PUT", "/v1/contacts/2", {}, ANN)
    home.home.listed.update({uid: msgspec.structs.replace(home.home.listed[2], uid=uid, name="x" * 1_000) for uid in range(100, 1_100)})
    client = cast(asyncio.Transport, raw_client.writer.transport)
    client.pause_reading()
    for _ in range(30):
        raw_client.request("GET", "/v1/contacts", headers=ANN)
    await eventually(lambda: home.edge.metrics.connections() == 0)


async def test_one_connection_too_many_is_told_so(home: RunningHome, raw_client: RawClient):
    await raw_client.log_in()
    async with raw_client_to(home.edge.port) as second, raw_client_to(home.edge.port) as third:
        await second.log_in()
        await third.log_in()
        async with raw_client_to(home.edge.port) as fourth:
            answer = await fourth.response()
            assert (answer.status, answer.code) == (503, "unavailable")
            assert await fourth.rest() == b""
    await eventually(lambda: home.edge.metrics.connections() == 1)
    async with raw_client_to(home.edge.port) as fifth:
        assert (await fifth.ask("GET", "/healthz")).status == 200
    assert home.edge.metrics.connections_refused == 1


async def test_stopping_lets_running_requests_end(home: RunningHome, raw_client: RawClient):
    home.home.gate = asyncio.Event()
    async with raw_client_to(home.edge.port) as idle:
        assert (await idle.ask("GET", "/healthz")).status == 200
        raw_client.request("POST", "/v1/messages", SEND, ANN)
        await eventually(lambda: home.home.waiting == 1)
        stopping = asyncio.create_task(home.edge.stop(drain_s=10))
        assert await idle.rest() == b""
        home.home.gate.set()
        answer = await raw_client.response()
        assert (answer.status, answer.headers["connection"]) == (202, "close")
        await stopping
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", home.edge.port)


async def test_stopping_lets_goodbyes_arrive_and_drops_clients_that_stay(home: RunningHome, raw_client: RawClient):
    await raw_client.log_in()
    (session,) = home.home.sessions.values()
    async with raw_client_to(home.edge.port) as stubborn:
        await stubborn.log_in()
        session.outlet.write((part("goodbye", {"reason": "shutdown"}),))
        session.outlet.close()
        await home.edge.stop(drain_s=0.2)
        assert (await raw_client.rest()).endswith(b'{"reason":"shutdown"}\r\n--flash--\r\n')
        assert await stubborn.rest() == b""
    await eventually(lambda: len(home.home.gone) == 2)


async def test_stopping_gives_up_on_requests_that_do_not_end(home: RunningHome, raw_client: RawClient):
    home.home.gate = asyncio.Event()
    raw_client.request("POST", "/v1/messages", SEND, ANN)
    await eventually(lambda: home.home.waiting == 1)
    await home.edge.stop(drain_s=0.05)
    assert await raw_client.rest() == b""
