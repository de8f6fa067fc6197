"""Every call of the Global Server, as the protocol's table has it."""

import msgspec
import pytest

from servers.global_server import views
from tests.edge.conftest import RunningGlobal
from tests.edge.raw_client import ANN, raw_client_to

REGISTER = {"handle": "Ann", "password": "correct horse", "profile": {"full_name": "Ann Smith", "state": "Florida"}}


async def test_ann_registers_gets_a_token_and_is_found(global_server: RunningGlobal):
    async with raw_client_to(global_server.edge.port) as raw_client:
        registered = await raw_client.ask("POST", "/v1/users", REGISTER)
        assert registered.status == 201
        assert msgspec.json.decode(registered.body, type=views.Grant).handle == "ann"
        assert global_server.server.addresses == ["127.0.0.1"]
        again = await raw_client.ask("POST", "/v1/users", REGISTER)
        assert (again.status, again.code) == (409, "handle_taken")

        granted = await raw_client.ask("POST", "/v1/tokens", {"handle": "ANN", "password": "correct horse"})
        assert granted.status == 200
        for wrong in ({"handle": "ann", "password": "wrong"}, {"handle": "", "password": ""}):
            refused = await raw_client.ask("POST", "/v1/tokens", wrong)
            assert (refused.status, refused.code) == (401, "bad_credentials")

        found = await raw_client.ask("GET", "/v1/users?q=smith+florida&full_name=ann%20s&limit=5&cursor=c1", headers=ANN)
        assert msgspec.json.decode(found.body, type=views.Users).users[0].profile["state"] == "Florida"
        assert global_server.server.searched == [("smith florida", {"full_name": "ann s"}, 5, "c1")]

        for path in ("/v1/users/1", "/v1/users/by-handle/Ann", "/v1/users/by-handle/%61nn"):
            user = await raw_client.ask("GET", path, headers=ANN)
            assert (user.status, user.json["handle"]) == (200, "ann")
        for path in ("/v1/users/2", "/v1/users/by-handle/bob", "/v1/users/by-handle/" + "x" * 33):
            missing = await raw_client.ask("GET", path, headers=ANN)
            assert (missing.status, missing.code) == (404, "unknown_user")


async def test_a_user_may_be_called_erase(global_server: RunningGlobal):
    async with raw_client_to(global_server.edge.port) as raw_client:
        await raw_client.ask("POST", "/v1/users", REGISTER | {"handle": "erase"})
        found = await raw_client.ask("GET", "/v1/users/by-handle/erase", headers=ANN)
        assert (found.status, found.json["handle"]) == (200, "erase")


async def test_a_profile_field_is_changed_emptied_or_left(global_server: RunningGlobal):
    async with raw_client_to(global_server.edge.port) as raw_client:
        await raw_client.ask("POST", "/v1/users", REGISTER)
        changed = await raw_client.ask("PATCH", "/v1/users/me", {"profile": {"full_name": None, "city": "Miami"}}, ANN)
        assert (changed.status, changed.json["profile"]) == (200, {"state": "Florida", "city": "Miami"})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"handle": "a"}, "handle"),
        ({"handle": "a" * 33}, "handle"),
        ({"handle": None}, "handle"),
        ({"handle": "00"}, "handle"),
        ({"handle": "ann\n"}, "handle"),
        ({"handle": "\u212aann"}, "handle"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"profile": {"shoe_size": "9"}}, "profile"),
        ({"profile": {"note": "x" * 501}}, "profile"),
        ({"profile": {"note": 5}}, "profile"),
        ({"profile": []}, "profile"),
        ({"role": "ops"}, "role"),
    ],
)
async def test_a_registration_out_of_bounds_names_the_field(global_server: RunningGlobal, change: dict[str, object], field: str):
    async with raw_client_to(global_server.edge.port) as raw_client:
        answer = await raw_client.ask("POST", "/v1/users", {**REGISTER, **change})
        assert (answer.status, answer.code) == (422, "invalid")
        assert answer.json["field"].startswith(field)
        assert answer.json["expected"]
    assert not global_server.server.users


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("q=a&q=b", "q"),
        ("shoe=9", "shoe"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("q", "query"),
        ("q=%ff", "query"),
        ("q=%ed%a0%80", "query"),
        ("&&", "query"),
        ("q=" + "x" * 501, "q"),
    ],
)
async def test_a_wrong_query_names_the_field(global_server: RunningGlobal, query: str, field: str):
    async with raw_client_to(global_server.edge.port) as raw_client:
        answer = await raw_client.ask("GET", f"/v1/users?{query}", headers=ANN)
        assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid", field)
    assert not global_server.server.searched


@pytest.mark.parametrize("uid", ["0", "-1", "abc", "1e3", "%D9%A1", "9223372036854775808", "99999999999999999999", "1.0"])
async def test_a_uid_is_a_number(global_server: RunningGlobal, uid: str):
    async with raw_client_to(global_server.edge.port) as raw_client:
        answer = await raw_client.ask("GET", f"/v1/users/{uid}", headers=ANN)
        assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid", "uid")
