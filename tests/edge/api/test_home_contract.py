"""What a home answers over bytes, whether the stand-in of these tests or a real home is behind the edge. Rule: the stand-in must not lie.

Ann and Bob live at h1. Nothing is looked at but answers.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.assembly import home_edge
from edge.contracts import answers
from edge.http.server import EdgeServer
from servers.sessions import views
from tests.edge.raw_client import ANN, BOB, RawClient, raw_client_to
from tests.edge.stand_ins import StandInHome, Tokens
from tests.servers.homes import Town

MESSAGE = {"id": "m1", "to": 2, "text": "pop over?"}


@pytest.fixture(params=["stand-in", "real"])
async def edge(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EdgeServer]:
    town = Town(tmp_path)
    if request.param == "real":
        await town.start("h1")
        assert [town.person(handle, "h1").uid for handle in ("ann", "bob")] == [1, 2]
    edge = home_edge(town.homes["h1"] if town.homes else StandInHome(), Tokens())
    await edge.start("127.0.0.1", 0)
    yield edge
    await edge.stop(drain_s=0.1)
    await town.stop()


@pytest.fixture
async def raw_client(edge: EdgeServer) -> AsyncIterator[RawClient]:
    async with raw_client_to(edge.port) as raw_client:
        yield raw_client


async def polls(raw_client: RawClient, who: dict[str, str], **body: Any) -> answers.Parts:
    answer = await raw_client.ask("POST", "/v1/parts", {"wait_s": 5, **body}, who)
    assert answer.status == 200
    return msgspec.json.decode(answer.body, type=answers.Parts)


async def test_a_login_by_poll_is_welcomed(raw_client: RawClient) -> None:
    opened = await polls(raw_client, ANN)
    assert [part.part for part in opened.parts] == ["welcome"]
    welcome = msgspec.json.decode(opened.parts[0].body, type=views.Welcome)
    assert (welcome.session, welcome.uid, welcome.contacts, welcome.resume.verdict) == (opened.session, 1, [], "fresh")


async def test_contacts_are_put_listed_and_taken_away(raw_client: RawClient) -> None:
    created = await raw_client.ask("PUT", "/v1/contacts/2", {"alias": "Bobby", "notify": True}, ANN)
    changed = await raw_client.ask("PUT", "/v1/contacts/2", {}, ANN)
    assert (created.status, changed.status) == (201, 200)
    expected = views.Contact(2, "bob", "Bob", "Bobby", True, views.Presence("offline", None, ""))
    assert msgspec.json.decode(created.body, type=views.Contact) == expected
    assert (changed.json["alias"], changed.json["notify"]) == (None, False)
    assert (await raw_client.ask("GET", "/v1/contacts", headers=ANN)).json == {"contacts": [changed.json]}
    for _ in range(2):  # a repeated request gets the same answer
        assert (await raw_client.ask("DELETE", "/v1/contacts/2", headers=ANN)).status == 204
    assert (await raw_client.ask("GET", "/v1/contacts", headers=ANN)).json == {"contacts": []}
    unknown = await raw_client.ask("PUT", "/v1/contacts/77", {}, ANN)
    assert (unknown.status, unknown.code, unknown.json["uid"]) == (404, "unknown_user", 77)


async def test_a_contact_is_sent_to_and_nobody_else(raw_client: RawClient) -> None:
    refused = await raw_client.ask("POST", "/v1/messages", {**MESSAGE, "to": 3}, ANN)
    assert (refused.status, refused.code, refused.json["uid"]) == (403, "not_a_contact", 3)
    await raw_client.ask("PUT", "/v1/contacts/2", {}, ANN)
    # The stand-in takes Ann and Bob for each other's contacts from the start, so that most tests need not say so.
    sent, again = [await raw_client.ask("POST", "/v1/messages", MESSAGE, ANN) for _ in range(2)]
    assert (sent.status, again.status) == (202, 202)
    assert sent.json.keys() == {"id", "accepted_at"}
    assert sent.json == again.json
    no_ticket = await raw_client.ask("POST", "/v1/messages", {**MESSAGE, "id": "m2", "ticket": "made up"}, ANN)
    assert (no_ticket.status, no_ticket.json.keys()) == (202, {"id", "accepted_at"})
    long = await raw_client.ask("POST", "/v1/messages", {**MESSAGE, "text": "x" * 4097}, ANN)
    assert (long.status, long.code, long.json["field"]) == (413, "too_large", "text")


async def test_what_was_sent_is_acknowledged_and_nothing_beyond(edge: EdgeServer, raw_client: RawClient) -> None:
    bob = await polls(raw_client, BOB)
    for headers, session in ((ANN, bob.session), (BOB, "made up")):
        answer = await raw_client.ask("POST", "/v1/acks", {"session": session, "upto": 0}, headers)
        assert (answer.status, answer.code) == (409, "unknown_session")
    assert (await raw_client.ask("POST", "/v1/acks", {"session": bob.session, "upto": 0}, BOB)).status == 204
    beyond = await raw_client.ask("POST", "/v1/acks", {"session": bob.session, "upto": 1}, BOB)
    assert (beyond.status, beyond.code, beyond.json["field"]) == (422, "invalid", "upto")


async def test_done_is_for_a_message_that_one_has_received(raw_client: RawClient) -> None:
    for who, contact in ((ANN, 2), (BOB, 1)):
        await raw_client.ask("PUT", f"/v1/contacts/{contact}", {}, who)
    await raw_client.ask("POST", "/v1/messages", MESSAGE, ANN)
    for headers, id in ((ANN, "m1"), (BOB, "made-up")):
        answer = await raw_client.ask("POST", f"/v1/messages/{id}/done", headers=headers)
        assert (answer.status, answer.code) == (404, "unknown_message")


async def test_a_status_lasts_until_a_time_to_come(raw_client: RawClient) -> None:
    for body in ({"status": "away", "until": "2999-01-01T00:00:00Z"}, {"status": "dnd", "note": "lunch"}):
        assert (await raw_client.ask("PUT", "/v1/status", body, ANN)).status == 204
    answer = await raw_client.ask("PUT", "/v1/status", {"status": "away", "until": "1999-01-01T00:00:00Z"}, ANN)
    assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid", "until")


async def test_a_session_ends_with_a_goodbye_and_only_by_its_user(raw_client: RawClient) -> None:
    opened = await polls(raw_client, ANN)
    for headers, session in ((BOB, opened.session), (ANN, "made up")):  # there is nothing to end, so nothing happens
        assert (await raw_client.ask("POST", "/v1/logoff", {"session": session}, headers)).status == 204
    assert (await raw_client.ask("POST", "/v1/acks", {"session": opened.session, "upto": 0}, ANN)).status == 204
    assert (await raw_client.ask("POST", "/v1/logoff", {"session": opened.session}, ANN)).status == 204
    said = await polls(raw_client, ANN, session=opened.session)
    assert [part.part for part in said.parts] == ["goodbye"]
    assert json.loads(bytes(said.parts[0].body)) == {"reason": "logoff", "reconnect_after_s": None}
    over = await raw_client.ask("POST", "/v1/acks", {"session": opened.session, "upto": 0}, ANN)
    assert (over.status, over.code) == (409, "unknown_session")


async def test_without_a_direct_line_there_is_no_ticket(raw_client: RawClient) -> None:
    await raw_client.ask("PUT", "/v1/contacts/2", {}, ANN)
    answer = await raw_client.ask("POST", "/v1/tickets", {"to": 2}, ANN)
    assert (answer.status, answer.code) == (404, "no_route")


async def test_an_offer_names_a_session(raw_client: RawClient) -> None:
    offer = {"session": "made up", "port": 40_000, "key": "A" * 43 + "="}
    answer = await raw_client.ask("PUT", "/v1/direct", offer, ANN)
    assert (answer.status, answer.code) == (409, "unknown_session")
