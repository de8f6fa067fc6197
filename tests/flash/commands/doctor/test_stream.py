"""`flash doctor --as ann`: what it makes of each way a back connection can go. Rule: scripted here; real proxies: tests/network."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from flash.commands.doctor.machine import FAILURE, OK, Remark
from flash.commands.doctor.stream import Timeouts, stream_remarks
from flash.process.settings import Settings
from flash_sdk import FlashClient, Grant
from tests.clients.sdk.peer import PASSWORD, Peer
from tests.support.ports import free_ports

IMPATIENT = Timeouts(welcome_s=0.3, late_s=0.2)


@pytest.fixture
async def home() -> AsyncIterator[Peer]:
    """Says what the test wants to be said."""
    async with Peer() as peer:
        yield peer


@pytest.fixture
async def ann(home: Peer) -> Grant:
    async with FlashClient(home.url) as client:
        return await client.login("ann", PASSWORD)


async def remarks(ann: Grant, url: str, server: str = "h1", port: int | None = None) -> list[Remark]:
    """`port`: where the home itself is thought to be."""
    return [each async for each in stream_remarks(Settings(), server, port or free_ports(1)[0], ann, url, IMPATIENT)]


@pytest.mark.parametrize("server", ["h1", "global"])
async def test_parts_come_at_once(home: Peer, ann: Grant, server: str) -> None:
    looking = asyncio.create_task(remarks(ann, home.url, server))
    line = await home.line()
    await line.welcome(blank_s=0.2)
    await line.part("message", **{"seq": 1, "id": "m1", "from": {"uid": 2, "handle": "bob", "name": "Bob"}, "text": "hi",
                                  "sent_at": "2030-01-02T03:04:05Z", "in_reply_to": None, "urgent": False})  # fmt: skip
    await line.part("blank")
    await line.part("blank")
    (remark,) = await looking
    assert (remark.check, remark.state) == ("stream", OK)
    assert not [body for body in home.bodies("/v1/acks") if body["upto"] > 0], "a message was taken away"
    assert home.bodies("/v1/logoff") == [{"session": "s1"}]


async def test_no_welcome_through_the_proxy_and_one_from_the_home_itself(home: Peer, ann: Grant) -> None:
    async with Peer() as proxy:
        looking = asyncio.create_task(remarks(ann, proxy.url, port=int(home.url.rpartition(":")[2])))
        await proxy.line()
        await (await home.line()).welcome()
        (remark,) = await looking
    assert (remark.state, "holds streams back" in remark.says, "proxy_buffering off" in remark.do) == (FAILURE, True, True)


async def test_no_welcome_anywhere(home: Peer, ann: Grant) -> None:
    (remark,) = await remarks(ann, home.url)
    assert (remark.state, "nor at" in remark.says) == (FAILURE, True)


@pytest.mark.parametrize("blanks", [0, 1])
async def test_a_welcome_and_then_nothing(home: Peer, ann: Grant, blanks: int) -> None:
    looking = asyncio.create_task(remarks(ann, home.url))
    line = await home.line()
    await line.welcome(blank_s=0.2)
    for _ in range(blanks):
        await line.part("blank")
    (remark,) = await looking
    assert (remark.state, "blanks did not" in remark.says, "haproxy" in remark.do) == (FAILURE, True, True)


@pytest.mark.parametrize("blanks", [0, 1], ids=["before the first blank", "after an early blank"])
async def test_a_connection_that_is_cut(home: Peer, ann: Grant, blanks: int) -> None:
    looking = asyncio.create_task(remarks(ann, home.url))
    line = await home.line()
    await line.welcome()
    for _ in range(blanks):
        await line.part("blank")
    line.cut()
    (remark,) = await looking
    assert (remark.state, "ends back connections" in remark.says, "proxy_read_timeout" in remark.do) == (FAILURE, True, True)


async def test_one_who_lives_elsewhere_one_who_is_refused_and_a_home_that_is_away(home: Peer, ann: Grant) -> None:
    (remark,) = await remarks(ann, home.url, "h2")
    assert (remark.state, "lives at h1" in remark.says) == (FAILURE, True)
    home.answer("/v1/back-connection", 401, code="unauthorized", detail="This token is no good.")
    (remark,) = await remarks(ann, home.url)
    assert (remark.state, "refuses ann" in remark.says, "flash login ann" in remark.do) == (FAILURE, True, True)
    (remark,) = await remarks(ann, f"http://127.0.0.1:{free_ports(1)[0]}")
    assert (remark.state, "makes no back connection" in remark.says) == (FAILURE, True)
