"""What a client may cost: time, connections, unread answers; and how a server stops."""

import asyncio
from typing import cast

import msgspec
import pytest

from edge.http.limits import Limits
from tests.edge.conftest import RunningHome
from tests.edge.stand_ins import part
from tests.edge.wire import ANN, Wire, wire_to
from tests.support.waiting import eventually

QUICK = Limits(max_connections=3, request_s=0.2, idle_s=0.6, stall_s=0.2, linger_s=0.1, tick_s=0.02)
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
async def test_a_request_that_does_not_end_is_given_up(home: RunningHome, wire: Wire, beginning: bytes):
    wire.send(beginning)
    answer = await wire.response()
    assert (answer.status, answer.code, answer.headers["connection"]) == (408, "malformed", "close")
    assert await wire.rest() == b""
    await eventually(lambda: home.edge.metrics.connections() == 0)


async def test_a_drip_does_not_buy_time(home: RunningHome, wire: Wire):
    wire.send(b"GET /healthz HTTP/1.1\r\nX: ")
    answer = asyncio.create_task(wire.response())

    async def drip() -> bool:
        wire.send(b"x")
        return answer.done()

    await eventually(drip)
    assert (await answer).status == 408


async def test_an_idle_connection_is_closed(home: RunningHome, wire: Wire):
    assert (await wire.ask("GET", "/healthz")).status == 200
    assert await wire.rest() == b""


async def test_a_request_may_take_long_when_it_is_ours_to_answer(home: RunningHome, wire: Wire):
    home.home.gate = asyncio.Event()
    wire.request("POST", "/v1/messages", SEND, ANN)
    async with wire_to(home.edge.port) as idle:
        assert await idle.rest() == b""  # closed for idleness: longer than any limit has gone by
    home.home.gate.set()
    assert (await wire.response()).status == 202


async def test_a_back_connection_may_be_idle_for_ever(home: RunningHome, wire: Wire):
    await wire.log_in()
    async with wire_to(home.edge.port) as idle:
        assert await idle.rest() == b""
    (session,) = home.home.sessions.values()
    session.outlet.write((part("blank"),))
    assert (await wire.part())[0] == "blank"


async def test_a_client_that_does_not_read_its_answers_is_dropped(home: RunningHome, wire: Wire):
    await wire.ask("PUT", "/v1/contacts/2", {}, ANN)
    home.home.listed.update({uid: msgspec.structs.replace(home.home.listed[2], uid=uid, name="x" * 1_000) for uid in range(100, 1_100)})
    client = cast(asyncio.Transport, wire.writer.transport)
    client.pause_reading()
    for _ in range(30):
        wire.request("GET", "/v1/contacts", headers=ANN)
    await eventually(lambda: home.edge.metrics.connections() == 0)


async def test_one_connection_too_many_is_told_so(home: RunningHome, wire: Wire):
    await wire.log_in()
    async with wire_to(home.edge.port) as second, wire_to(home.edge.port) as third:
        await second.log_in()
        await third.log_in()
        async with wire_to(home.edge.port) as fourth:
            answer = await fourth.response()
            assert (answer.status, answer.code) == (503, "unavailable")
            assert await fourth.rest() == b""
    await eventually(lambda: home.edge.metrics.connections() == 1)
    async with wire_to(home.edge.port) as fifth:
        assert (await fifth.ask("GET", "/healthz")).status == 200
    assert home.edge.metrics.connections_refused == 1


async def test_stopping_lets_running_requests_end(home: RunningHome, wire: Wire):
    home.home.gate = asyncio.Event()
    async with wire_to(home.edge.port) as idle:
        assert (await idle.ask("GET", "/healthz")).status == 200
        wire.request("POST", "/v1/messages", SEND, ANN)
        await eventually(lambda: home.home.waiting == 1)
        stopping = asyncio.create_task(home.edge.stop(drain_s=10))
        assert await idle.rest() == b""
        home.home.gate.set()
        answer = await wire.response()
        assert (answer.status, answer.headers["connection"]) == (202, "close")
        await stopping
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", home.edge.port)


async def test_stopping_lets_goodbyes_arrive_and_drops_clients_that_stay(home: RunningHome, wire: Wire):
    await wire.log_in()
    (session,) = home.home.sessions.values()
    async with wire_to(home.edge.port) as stubborn:
        await stubborn.log_in()
        session.outlet.write((part("goodbye", {"reason": "shutdown"}),))
        session.outlet.close()
        await home.edge.stop(drain_s=0.2)
        assert (await wire.rest()).endswith(b'{"reason":"shutdown"}\r\n--flash--\r\n')
        assert await stubborn.rest() == b""
    await eventually(lambda: len(home.home.gone) == 2)


async def test_stopping_gives_up_on_requests_that_do_not_end(home: RunningHome, wire: Wire):
    home.home.gate = asyncio.Event()
    wire.request("POST", "/v1/messages", SEND, ANN)
    await eventually(lambda: home.home.waiting == 1)
    await home.edge.stop(drain_s=0.05)
    assert await wire.rest() == b""
