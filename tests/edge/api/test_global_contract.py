"""What the Global Server answers over bytes, whether the stand-in of these tests or a real one is behind the edge. Rule: the stand-in must
not lie. Nothing is looked at but answers."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from edge.assembly import global_edge
from edge.http.server import EdgeServer
from servers.global_server import views
from tests.edge.raw_client import RawClient, raw_client_to
from tests.edge.stand_ins import StandInGlobal, Tokens
from tests.servers.registry import PASSWORD, House

REGISTER = {"handle": "Ann", "password": PASSWORD, "profile": {"full_name": " Ann Smith ", "city": "", "state": "Florida"}}


@pytest.fixture(params=["stand-in", "real"])
async def edge(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EdgeServer]:
    async with House.open(tmp_path, lambda name: f"sqlite:///{tmp_path}/{name}.db") as house:
        if request.param == "real":
            server = await house.opens()
            await house.home("h1")
            edge = global_edge(server, server.verifier)
        else:
            edge = global_edge(StandInGlobal(), Tokens())
        await edge.start("127.0.0.1", 0)
        yield edge
        await edge.stop(drain_s=0.1)


@pytest.fixture
async def raw_client(edge: EdgeServer) -> AsyncIterator[RawClient]:
    async with raw_client_to(edge.port) as raw_client:
        yield raw_client


async def registers(raw_client: RawClient) -> tuple[views.Grant, dict[str, str]]:
    """Ann's grant, and the headers with which she asks."""
    answer = await raw_client.ask("POST", "/v1/users", REGISTER)
    assert answer.status == 201
    grant = msgspec.json.decode(answer.body, type=views.Grant)
    return grant, {"Authorization": f"Bearer {grant.token}"}


async def test_a_handle_is_given_once(raw_client: RawClient) -> None:
    grant, _ = await registers(raw_client)
    assert (grant.uid, grant.handle, grant.home.name) == (1, "ann", "h1")
    again = await raw_client.ask("POST", "/v1/users", REGISTER)
    assert (again.status, again.code, again.json["handle"]) == (409, "handle_taken", "ann")


async def test_the_password_gives_a_token_and_nothing_else_does(raw_client: RawClient) -> None:
    grant, _ = await registers(raw_client)
    answer = await raw_client.ask("POST", "/v1/tokens", {"handle": "ANN", "password": PASSWORD})
    again = msgspec.json.decode(answer.body, type=views.Grant)
    assert (answer.status, again.uid, again.home) == (200, grant.uid, grant.home)
    for wrong in ({"handle": "ann", "password": "wrong"}, {"handle": "bob", "password": PASSWORD}, {"handle": "", "password": ""}):
        refused = await raw_client.ask("POST", "/v1/tokens", wrong)
        assert (refused.status, refused.code) == (401, "bad_credentials")


async def test_a_user_is_found_as_they_registered(raw_client: RawClient) -> None:
    grant, ann = await registers(raw_client)
    expected = views.User(1, "ann", grant.home, {"full_name": "Ann Smith", "state": "Florida"})
    for path in ("/v1/users/1", "/v1/users/by-handle/Ann"):
        found = await raw_client.ask("GET", path, headers=ann)
        assert (found.status, msgspec.json.decode(found.body, type=views.User)) == (200, expected)
    page = await raw_client.ask("GET", "/v1/users?q=smith&state=flor", headers=ann)
    assert msgspec.json.decode(page.body, type=views.Users) == views.Users([expected], None)
    assert (await raw_client.ask("GET", "/v1/users?q=nobody", headers=ann)).json == {"users": [], "next": None}
    for path, field, value in (("/v1/users/2", "uid", 2), ("/v1/users/by-handle/bob", "handle", "bob")):
        missing = await raw_client.ask("GET", path, headers=ann)
        assert (missing.status, missing.code, missing.json[field]) == (404, "unknown_user", value)


async def test_a_profile_field_is_changed_emptied_or_left(raw_client: RawClient) -> None:
    _, ann = await registers(raw_client)
    changed = await raw_client.ask("PATCH", "/v1/users/me", {"profile": {"full_name": None, "city": " Miami "}}, ann)
    assert (changed.status, changed.json["profile"]) == (200, {"state": "Florida", "city": "Miami"})
    bad = await raw_client.ask("PATCH", "/v1/users/me", {"profile": {"city": "bell\u0007"}}, ann)
    assert (bad.status, bad.code, bad.json["field"]) == (422, "invalid", "profile.city")


async def test_who_leaves_is_gone(raw_client: RawClient) -> None:
    _, ann = await registers(raw_client)
    wrong = await raw_client.ask("POST", "/v1/users/me/erase", {"password": "wrong"}, ann)
    assert (wrong.status, wrong.code) == (401, "bad_credentials")
    others = await raw_client.ask("POST", "/v1/users/1/erase", {}, ann)  # without the role
    assert (others.status, others.code) == (403, "forbidden")
    assert (await raw_client.ask("POST", "/v1/users/me/erase", {"password": PASSWORD}, ann)).status == 204
    token = await raw_client.ask("POST", "/v1/tokens", {"handle": "ann", "password": PASSWORD})
    assert (token.status, token.code) == (401, "bad_credentials")
    bob = msgspec.json.decode((await raw_client.ask("POST", "/v1/users", REGISTER | {"handle": "bob"})).body, type=views.Grant)
    missing = await raw_client.ask("GET", "/v1/users/by-handle/ann", headers={"Authorization": f"Bearer {bob.token}"})
    assert (missing.status, missing.code) == (404, "unknown_user")
