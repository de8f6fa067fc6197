"""Being called directly by a real home: the line is used, breaks, is refused; whatever happens, each message once and in order."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flash.process.compose import running_all
from flash.process.settings import Settings
from flash_sdk import Direct, DirectTimeouts, FlashClient, Goodbye, Listener, Message, Pace
from flash_sdk.direct_port import MAX_CALLERS, DirectPort
from tests.clients.sdk.direct_ports import RecordingPort
from tests.clients.sdk.test_listen import next_of
from tests.support.ports import free_ports
from tests.support.waiting import eventually

LOOPBACK = (ip_network("127.0.0.0/8"),)
BURST = 120


@contextlib.asynccontextmanager
async def running_town(
    directory: Path, networks=LOOPBACK, timeouts: DirectTimeouts | None = None
) -> AsyncIterator[tuple[FlashClient, FlashClient]]:
    """Ann and Bob, each at a home of their own and on the other's list."""
    port = free_ports(3, in_a_row=True)[0]
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(running_all(Settings(data=directory, direct_networks=networks), 2, port))
        url, pace = f"http://127.0.0.1:{port}", Pace(first_s=0.01, longest_s=0.2)
        people = [await stack.enter_async_context(FlashClient(url, pace=pace, direct_timeouts=timeouts)) for _ in range(2)]
        for one, name in zip(people, ("ann", "bob"), strict=True):
            await one.register(name, "correct horse battery")
        ann, bob = people
        await ann.add_contact(bob.grant.uid)
        await bob.add_contact(ann.grant.uid)
        assert {ann.grant.home.name, bob.grant.home.name} == {"h1", "h2"}
        yield ann, bob


async def texts(events: Listener, count: int) -> list[str]:
    return [(await next_of(events, Message)).text for _ in range(count)]


@pytest.mark.parametrize("framing", ["multipart", "sse", "poll"])
async def test_a_popup_takes_the_direct_line(tmp_path: Path, framing):
    async with running_town(tmp_path) as (ann, bob), ann.listen(direct=(port := RecordingPort(ann)), framing=framing) as events:
        assert await next_of(events, Direct) == Direct(active=True)
        await bob.send(ann.grant.uid, "pop over?")
        assert await texts(events, 1) == ["pop over?"]
        assert "pop over?" in [part.body.get("text") for part in port.lines_made[0].came]


@pytest.mark.parametrize("direction", ["our end", "the middle"])
async def test_a_line_cut_in_the_middle_of_a_burst_loses_and_doubles_nothing(tmp_path: Path, direction):
    async with running_town(tmp_path) as (ann, bob), ann.listen(direct=(port := RecordingPort(ann))) as events:
        await next_of(events, Direct)

        async def burst() -> None:
            for number in range(BURST):
                await bob.send(ann.grant.uid, str(number))

        sending = asyncio.ensure_future(burst())
        shown = await texts(events, BURST // 4)
        if direction == "our end":
            port.lines_made[0].cut()
        else:  # what we say arrives no more, and the home must find that out by itself
            port.lines_made[0].mute = True
        shown += await texts(events, BURST - len(shown))
        await sending
        assert shown == [str(number) for number in range(BURST)]
        assert 0 < len([part for part in port.lines_made[0].came if part.name == "message"]) < BURST
        await bob.send(ann.grant.uid, "still there?")
        assert await texts(events, 1) == ["still there?"]


async def test_a_home_that_may_not_call_says_so_and_the_back_connection_serves(tmp_path: Path):
    async with running_town(tmp_path, networks=()) as (ann, bob), ann.listen(direct=(port := RecordingPort(ann))) as events:
        assert await next_of(events, Direct) == Direct(active=False, why="not_allowed")
        await bob.send(ann.grant.uid, "pop over?")
        assert (await texts(events, 1), port.lines) == (["pop over?"], 0)


async def test_without_an_offer_nothing_is_called(tmp_path: Path):
    async with running_town(tmp_path) as (ann, bob), ann.listen() as events:
        await bob.send(ann.grant.uid, "pop over?")
        kinds = []
        while kinds[-1:] != [Message]:
            kinds.append(type(await anext(events)))
        assert Direct not in kinds


async def test_logging_off_ends_both(tmp_path: Path):
    async with running_town(tmp_path) as (ann, _):
        events = ann.listen(direct=True)
        await next_of(events, Direct)
        ending = asyncio.ensure_future(next_of(events, Goodbye))
        await asyncio.wait({ending}, timeout=0)
        await ann.logoff()
        assert (await ending).reason == "logoff"
        assert [type(event).__name__ async for event in events] == ["Disconnected"]


async def test_texts_do_not_leave_tls():
    assert await DirectPort("https://flash.example", "token").offer("s") == "tls"


class OfferTaker:
    """A home that hears one offer and gives its answer when the test says so."""

    def __init__(self) -> None:
        self.offer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def take(self, request: web.Request) -> web.Response:
        self.offer.set_result(await request.json())
        return web.json_response(await self.answer)


@dataclass
class Offered:
    """A port whose offer the home has heard and not answered yet."""

    port: DirectPort
    number: int
    key: bytes
    answer: asyncio.Future[dict[str, Any]]
    offering: "asyncio.Task[str | None]"

    async def is_answered(self, **answer: Any) -> None:
        """The home answers the offer."""
        self.answer.set_result(answer)
        await self.offering


@contextlib.asynccontextmanager
async def listening(timeouts: DirectTimeouts | None = None) -> AsyncIterator[Offered]:
    """A port that awaits its home's call."""
    home = OfferTaker()
    app = web.Application()
    app.router.add_put("/v1/direct", home.take)
    async with TestServer(app) as server:
        port = DirectPort(str(server.make_url("")).rstrip("/"), "token", timeouts)
        offering = asyncio.create_task(port.offer("s"))
        try:
            offer = await home.offer
            yield Offered(port, offer["port"], base64.b64decode(offer["key"]), home.answer, offering)
        finally:
            if not home.answer.done():
                home.answer.set_result({})
            await offering
            port.close()


async def hung_up_on(offered: Offered, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", offered.number)
    with contextlib.suppress(ConnectionError):
        writer.write(said)
        await writer.drain()
        assert await reader.read() == b""
    writer.close()
    assert offered.port.take_line() is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.one_of(st.binary(max_size=400), st.binary(max_size=60).map(lambda some: b"FLASH/1 home " + some)))
async def test_junk_is_hung_up_on(junk):
    async with listening() as offered:
        await hung_up_on(offered, junk.replace(b"\n", b" ") + b"\n")


async def test_a_caller_without_the_key_is_hung_up_on():
    async with listening() as offered:
        await hung_up_on(offered, b"FLASH/1 home 00 " + b"0" * 64 + b"\n")


async def test_a_slow_caller_is_hung_up_on():
    async with listening(DirectTimeouts(greeting_s=0.05)) as offered:
        await hung_up_on(offered, b"FLASH/1")


async def test_nobody_gets_in_when_nothing_was_offered():
    async with listening() as offered:
        await offered.is_answered(reachable=True)  # the offer is over, and nobody has proven its key
        await hung_up_on(offered, b"")


async def test_only_so_many_callers_are_listened_to():
    async with listening() as offered, contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_CALLERS):
            _, writer = await asyncio.open_connection("127.0.0.1", offered.number)
            stack.callback(writer.close)
        await eventually(lambda: offered.port.callers == MAX_CALLERS)
        await hung_up_on(offered, b"")
