"""Every call of a home, as the protocol's table has it."""

import msgspec
import pytest

from domain.errors import TooManyRequests, Unavailable
from edge.contracts import answers
from servers.sessions.sessions import Hello
from tests.edge.conftest import RunningHome
from tests.edge.raw_client import ANN, BOB, RawClient
from tests.edge.stand_ins import NOWHERE, StandInSession

FAR = {"Authorization": "Bearer far-token"}
MESSAGE = {"id": "m1", "to": 2, "text": "pop over?", "in_reply_to": None, "urgent": False}


async def test_ann_sends_and_is_told_when_it_was_accepted(home: RunningHome, raw_client: RawClient):
    answer = await raw_client.ask("POST", "/v1/messages", MESSAGE, ANN)
    assert (answer.status, answer.json) == (202, {"id": "m1", "accepted_at": "2023-11-14T22:13:20.250000Z"})
    assert home.home.sent == [(1, "m1", 2, "pop over?")]
    assert answer.headers["cache-control"] == "no-store"


async def test_a_whole_number_may_be_written_with_a_fraction_of_zero(home: RunningHome, raw_client: RawClient):
    for number in (b"2.0", b"2e0", b"0.2e1"):
        body = b'{"id":"m1","to":%b,"text":"pop over?"}' % number
        assert (await raw_client.ask("POST", "/v1/messages", body, ANN)).status == 202
    assert home.home.sent == [(1, "m1", 2, "pop over?")] * 3
    wrong: tuple[tuple[bytes, str], ...] = (
        *((number, "to") for number in (b"2.5", b"0.0", b"1e30", b"1e999", b'"2.0"', b"true")),
        (b'2.0,"urgent":1.0', "urgent"),
        (b'2.0,"shoe":1', "shoe"),
    )
    for number, field in wrong:
        answer = await raw_client.ask("POST", "/v1/messages", b'{"id":"m1","text":"x","to":%b}' % number, ANN)
        assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid", field)
    assert len(home.home.sent) == 3


async def test_an_id_with_quotes_comes_back_as_it_was(home: RunningHome, raw_client: RawClient):
    answer = await raw_client.ask("POST", "/v1/messages", {"id": 'a"\\\u2028ö', "to": 2, "text": "x"}, ANN)
    assert answer.json["id"] == 'a"\\\u2028ö'


async def test_nobody_sends_to_one_who_is_not_a_contact(home: RunningHome, raw_client: RawClient):
    answer = await raw_client.ask("POST", "/v1/messages", {**MESSAGE, "to": 99}, ANN)
    assert (answer.status, answer.code, answer.json["uid"]) == (403, "not_a_contact", 99)


async def test_the_longest_text_passes_and_a_longer_one_is_too_large(home: RunningHome, raw_client: RawClient):
    assert (await raw_client.ask("POST", "/v1/messages", {**MESSAGE, "text": "😀" * 4096}, ANN)).status == 202
    answer = await raw_client.ask("POST", "/v1/messages", {**MESSAGE, "text": "x" * 4097}, ANN)
    assert (answer.status, answer.code, answer.json["field"]) == (413, "too_large", "text")
    assert len(home.home.sent) == 1


async def test_an_ack_is_taken_and_one_for_an_unknown_session_is_not(home: RunningHome, raw_client: RawClient):
    home.home.sessions["s1"] = StandInSession("s1", 1, NOWHERE, Hello())
    home.home.sessions["s1"].sent = 18
    answer = await raw_client.ask("POST", "/v1/acks", {"session": "s1", "upto": 17}, ANN)
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers
    assert home.home.sessions["s1"].acked == 17
    for headers, session in ((BOB, "s1"), (ANN, "s9")):
        answer = await raw_client.ask("POST", "/v1/acks", {"session": session, "upto": 18}, headers)
        assert (answer.status, answer.code) == (409, "unknown_session")


async def test_contacts_are_put_listed_and_taken_away(home: RunningHome, raw_client: RawClient):
    created = await raw_client.ask("PUT", "/v1/contacts/2", {"alias": "Bobby", "notify": True}, ANN)
    changed = await raw_client.ask("PUT", "/v1/contacts/2", {}, ANN)
    assert (created.status, changed.status) == (201, 200)
    assert (created.json["alias"], changed.json["alias"]) == ("Bobby", None)
    listed = await raw_client.ask("GET", "/v1/contacts", headers=ANN)
    contacts = msgspec.json.decode(listed.body, type=answers.Contacts)
    assert [contact.uid for contact in contacts.contacts] == [2]
    assert (await raw_client.ask("DELETE", "/v1/contacts/2", headers=ANN)).status == 204
    assert (await raw_client.ask("GET", "/v1/contacts", headers=ANN)).json == {"contacts": []}
    unknown = await raw_client.ask("PUT", "/v1/contacts/77", {}, ANN)
    assert (unknown.status, unknown.code) == (404, "unknown_user")


async def test_done_takes_the_id_from_the_address(home: RunningHome, raw_client: RawClient):
    for id in ("a/b ö", "m2"):
        assert (await raw_client.ask("POST", "/v1/messages", {**MESSAGE, "id": id, "to": 1}, BOB)).status == 202
    assert (await raw_client.ask("POST", "/v1/messages/a%2Fb%20%C3%B6/done", headers=ANN)).status == 204
    assert (await raw_client.ask("POST", "/v1/messages/m2/done", {}, ANN)).status == 204
    assert home.home.finished == ["a/b ö", "m2"]
    for message_id in ("unknown", "x" * 65):
        answer = await raw_client.ask("POST", f"/v1/messages/{message_id}/done", headers=ANN)
        assert (answer.status, answer.code) == (404, "unknown_message")


async def test_a_status_is_chosen_until_a_time(home: RunningHome, raw_client: RawClient):
    body = {"status": "away", "note": "lunch", "until": "2030-01-01T02:00:00.5+02:00"}
    assert (await raw_client.ask("PUT", "/v1/status", body, ANN)).status == 204
    assert home.home.statuses[1] == ("away", "lunch", 1893456000.5)
    assert (await raw_client.ask("PUT", "/v1/status", {"status": "dnd"}, ANN)).status == 204
    assert home.home.statuses[1] == ("dnd", "", None)
    for bad in ({"status": "offline"}, {"status": "away", "until": "2030-01-01T02:00:00"}, {"status": "away", "until": 5}):
        answer = await raw_client.ask("PUT", "/v1/status", bad, ANN)
        assert (answer.status, answer.code) == (422, "invalid")


async def test_a_user_of_another_home_is_sent_there(home: RunningHome, raw_client: RawClient):
    for method, path, body in (("GET", "/v1/contacts", None), ("POST", "/v1/messages", MESSAGE), ("POST", "/v1/back-connection", None)):
        answer = await raw_client.ask(method, path, body, FAR)
        assert (answer.status, answer.code) == (421, "not_your_home")
        assert answer.json["home"] == {"name": "h2", "url": "http://h2.example"}
    assert home.home.calls == 0


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer forged", "Basic YW5u", "ann-token", "Bearer ann-token ann-token", "Bearer " + "x" * 5000],
)
async def test_nothing_is_done_without_a_valid_token(home: RunningHome, raw_client: RawClient, authorization: str):
    answer = await raw_client.ask("POST", "/v1/messages", MESSAGE, {"Authorization": authorization})
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert home.home.calls == 0


async def test_the_scheme_may_be_written_in_any_case(home: RunningHome, raw_client: RawClient):
    assert (await raw_client.ask("GET", "/v1/contacts", headers={"authorization": "bEARER ann-token"})).status == 200


async def test_a_store_that_is_away_says_when_to_come_again(home: RunningHome, raw_client: RawClient):
    home.home.refusal = Unavailable("The store is away.", retry_after_s=3)
    answer = await raw_client.ask("POST", "/v1/messages", MESSAGE, ANN)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "3")
    home.home.refusal = TooManyRequests()
    answer = await raw_client.ask("POST", "/v1/messages", MESSAGE, ANN)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "too_many_requests", "1")


async def test_a_mistake_of_ours_is_said_without_details(home: RunningHome, raw_client: RawClient, capsys: pytest.CaptureFixture[str]):
    home.home.refusal = ValueError("secret text")
    answer = await raw_client.ask("POST", "/v1/messages", MESSAGE, ANN)
    assert (answer.status, answer.code) == (500, "internal")
    out = capsys.readouterr().out
    assert b"secret" not in answer.body
    assert "secret" not in out
    assert out.count("edge.unhandled") == 1
    assert "ValueError" in out
    home.home.refusal = None
    assert (await raw_client.ask("POST", "/v1/messages", MESSAGE, ANN)).status == 202
