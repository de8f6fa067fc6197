"""`POST /v1/tickets`, and sending with a ticket, at the edge of a home: whose address counts, and what the answers look like."""

import pytest

from tests.edge.conftest import RunningHome
from tests.edge.raw_client import ANN, RawClient

BODY = {"id": "m1", "to": 2, "text": "pop over?"}


async def test_the_address_that_calls_is_the_one_that_counts(home: RunningHome, raw_client: RawClient):
    home.home.nearby.add(2)
    answer = await raw_client.ask("POST", "/v1/tickets", {"to": 2}, headers=ANN)
    assert (answer.status, answer.json["address"], answer.json["ticket"]) == (200, "127.0.0.1", "good")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
async def test_none_through_a_proxy(home: RunningHome, raw_client: RawClient, header):
    home.home.nearby.add(2)
    answer = await raw_client.ask("POST", "/v1/tickets", {"to": 2}, headers=ANN | {header: "10.0.0.1"})
    assert (answer.status, answer.code) == (404, "no_route")


async def test_a_stamp_comes_with_a_good_ticket_only(raw_client: RawClient):
    for ticket, fields in ((None, {"id", "accepted_at"}), ("bad", {"id", "accepted_at"}), ("good", {"id", "accepted_at", "stamp", "from"})):
        answer = await raw_client.ask("POST", "/v1/messages", BODY | {"ticket": ticket}, headers=ANN)
        assert (answer.status, set(answer.json)) == (202, fields)


async def test_a_refused_message_gets_none(raw_client: RawClient):
    answer = await raw_client.ask("POST", "/v1/messages", BODY | {"to": 99, "ticket": "good"}, headers=ANN)
    assert (answer.status, answer.code) == (403, "not_a_contact")
    answer = await raw_client.ask("POST", "/v1/messages", BODY | {"text": "x" * 4_097, "ticket": "good"}, headers=ANN)
    assert (answer.status, answer.code) == (413, "too_large")
