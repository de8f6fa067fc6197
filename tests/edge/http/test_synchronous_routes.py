"""Requests that are answered without a task: when their head is known, nothing that happens to the connection meanwhile is different."""

import asyncio
import logging
import random

import pytest

from domain.errors import Unavailable
from edge.http.connection import Connection
from tests.edge.conftest import RunningHome
from tests.edge.http.test_http import AUTH, send
from tests.edge.raw_client import RawClient, raw_client_to
from tests.support.waiting import eventually

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
SEED = random.SystemRandom().randrange(10**6)


def connections(home: RunningHome) -> list[Connection]:
    return list(home.edge.http.open.all)


async def known(home: RunningHome, raw_client: RawClient) -> Connection:
    """The connection of `raw_client`, once it has been asked something."""
    raw_client.send(send(0))
    assert (await raw_client.response()).status == 202
    (connection,) = connections(home)
    assert connection.cached is not None
    return connection


async def begun(home: RunningHome, raw_client: RawClient) -> Connection:
    """A connection whose second request is being answered, until the home's gate opens."""
    connection = await known(home, raw_client)
    home.home.gate = asyncio.Event()
    raw_client.send(send(1))
    await eventually(lambda: home.home.waiting == 1)
    assert connection.busy
    return connection


async def test_it_is_answered_without_a_task(home: RunningHome, raw_client: RawClient):
    await begun(home, raw_client)
    tasks = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    assert not [name for name in tasks if name.startswith("Connection.")]
    assert home.home.gate is not None
    home.home.gate.set()
    answer = await raw_client.response()
    assert (answer.status, answer.json["id"]) == (202, "m1")
    assert home.edge.metrics.answered["POST /v1/messages", 202] == 2


async def test_what_follows_on_the_connection_waits_for_it(home: RunningHome, raw_client: RawClient):
    connection = await begun(home, raw_client)
    raw_client.send(HEALTH + send(2))
    await eventually(lambda: connection.reader.unread_bytes == len(HEALTH + send(2)))
    assert home.home.gate is not None
    home.home.gate.set()
    assert (await raw_client.response()).json["id"] == "m1"
    assert (await raw_client.response()).json == {"status": "alive"}
    assert (await raw_client.response()).json["id"] == "m2"


async def test_a_client_that_closes_its_side_gets_the_answer(home: RunningHome, raw_client: RawClient):
    await begun(home, raw_client)
    raw_client.writer.write_eof()
    await eventually(lambda: all(each.half_closed for each in connections(home)))
    assert home.home.gate is not None
    home.home.gate.set()
    answer = await raw_client.response()
    assert (answer.json["id"], answer.headers["connection"]) == ("m1", "close")
    assert await raw_client.rest() == b""
    await eventually(lambda: home.edge.metrics.connections() == 0)


async def test_a_client_that_closes_its_side_with_more_on_the_way_gets_all_of_it(home: RunningHome, raw_client: RawClient):
    await begun(home, raw_client)
    raw_client.send(send(2) + HEALTH)
    raw_client.writer.write_eof()
    await eventually(lambda: all(each.half_closed for each in connections(home)))
    assert home.home.gate is not None
    home.home.gate.set()
    assert [(await raw_client.response()).json["id"] for _ in range(2)] == ["m1", "m2"]
    assert (await raw_client.response()).status == 200
    assert await raw_client.rest() == b""


async def test_a_server_that_stops_answers_first(home: RunningHome, raw_client: RawClient):
    connection = await begun(home, raw_client)
    stopping = asyncio.create_task(home.edge.stop(drain_s=5))
    await eventually(lambda: connection.finishing)
    assert home.home.gate is not None
    home.home.gate.set()
    assert (await raw_client.response()).json["id"] == "m1"
    assert await raw_client.rest() == b""
    await asyncio.wait_for(stopping, 4)


async def test_a_server_that_stops_does_not_wait_for_ever(home: RunningHome, raw_client: RawClient):
    await begun(home, raw_client)
    await asyncio.wait_for(home.edge.stop(drain_s=0.1), 4)
    assert await raw_client.rest() == b""
    assert home.home.gate is not None
    home.home.gate.set()
    await eventually(lambda: len(home.home.sent) == 2)


async def test_what_a_client_that_has_gone_asked_is_finished(home: RunningHome, caplog: pytest.LogCaptureFixture):
    async with raw_client_to(home.edge.port) as raw_client:
        await begun(home, raw_client)
    await eventually(lambda: all(each.half_closed for each in connections(home)))
    assert home.home.gate is not None
    home.home.gate.set()
    await eventually(lambda: [sent[1] for sent in home.home.sent] == ["m0", "m1"])
    await eventually(lambda: home.edge.metrics.connections() == 0)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_refusals_are_those_of_any_other_request(home: RunningHome, raw_client: RawClient):
    await known(home, raw_client)
    raw_client.send(send(1).replace(b'"to":2', b'"to":9'))
    assert (await raw_client.response()).code == "not_a_contact"
    raw_client.send(send(1).replace(b'"to":2', b'"to";2'))
    assert (await raw_client.response()).code == "malformed"
    raw_client.send(send(1).replace(b'"to":2', b'"at":2'))
    assert ((answer := await raw_client.response()).code, answer.json["field"]) == ("invalid", "at")
    home.home.refusal = Unavailable()
    raw_client.send(send(1))
    assert ((answer := await raw_client.response()).status, answer.code) == (503, "unavailable")
    home.home.refusal, home.home.closed_because = None, "Standby."
    raw_client.send(send(1))
    assert (await raw_client.response()).status == 503
    home.home.closed_because = None
    raw_client.send(send(2))
    assert (await raw_client.response()).json["id"] == "m2"
    assert [sent[1] for sent in home.home.sent] == ["m0", "m2"]


async def test_requests_that_change_their_ways_are_answered_once_and_in_order(home: RunningHome, raw_client: RawClient):
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    home.home.yields = True
    wanted = []
    for round_ in range(60):
        numbers = [10 + dice.randrange(90) for _ in range(dice.choice((1, 1, 1, 2, 5)))]
        data = b"".join(send(number) for number in numbers)
        cut = len(data) if dice.random() < 0.9 else dice.randrange(1, len(data))
        raw_client.send(data[:cut])
        if cut < len(data):
            await raw_client.writer.drain()
            await asyncio.sleep(0)
            raw_client.send(data[cut:])
        wanted += [f"m{number}" for number in numbers]
        if dice.random() < 0.7 or round_ == 59:
            for id_ in wanted:
                assert (await raw_client.response()).json["id"] == id_
            wanted = []


async def test_an_upgrade_or_a_farewell_in_the_head_is_for_the_task(home: RunningHome):
    for line in (b"Connection: close\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Content-Encoding: gzip\r\n"):
        async with raw_client_to(home.edge.port) as raw_client:
            body = b'{"id":"m1","to":2,"text":"x"}'
            raw_client.send(b"POST /v1/messages HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (AUTH, line, len(body), body))
            await raw_client.response()
            assert all(each.cached is None for each in connections(home))
