"""Offers that lie. Rule: whatever an offer says, the home connects to the very peer that made it, or to nobody."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.assembly import home_edge
from edge.direct.config import DirectConfig
from edge.direct.line import may_be_told
from edge.http.client_address import TrustedProxies
from servers.sessions.route import DirectRoute
from tests.edge.conftest import RunningHome
from tests.edge.direct.callable_client import KEY, CallableClient, callable_client
from tests.edge.direct.test_direct import LOOPBACK, running
from tests.edge.raw_client import raw_client_to
from tests.edge.stand_ins import StandInHome, Tokens

ELSEWHERE = (
    "10.0.0.5",
    "192.0.2.1",
    "127.0.0.2",
    "::1",
    "::ffff:127.0.0.1",
    "169.254.1.1",
    "224.0.0.1",
    "0.0.0.0",  # noqa: S104 - nobody binds it
    "localhost",
    "x" * 45,
    "",
)


@pytest.fixture
async def client() -> AsyncIterator[CallableClient]:
    async with callable_client() as client:
        yield client


class Calls:
    """Where a home has tried to connect to. Nobody answers."""

    def __init__(self) -> None:
        self.there: list[tuple[str, int]] = []

    async def __call__(self, address: str, port: int, key: bytes, probe_s: float) -> tuple[None, str]:
        self.there.append((address, port))
        return None, "no_answer"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    port=st.one_of(st.none(), st.integers(-1, 70_000), st.sampled_from([0, 22, 1023, 1024, 65_535, 65_536])),
    local=st.one_of(st.none(), st.sampled_from(ELSEWHERE), st.text(max_size=50)),
    header=st.sampled_from(["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via", "Host", "Origin"]),
    said=st.sampled_from(ELSEWHERE[:-2]),
    from_elsewhere=st.booleans(),
)
async def test_a_home_connects_to_the_peer_that_offers_or_to_nobody(port, local, header, said, from_elsewhere):
    calls = Calls()
    async with running(call=calls) as home, callable_client() as client, raw_client_to(home.edge.port) as raw_client:
        session = (await raw_client.log_in())["session"]
        source = 0 if from_elsewhere else client.port
        await client.offers(home.edge.port, session, port=port, source=source, local=local, **{header: said})
        assert calls.there in ([], [("127.0.0.1", client.port)])
        assert client.called == 0
        if port not in (None, client.port) or from_elsewhere or header in ("X-Forwarded-For", "Forwarded", "Via"):
            assert calls.there == []


async def test_an_honest_offer_is_tried_there(client):
    calls = Calls()
    async with running(call=calls) as home, raw_client_to(home.edge.port) as raw_client:
        await client.offers(home.edge.port, (await raw_client.log_in())["session"], local="10.0.0.5")
    assert calls.there == [("127.0.0.1", client.port)]


@pytest.mark.parametrize("port", [-1, 0, 1, 22, 1023, 65_536])
async def test_ports_of_the_system_and_none_at_all_are_refused(client, port):
    calls = Calls()
    async with running(call=calls) as home, raw_client_to(home.edge.port) as raw_client:
        answer = await client.offers(home.edge.port, (await raw_client.log_in())["session"], port=port)
        assert (answer.status, answer.code, home.home.routes, calls.there) == (422, "invalid", [], [])


async def test_an_address_in_other_clothes_is_the_same_address(client):
    """On a socket for both families, 127.0.0.1 comes as ::ffff:127.0.0.1."""
    calls = Calls()
    edge = home_edge(behind := StandInHome(), Tokens(), direct=DirectConfig(call=calls))
    await edge.start("::", 0)
    try:
        async with raw_client_to(edge.port) as raw_client:
            answer = await client.offers(edge.port, (await raw_client.log_in())["session"])
        assert (answer.json["why"], behind.routes, calls.there) == ("not_allowed", ["not_allowed"], [])
    finally:
        await edge.stop(drain_s=0.1)


@pytest.mark.parametrize(
    "word",
    [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:%d/\r\n\r\n", b"FLASH/1 home 127.0.0.1 %d" + b"\n" * 65],
)
async def test_a_home_is_sent_nowhere_else(client, word):
    async with running() as home, callable_client() as trap, raw_client_to(home.edge.port) as raw_client:
        session = (await raw_client.log_in())["session"]
        offering = asyncio.ensure_future(client.offers(home.edge.port, session))
        line = await client.calls.get()
        await line.until(b"\n")
        line.send(word % trap.port)
        assert (await offering).json == {"reachable": False, "why": "wrong_answer"}
        assert (client.called, trap.called) == (1, 0)


async def test_a_user_offers_only_so_often(client):
    calls, burst = Calls(), DirectConfig().probes_burst
    async with running(call=calls) as home, raw_client_to(home.edge.port) as raw_client:
        session = (await raw_client.log_in())["session"]
        answers = [await client.offers(home.edge.port, session) for _ in range(burst + 1)]
        assert [answer.status for answer in answers] == [200] * burst + [429]
        assert (answers[-1].code, len(calls.there)) == ("too_many_requests", burst)


@pytest.mark.parametrize(
    ("local", "told"),
    [
        *((text, True) for text in ("10.0.0.5", "172.16.0.1", "192.168.1.7", "100.64.0.1", "fd00::5", "9.9.9.9", "::ffff:10.0.0.5")),
        *((text, False) for text in ELSEWHERE if text != "10.0.0.5"),
        *((text, False) for text in ("8.8.8.8", "172.32.0.1", "2620:fe::fe", "fe80::1", "2002:a00:1::1", "10.0.0.5:80", "010.0.0.5")),
    ],
)  # fmt: skip
def test_what_contacts_may_be_told_of_one_seen_at_a_public_address(local, told):
    assert may_be_told(local, "9.9.9.9", []) is told


def test_configured_networks_may_be_told_but_never_an_address_of_no_machine():
    everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    assert [text for text in ELSEWHERE if may_be_told(text, "9.9.9.9", everything)] == list(ELSEWHERE[:6])


@pytest.mark.parametrize(
    ("offer", "networks", "local"),
    [
        ({"local": "10.0.0.5"}, LOOPBACK, "10.0.0.5"),
        ({"local": "10.0.0.5", "source": 0}, LOOPBACK, "10.0.0.5"),  # as behind a NAT that rewrites ports
        ({"local": "10.0.0.5"}, [], "10.0.0.5"),
        ({"local": "127.0.0.1"}, [], "127.0.0.1"),  # where it is seen
        ({"local": "8.8.8.8"}, [], None),
        ({"local": "127.0.0.2"}, [], None),
        ({"local": "10.0.0.5", "Via": "1.1 proxy"}, LOOPBACK, None),
        ({}, [], None),
    ],
)
async def test_a_client_that_cannot_be_called_may_be_known_to_contacts_near_by(client, offer, networks, local):
    async with running(networks, call=Calls()) as home, raw_client_to(home.edge.port) as raw_client:
        session = home.home.sessions[(await raw_client.log_in())["session"]]
        session.route = DirectRoute("127.0.0.1", 1024, KEY)  # of an offer before, which is over
        await client.offers(home.edge.port, session.id, **offer)
        known = DirectRoute("127.0.0.1", client.port, KEY, called=False, local=local)
        assert session.route == (None if local is None else known)


async def test_behind_a_known_proxy_nobody_counts_as_near_by(client):
    calls = Calls()
    async with running(proxies=TrustedProxies(LOOPBACK), call=calls) as home, raw_client_to(home.edge.port) as raw_client:
        session: RunningHome = home.home.sessions[(await raw_client.log_in())["session"]]
        await client.offers(home.edge.port, session.id, local="10.0.0.5")
        assert (session.route, calls.there) == (None, [])
