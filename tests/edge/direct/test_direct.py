"""The direct line from a home to a client, byte for byte: who is called, what is said, and what happens when it breaks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.assembly import home_edge
from edge.direct.config import DirectConfig
from edge.direct.line import may_be_called
from edge.direct.two_way_outlet import MAX_UNCONFIRMED, TwoWayOutlet
from edge.http.client_address import TrustedProxies
from servers.sessions.parts import BLANK
from tests.edge.conftest import RunningHome
from tests.edge.direct.callable_client import KEY, CallableClient, callable_client
from tests.edge.raw_client import RawClient, raw_client_to
from tests.edge.stand_ins import StandInHome, StandInSession, Tokens, part
from tests.support.waiting import eventually

LOOPBACK = [ip_network("127.0.0.0/8")]


@contextlib.asynccontextmanager
async def running(networks=LOOPBACK, proxies=None, **config) -> AsyncIterator[RunningHome]:
    """A home that calls its clients in `networks`; `config`: the other fields of `DirectConfig`."""
    behind = StandInHome()
    edge = home_edge(behind, Tokens(), direct=DirectConfig(networks, **config), proxies=proxies)
    await edge.start("127.0.0.1", 0)
    try:
        yield RunningHome(edge, behind)
    finally:
        await edge.stop(drain_s=0.1)


@pytest.fixture
async def home() -> AsyncIterator[RunningHome]:
    async with running() as home:
        yield home


@pytest.fixture
async def client() -> AsyncIterator[CallableClient]:
    async with callable_client() as client:
        yield client


async def with_line(home: RunningHome, client: CallableClient, raw_client: RawClient) -> tuple[StandInSession, RawClient]:
    """A session that has just got its line, both ends read up to where parts begin."""
    session = home.home.sessions[(await raw_client.log_in())["session"]]
    offering = asyncio.ensure_future(client.offers(home.edge.port, session.id))
    line = await client.answers()
    assert (await offering).json == {"reachable": True, "why": None}
    assert await next_part(raw_client) == ("direct", {"active": True})
    assert await line.until(b"--flash\r\n") == b"--flash\r\n"
    return session, line


async def next_part(raw_client: RawClient) -> tuple[str, dict]:
    name, body = await raw_client.part()
    await raw_client.until(b"--flash\r\n")
    return name, body


def message(seq: int):
    return part("message", {"seq": seq}, seq)


NOBODYS = (
    "224.0.0.1",
    "255.255.255.255",
    "0.0.0.0",  # noqa: S104 - nobody binds it
    "0.1.2.3",
    "::",
    "ff02::1",
    "::ffff:0.0.0.0",
    "localhost",
    "",
    "a",
)  # whatever is configured


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("9.9.9.9", True),
        ("2620:fe::fe", True),
        ("::ffff:9.9.9.9", True),
        *((text, False) for text in (
            "10.1.2.3", "127.0.0.1", "169.254.1.1", "240.0.0.1", "100.64.0.1", "192.168.0.1", "::1", "fe80::1%eth0", "fc00::1",
            "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.1.1", "64:ff9b::a00:1", "2002:a00:1::1", "2001:db8::1", *NOBODYS,
        )),
    ],
)  # fmt: skip
def test_only_public_addresses_may_be_called(address, public):
    assert may_be_called(address, []) is public
    assert may_be_called(address, [ip_network("0.0.0.0/0"), ip_network("::/0")]) is (address not in NOBODYS)


async def test_parts_take_the_line_and_blanks_the_back_connection(home, client, raw_client):
    session, line = await with_line(home, client, raw_client)
    session.outlet.write((message(1), part("presence")))
    assert [await next_part(line), await next_part(line)] == [("message", {"seq": 1}), ("presence", {})]
    session.outlet.write((BLANK,))
    assert await next_part(raw_client) == ("blank", {})
    assert home.home.routes == [None]


async def test_what_the_client_has_not_taken_comes_over_the_back_connection_when_the_line_breaks(home, client, raw_client):
    session, line = await with_line(home, client, raw_client)
    session.outlet.write((message(1), message(2), message(3)))
    assert await next_part(line) == ("message", {"seq": 1})
    line.send((1).to_bytes(8))
    session.outlet.write((message(4),))
    await eventually(lambda: session.outlet.confirmed_count == 1)
    await line.close()
    assert [(await next_part(raw_client))[1]["seq"] for _ in range(3)] == [2, 3, 4]
    session.outlet.write((message(5),))
    assert await next_part(raw_client) == ("message", {"seq": 5})
    assert not isinstance(session.outlet, TwoWayOutlet)


async def test_a_client_that_takes_nothing_loses_the_line(client):
    async with running(stall_s=0.05) as home, raw_client_to(home.edge.port) as raw_client:
        session, _ = await with_line(home, client, raw_client)
        session.outlet.write((message(1),))
        assert await next_part(raw_client) == ("message", {"seq": 1})
        assert not isinstance(session.outlet, TwoWayOutlet)


async def test_a_line_holds_only_so_much_that_is_not_taken(home, client, raw_client):
    session, line = await with_line(home, client, raw_client)
    session.outlet.write(tuple(message(seq) for seq in range(MAX_UNCONFIRMED)))
    assert not session.outlet.writable
    resumed = session.resumed
    line.send((5).to_bytes(8))
    await eventually(lambda: session.resumed > resumed)
    assert session.outlet.writable


async def test_a_goodbye_comes_last_and_over_the_back_connection(home, client, raw_client):
    session, line = await with_line(home, client, raw_client)
    session.outlet.write((message(1),))
    session.outlet.write((part("goodbye", {"reason": "shutdown"}),))
    session.outlet.close()
    assert await next_part(raw_client) == ("message", {"seq": 1})
    assert (await raw_client.part())[0] == "goodbye"
    assert b'"seq":1' in await line.rest()


async def test_a_session_that_is_dropped_drops_both(home, client, raw_client):
    session, line = await with_line(home, client, raw_client)
    session.outlet.abort()
    assert (await line.rest(), await raw_client.rest()) == (b"", b"")
    await eventually(lambda: home.home.gone == [session])


async def test_a_newer_line_takes_the_place_of_the_older(home, client, raw_client):
    session, older = await with_line(home, client, raw_client)
    session.outlet.write((message(1),))
    offering = asyncio.ensure_future(client.offers(home.edge.port, session.id))
    newer = await client.answers()
    await offering
    assert [await next_part(raw_client), await next_part(raw_client)] == [("message", {"seq": 1}), ("direct", {"active": True})]
    session.outlet.write((message(2),))
    await newer.until(b"--flash\r\n")
    assert await next_part(newer) == ("message", {"seq": 2})
    assert b'"seq":2' not in await older.rest()


async def refused(home: RunningHome, client: CallableClient, raw_client: RawClient, trap: CallableClient, why: str, **offer) -> None:
    """The offer is answered with `why`, stored, and nobody was called."""
    session = (await raw_client.log_in())["session"]
    answer = await client.offers(home.edge.port, session, **offer)
    assert (answer.status, answer.json) == (200, {"reachable": False, "why": why})
    assert home.home.routes == [why]
    assert (client.called, trap.called) == (0, 0)
    assert not isinstance(home.home.sessions[session].outlet, TwoWayOutlet)


async def test_nobody_is_called_at_a_port_that_did_not_offer(home, client, raw_client):
    async with callable_client() as trap:
        await refused(home, client, raw_client, trap, "not_proven", port=trap.port)


async def test_an_offer_from_another_port_is_not_called(home, client, raw_client):
    async with callable_client() as trap:
        await refused(home, client, raw_client, trap, "not_proven", source=0)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
async def test_nobody_is_called_through_a_proxy_that_names_itself(home, client, raw_client, header):
    async with callable_client() as trap:
        await refused(home, client, raw_client, trap, "not_proven", **{header: "203.0.113.9"})


async def test_nobody_is_called_through_a_proxy_we_know(client):
    async with running(proxies=TrustedProxies(LOOPBACK)) as home, raw_client_to(home.edge.port) as raw_client, callable_client() as trap:
        await refused(home, client, raw_client, trap, "not_proven")


async def test_a_private_address_is_not_called_unless_allowed(client):
    async with running(networks=[]) as home, raw_client_to(home.edge.port) as raw_client, callable_client() as trap:
        await refused(home, client, raw_client, trap, "not_allowed")


async def test_a_port_below_1024_and_a_short_key_are_refused(home, client, raw_client):
    session = (await raw_client.log_in())["session"]
    for offer in ({"port": 22}, {"key": b"short"}):
        answer = await client.offers(home.edge.port, session, **offer)
        assert (answer.status, answer.code) == (422, "invalid")
    assert home.home.routes == []


async def test_nobody_offers_for_somebody_elses_session(home, client, raw_client):
    answer = await client.offers(home.edge.port, "bobs")
    assert (answer.code, client.called) == ("unknown_session", 0)


async def test_a_client_without_the_key_gets_nothing(home, client, raw_client):
    session = (await raw_client.log_in())["session"]
    offering = asyncio.ensure_future(client.offers(home.edge.port, session))
    line = await client.answers(key=KEY[::-1])
    assert (await offering).json == {"reachable": False, "why": "wrong_answer"}
    assert await line.rest() == b""


async def test_silence_is_no_answer_and_a_second_offer_waits(client):
    async with running(probe_s=0.1) as home, raw_client_to(home.edge.port) as raw_client:
        session = (await raw_client.log_in())["session"]
        offering = asyncio.ensure_future(client.offers(home.edge.port, session))
        await client.calls.get()
        async with callable_client() as other:
            assert (await other.offers(home.edge.port, session)).code == "too_many_requests"
        assert (await offering).json["why"] == "no_answer"


async def test_a_closed_port_is_no_answer(home, raw_client):
    session = (await raw_client.log_in())["session"]
    async with callable_client() as client:
        pass
    assert (await client.offers(home.edge.port, session)).json["why"] == "no_answer"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(min_size=8, max_size=200).filter(lambda junk: int.from_bytes(junk[: len(junk) // 8 * 8][-8:]) > 3))
async def test_junk_on_the_line_ends_it_and_loses_nothing(junk):
    async with running() as home, raw_client_to(home.edge.port) as raw_client, callable_client() as client:
        session, line = await with_line(home, client, raw_client)
        session.outlet.write((message(1), message(2), message(3)))
        line.send(junk)
        assert [(await next_part(raw_client))[1]["seq"] for _ in range(3)] == [1, 2, 3]
