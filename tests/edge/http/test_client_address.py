"""Whose address counts behind proxies. Rule: a client can write what it likes into its headers and gains nothing."""

import pytest

from edge.assembly import global_edge
from edge.http.client_address import TrustedProxies
from flash.process.settings import BadSetting, Settings
from tests.edge.raw_client import ANN, raw_client_to
from tests.edge.stand_ins import StandInGlobal, Tokens

PROXIES = TrustedProxies(Settings.read({"FLASH_TRUSTED_PROXIES": "10.0.0.5, 10.1.0.0/16,::1"}).trusted_proxies)


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("192.0.2.9", ["203.0.113.7"], "192.0.2.9"),  # no proxy of ours: it may say what it likes
        ("10.0.0.5", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.5", ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),  # what is left of it, the client wrote itself
        ("10.0.0.5", ["6.6.6.6", "203.0.113.7, 10.1.2.3"], "203.0.113.7"),  # two proxies of ours, two lines
        ("10.0.0.5", ["10.1.2.3"], "10.1.2.3"),  # a proxy's own request
        ("10.0.0.5", [], "10.0.0.5"),
        ("10.0.0.5", ["unknown"], "10.0.0.5"),
        ("10.0.0.5", ["203.0.113.7, garbage, 10.1.2.3"], "10.1.2.3"),
        ("::1", ["203.0.113.7:4711"], "203.0.113.7"),
        ("::ffff:10.0.0.5", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.5", ["6.6.6.6," * 5000 + "203.0.113.7"], "203.0.113.7"),
        ("", ["203.0.113.7"], ""),
    ],
)
def test_the_rightmost_hop_that_is_none_of_our_proxies_is_the_client(peer: str, lines: list[str], client: str) -> None:
    assert PROXIES.choose(peer, lines) == client


@pytest.mark.parametrize("text", ["localhost", "10.0.0.5/8", "10.0.0.0/8; ::1", "*"])
def test_a_proxy_that_is_no_address_stops_the_start(text: str) -> None:
    with pytest.raises(BadSetting, match="FLASH_TRUSTED_PROXIES"):
        Settings.read({"FLASH_TRUSTED_PROXIES": text})


@pytest.mark.parametrize(("trusted", "seen"), [("", "127.0.0.1"), ("127.0.0.0/8", "203.0.113.7")])
async def test_the_global_server_counts_by_it(trusted: str, seen: str) -> None:
    behind = StandInGlobal()
    edge = global_edge(behind, Tokens(), proxies=TrustedProxies(Settings.read({"FLASH_TRUSTED_PROXIES": trusted}).trusted_proxies))
    await edge.start("127.0.0.1", 0)
    try:
        async with raw_client_to(edge.port) as raw_client:
            body = {"handle": "ann", "password": "correct horse"}
            told = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7", "Forwarded": "for=9.9.9.9"}
            assert (await raw_client.ask("POST", "/v1/users", body, headers=told)).status == 201
            assert (await raw_client.ask("POST", "/v1/users/me/erase", {"password": "wrong"}, headers=told | ANN)).status == 401
    finally:
        await edge.stop(drain_s=0.1)
    assert behind.addresses == [seen] * 2
