"""What a token is good for, over HTTP against a whole installation. Rule: each place is asked, and all but its audience refuse."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.clients.tk.servers import RunningServer

PASSWORD = "correct horse battery"
SEPARATE = {"separate_tokens": True}
SIGN_IN = 303  # the console sends a stranger to its form
Session = aiohttp.ClientSession


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("audiences"), FLASH_OPS="opal,olga", FLASH_INTEGRATORS="crm=all") as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


async def registers(http: Session, server: RunningServer, handle: str, **more: object) -> Any:
    async with http.post(f"{server.url}/v1/users", json={"handle": handle, "password": PASSWORD, **more}) as answer:
        assert answer.status == 201, await answer.text()
        return await answer.json()


async def places(http: Session, server: RunningServer, grant: Any, token: str) -> dict[str, int]:
    """How each place answers a token."""
    bearer = {"Authorization": f"Bearer {token}"}

    async def status(method: str, url: str, headers: dict[str, str] = bearer, json: Any = None) -> int:
        async with http.request(method, url, headers=headers, json=json, allow_redirects=False) as answer:
            return answer.status

    return {
        "home": await status("GET", f"{grant['home']['url']}/v1/contacts"),
        "directory": await status("GET", f"{server.url}/v1/users/{grant['uid']}"),
        "profile": await status("PATCH", f"{server.url}/v1/users/me", json={"profile": {"city": "Miami"}}),
        "presence": await status("GET", f"{server.url}/v1/presence"),
        "console": await status("GET", f"{server.url}/ops", {"Cookie": f"flash_ops={token}"}),
    }


async def test_separate_tokens_are_good_for_one_server_each(http: Session, server: RunningServer) -> None:
    grant = await registers(http, server, "crm", **SEPARATE)
    refused = {"directory": 401, "profile": 401, "presence": 401}
    assert await places(http, server, grant, grant["token"]) == {"home": 200, **refused, "console": SIGN_IN}
    allowed = {"directory": 200, "profile": 200, "presence": 200}
    assert await places(http, server, grant, grant["global_token"]) == {"home": 401, **allowed, "console": SIGN_IN}


async def test_the_console_gives_a_token_that_is_good_nowhere_else(http: Session, server: RunningServer) -> None:
    grant = await registers(http, server, "opal")
    form = {"handle": "opal", "password": PASSWORD, "next": ""}
    ours = {"Sec-Fetch-Site": "same-origin"}
    async with http.post(f"{server.url}/ops/login", data=form, headers=ours, allow_redirects=False) as signed_in:
        cookie = SimpleCookie(signed_in.headers["Set-Cookie"])["flash_ops"]
    assert int(cookie["max-age"]) <= 12 * 3_600
    refused = {"home": 401, "directory": 401, "profile": 401, "presence": 401}
    assert await places(http, server, grant, cookie.value) == {**refused, "console": 200}


async def test_the_token_of_an_old_client_is_good_for_both_and_never_at_the_console(http: Session, server: RunningServer) -> None:
    await registers(http, server, "olga")
    async with http.post(f"{server.url}/v1/tokens", json={"handle": "olga", "password": PASSWORD}) as answer:
        grant = await answer.json()
    assert "global_token" not in grant
    mine = {"home": 200, "directory": 200, "profile": 200}
    assert await places(http, server, grant, grant["token"]) == {**mine, "presence": 403, "console": SIGN_IN}
    bearer = {"Authorization": f"Bearer {grant['token']}"}
    async with http.post(f"{server.url}/v1/users/{grant['uid']}/erase", headers=bearer, json={}) as erases:
        assert erases.status == 403, "a home sees this token, so it does not carry the role ops"


async def test_old_clients_can_be_refused(http: Session, tmp_path: Path) -> None:
    running = RunningServer(tmp_path, FLASH_OLD_CLIENTS="no")
    await asyncio.to_thread(running.start)
    try:
        async with http.post(f"{running.url}/v1/users", json={"handle": "ann", "password": PASSWORD}) as refused:
            told = await refused.json()
            assert (refused.status, told["code"], told["field"]) == (422, "invalid", "separate_tokens")
        grant = await registers(http, running, "ann", **SEPARATE)
        async with http.post(f"{running.url}/v1/tokens", json={"handle": "ann", "password": PASSWORD}) as again:
            assert again.status == 422
        assert (await places(http, running, grant, grant["token"]))["home"] == 200
    finally:
        await asyncio.to_thread(running.kill)
