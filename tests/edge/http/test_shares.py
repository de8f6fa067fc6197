"""How many connections an address and a user hold, and how much of requests that have not come whole."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest

from domain.errors import TooManyRequests, Unavailable
from edge.http.client_address import TrustedProxies
from edge.http.limits import Limits
from edge.http.request_reader import MAX_HEAD_BYTES, MAX_LINE_BYTES
from edge.http.shares import Seat, Shares
from tests.edge.conftest import RunningHome
from tests.edge.raw_client import ANN, BOB, RawClient, raw_client_to
from tests.support.program import Program, running_program
from tests.support.waiting import eventually

ROOM = Limits(max_connections=40, per_address=30, per_user=4, reserve=0.5, unfinished_bytes=100_000)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture
def limits() -> Limits:
    return ROOM


def shares(*proxies: str, **bounds: int) -> Shares:
    return Shares(Limits(**bounds), TrustedProxies(map(ip_network, proxies)))  # type: ignore[arg-type]


class Headers(dict[str, str]):
    """The headers of a request, of which one may come in several lines."""

    def getall(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        return (self[name],) if name in self else default


def through(client: str) -> Headers:
    return Headers({"X-Forwarded-For": client})


def seats(count: int, of: Shares) -> list[Seat]:
    return [Seat(of) for _ in range(count)]


def test_an_address_holds_a_quarter_unless_told_otherwise():
    assert (Limits(max_connections=100).most_per_address, Limits(max_connections=2).most_per_address) == (25, 1)
    assert Limits(max_connections=100, per_address=7).most_per_address == 7
    assert (Limits(max_connections=100).most_that_stay, Limits(max_connections=3).most_that_stay) == (95, 3)


def test_the_connections_of_an_address_are_counted_until_they_are_gone():
    all_of_them = shares(max_connections=8)
    one, two, three, other = seats(4, all_of_them)
    one.arrive("192.0.2.1")
    two.arrive("192.0.2.1")
    with pytest.raises(TooManyRequests):
        three.arrive("192.0.2.1")
    other.arrive("192.0.2.2")
    one.leave()
    one.leave()
    three.arrive("192.0.2.1")
    for seat in (two, three, other):
        seat.leave()
    assert (all_of_them.addresses, all_of_them.users) == ({}, {})
    assert all_of_them.refused == {"address": 1}


def test_a_network_of_ipv6_is_one_address():
    all_of_them = shares(per_address=1)
    one, two, three = seats(3, all_of_them)
    one.arrive("2001:db8:1:1::1")
    with pytest.raises(TooManyRequests):
        two.arrive("2001:db8:1:1:ffff::1")
    three.arrive("2001:db8:1:2::1")


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_names():
    all_of_them = shares("10.0.0.0/8", per_address=1)
    one, two = seats(2, all_of_them)
    for seat in (one, two):
        seat.arrive("10.0.0.1")
    one.name("10.0.0.1", through("192.0.2.1"))
    with pytest.raises(TooManyRequests):
        two.name("10.0.0.1", through("192.0.2.1"))
    two.name("10.0.0.1", through("192.0.2.2"))
    one.name("10.0.0.1", through("192.0.2.3"))
    two.name("10.0.0.1", through("192.0.2.1"))
    assert all_of_them.addresses == {"192.0.2.3": 1, "192.0.2.1": 1}


def test_who_is_no_proxy_is_not_believed():
    all_of_them = shares("10.0.0.0/8")
    (seat,) = seats(1, all_of_them)
    seat.arrive("192.0.2.1")
    seat.name("192.0.2.1", through("192.0.2.2"))
    assert all_of_them.addresses == {"192.0.2.1": 1}


def test_a_connection_belongs_to_the_user_of_its_last_request():
    all_of_them = shares(per_user=1)
    one, two = seats(2, all_of_them)
    one.belong_to(1)
    with pytest.raises(TooManyRequests):
        two.belong_to(1)
    one.belong_to(2)
    two.belong_to(1)
    assert all_of_them.users == {2: 1, 1: 1}


def test_of_requests_that_have_not_come_whole_an_address_holds_a_quarter():
    all_of_them = shares(unfinished_bytes=100)
    all_of_them.hold("192.0.2.1", 25)
    with pytest.raises(Unavailable):
        all_of_them.hold("192.0.2.1", 1)
    all_of_them.hold("192.0.2.1", -26)
    all_of_them.hold("", 100)
    with pytest.raises(Unavailable):
        all_of_them.hold("192.0.2.2", 1)
    all_of_them.hold("", -100)
    all_of_them.hold("192.0.2.2", -1)
    assert (all_of_them.unfinished_bytes, all_of_them.unfinished) == (0, {})


# -- through the door


async def test_a_user_has_so_many_connections_and_no_more(home: RunningHome):
    async with AsyncExitStack() as stack:
        raw_clients = [await stack.enter_async_context(raw_client_to(home.edge.port)) for _ in range(6)]
        statuses = [(await each.ask("GET", "/v1/contacts", headers=ANN)).status for each in raw_clients]
        assert statuses == [200] * 4 + [429] * 2
        assert await raw_clients[-1].rest() == b"", "it is closed"
        assert (await raw_clients[0].ask("GET", "/v1/contacts", headers=ANN)).status == 200
        assert (await raw_clients[0].ask("GET", "/v1/contacts", headers=BOB)).status == 200
        assert home.edge.http.shares.users == {1: 3, 2: 1}
    await eventually(lambda: not home.edge.http.shares.users and not home.edge.http.shares.addresses)


async def test_a_back_connection_keeps_its_seat(home: RunningHome):
    async with raw_client_to(home.edge.port) as raw_client:
        await raw_client.log_in()
        assert home.edge.http.shares.users == {1: 1}
        assert home.edge.http.shares.addresses == {"127.0.0.1": 1}
    await eventually(lambda: not home.edge.http.shares.users and not home.edge.http.shares.addresses)


async def test_the_last_places_are_for_calls(home: RunningHome):
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(raw_client_to(home.edge.port))
        await eventually(lambda: home.edge.metrics.connections() == 20)
        late = await stack.enter_async_context(raw_client_to(home.edge.port))
        answer = await late.ask("POST", "/v1/back-connection", {}, ANN)
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        late = await stack.enter_async_context(raw_client_to(home.edge.port))
        answer = await late.ask("GET", "/v1/contacts", headers=ANN)
        assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_a_head_is_bounded_as_a_whole(home: RunningHome, raw_client: RawClient):
    line = b"X-%d: " + b"x" * (MAX_LINE_BYTES - 100) + b"\r\n"
    raw_client.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n")
    for number in range(MAX_HEAD_BYTES // MAX_LINE_BYTES + 1):
        raw_client.send(line % number)
    assert (await raw_client.response()).status in (413, 503)
    await eventually(lambda: home.edge.http.shares.unfinished_bytes == 0)


@pytest.mark.parametrize("proxies", [["127.0.0.1"]], indirect=True)
async def test_a_connection_of_a_proxy_counts_for_a_client_while_it_serves_that_client(home: RunningHome, raw_client: RawClient):
    shares = home.edge.http.shares
    headers = {**ANN, "X-Forwarded-For": "192.0.2.1"}
    assert (await raw_client.ask("GET", "/v1/contacts", headers=headers)).status == 200
    assert (shares.addresses, shares.users) == ({}, {})
    await raw_client.log_in(headers)
    assert (shares.addresses, shares.users) == ({"192.0.2.1": 1}, {1: 1})


# -- as one program sees another


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    async with running_program(tmp_path, {"FLASH_MAX_CONNECTIONS": "80"}) as program:
        yield program


async def hold(port: int, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))


async def test_one_address_alone_fills_no_server(program: Program):
    """On 79ccbf3 nobody else found a place: `503`."""
    held = [await hold(program.port, "127.0.0.2") for _ in range(100)]
    reader, writer = await hold(program.port, "127.0.0.3")
    writer.write(HEALTH)
    assert (await reader.readline()).split()[1] == b"200"
    for _, other in [*held, (reader, writer)]:
        other.close()


async def test_unfinished_heads_hold_little(program: Program):
    """On 79ccbf3 each took half a megabyte and was waited for."""
    reader, writer = await hold(program.port, "127.0.0.2")
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: h\r\n")
    for number in range(12):
        writer.write(b"X-%d: %b\r\n" % (number, b"x" * 8_000))
    assert (await asyncio.wait_for(reader.readline(), 10)).split()[1] == b"413"
    writer.close()
