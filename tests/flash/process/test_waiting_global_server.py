"""A Global Server that waits for its ops listens, says what for, and goes on once they have accepted. Rule: over real HTTP, no restart."""

import asyncio
import shutil
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from domain.registry.registered_home import GLOBAL
from flash.process.compose import running_global
from flash.process.settings import Settings
from servers.encryption.key_tables import open_table
from servers.trust.records import Records
from servers.trust.wishes import Wish, make_wish
from tests.servers.registry import HERE, PASSWORD, House
from tests.support.ports import free_ports
from tests.support.waiting import eventually


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Bob registered after the log of its Global Server was copied, and the copy was put back."""
    async with House.open(tmp_path, lambda server: f"sqlite:///{tmp_path}/{server}.db") as house:
        server = await house.opens()
        await house.home("h1")
        await eventually(lambda: server.idle)
        await house.closes(server)
        shutil.copy(tmp_path / "global.db", tmp_path / "older")
        server = await house.opens()
        await house.home("h1")
        await server.register("bob", PASSWORD, {}, HERE)
        await eventually(lambda: server.idle)
        await house.closes(server)
        await asyncio.to_thread(set_back, tmp_path)
        yield house


def set_back(directory: Path) -> None:
    for path in directory.glob("global.db*"):
        path.unlink()
    shutil.move(directory / "older", directory / "global.db")


async def get(url: str, body: bytes | None = None) -> tuple[int, str]:
    """The status and the body of an answer, to a POST where there is a `body`; 0 where nobody listens."""

    def call() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:  # noqa: S310 - our own server
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except OSError:
            return 0, ""

    return await asyncio.to_thread(call)


async def test_it_says_what_it_waits_for_and_goes_on_after_accept(house: House) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    stop = asyncio.Event()

    async def serve() -> None:
        async with running_global(Settings(data=house.directory, ops=frozenset({"bob"})), port, house.broker):
            await stop.wait()

    serving = asyncio.create_task(serve())

    async def waits() -> bool:
        return "flash servers accept global" in (await get(f"{url}/readyz"))[1]

    await eventually(waits, 30)
    assert (await get(f"{url}/readyz"))[0] == 503
    assert (await get(f"{url}/healthz"))[0] == 200
    assert (await get(f"{url}/metrics"))[0] == 200
    status, page = await get(f"{url}/ops")
    assert (status, "flash servers accept global" in page, "<h1>Not ready</h1>" in page) == (503, True, True)
    assert (await get(f"{url}/ops/static/console.css"))[0] == 200
    for path, asked in (("/v1/tokens", b'{"handle":"bob","password":"x"}'), ("/v1/users/1", None), ("/ops/login", None)):
        status, body = await get(url + path, asked)
        assert (status, "was set back" in body) == (503, True), path
    with closing(open_table("", house.store_url, GLOBAL)) as table:
        make_wish(Records(table), Wish(kind="accept", home=GLOBAL))

    async def ready() -> bool:
        return (await get(f"{url}/readyz"))[0] == 200

    await eventually(ready, 30)
    assert (await get(f"{url}/v1/users/1"))[0] == 401
    assert (await get(f"{url}/ops/login"))[0] == 200
    stop.set()
    await serving
