"""Polling, streaming and everything in between, at a real home. Rule: whatever carries it, each message is shown once and in order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flash.process.compose import running_all
from flash.process.settings import Settings
from flash_sdk import Disconnected, FlashClient, Goodbye, Listener, MemorySeen, Message, Pace, Presence, Receipt, UnknownSession, Welcome
from flash_sdk.client import Framing
from tests.clients.sdk.raw import post_home
from tests.clients.sdk.test_listen import next_of
from tests.support.ports import free_ports

AT_ONCE = Pace(first_s=0.01, longest_s=0.2)
PASSWORD = "correct horse battery"


@dataclass
class Town:
    """A Flash with one home, where ann and bob live; each is the other's contact."""

    ann: FlashClient
    bob: FlashClient

    async def poll(self, **body: Any) -> dict[str, Any]:
        """One poll of ann's, as any client in any language makes it."""
        return await post_home(self.ann, "/v1/parts", body)


@contextlib.asynccontextmanager
async def running_town(directory: Path, blank_s: float = 30.0) -> AsyncIterator[Town]:
    """A town; its people outlive its servers."""
    port = free_ports(2, in_a_row=True)[0]
    async with contextlib.AsyncExitStack() as people, contextlib.AsyncExitStack() as servers:
        await servers.enter_async_context(running_all(Settings(data=directory, blank_s=blank_s), 1, port))
        ann, bob = [
            await people.enter_async_context(FlashClient(f"http://127.0.0.1:{port}", client=name, pace=AT_ONCE)) for name in ("ann", "bob")
        ]
        for one in (ann, bob):
            await one.register("ann" if one is ann else "bob", PASSWORD)
        await ann.add_contact(bob.grant.uid)
        await bob.add_contact(ann.grant.uid)
        yield Town(ann, bob)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with running_town(tmp_path) as town:
        yield town


async def texts(events: Listener, count: int) -> list[str]:
    """The texts of the next messages; the last one stays in hand."""
    return [(await next_of(events, Message)).text for _ in range(count)]


async def test_a_popup_comes_at_once_and_its_sender_hears_of_it(town: Town) -> None:
    async with town.ann.listen(framing="poll") as ann, town.bob.listen(framing="poll") as bob:
        assert (await next_of(ann, Welcome)).contacts[0].handle == "bob"
        await next_of(bob, Welcome)
        assert (await next_of(ann, Presence)).changes[0].presence.status == "online"
        asked = asyncio.ensure_future(next_of(ann, Message))
        sent = await town.bob.send(town.ann.grant.uid, "pop over?")
        assert (await asked).text == "pop over?"
        taking = asyncio.ensure_future(next_of(ann, Message))
        receipt = await next_of(bob, Receipt)  # long before ann's next poll would end by itself
        assert (receipt.id, receipt.state) == (sent.id, "delivered")
        await town.bob.send(town.ann.grant.uid, "well?")
        assert (await taking).text == "well?"


async def test_a_conversation_goes_on_over_multipart_polls_and_events(town: Town) -> None:
    seen, shown, framings = MemorySeen(), list[str](), list[Framing](["multipart", "poll", "sse", "poll", "multipart"])
    total = 40 * len(framings)

    async def talk() -> None:
        for number in range(total + 1):
            await town.bob.send(town.ann.grant.uid, str(number))

    talking = asyncio.ensure_future(talk())
    for framing in framings:
        async with town.ann.listen(framing=framing, seen=seen) as events:
            shown += (await texts(events, 41))[:40]  # the one in hand is not processed yet: it comes again
    await talking
    assert shown == [str(number) for number in range(total)]
    async with town.ann.listen(framing="poll", seen=seen) as events:
        await town.bob.send(town.ann.grant.uid, "last")
        assert await texts(events, 2) == [str(total), "last"]


async def test_a_mailbox_fuller_than_the_window_is_polled_empty(town: Town) -> None:
    for number in range(200):
        await town.bob.send(town.ann.grant.uid, f"{number} " + "x" * 2_000)
    async with town.ann.listen(framing="poll") as events:
        welcome = await next_of(events, Welcome)
        assert (welcome.verdict, welcome.count) == ("replayed", 200)
        assert [text.split()[0] for text in await texts(events, 200)] == [str(number) for number in range(200)]


async def test_a_client_that_missed_an_answer_begins_anew_and_misses_nothing(town: Town) -> None:
    opened = await town.poll()
    session = opened["session"]
    await town.bob.send(town.ann.grant.uid, "one")
    assert [part["body"]["text"] for part in (await town.poll(session=session))["parts"]] == ["one"]
    await town.bob.send(town.ann.grant.uid, "two")
    await town.poll(session=session, upto=1)  # suppose that this answer got lost
    assert (await town.poll(session=session, upto=1, wait_s=0))["parts"] == []
    again = await town.poll(session=None, upto=1, replaces=session)
    welcome, message = again["parts"]
    assert (welcome["body"]["resume"], message["body"]["text"]) == ({"verdict": "replayed", "count": 1}, "two")
    with pytest.raises(UnknownSession):
        await town.poll(session=session, upto=1)


async def test_polling_keeps_a_session_and_silence_ends_it(tmp_path: Path) -> None:
    async with running_town(tmp_path, blank_s=0.5) as town, town.bob.listen() as bob:
        await next_of(bob, Welcome)
        session = (await town.poll())["session"]
        assert (await next_of(bob, Presence)).changes[0].reason == "login"
        for _ in range(5):  # each one ends after a blank interval; a session that says nothing is dead after two
            assert (await town.poll(session=session, wait_s=60))["session"] == session
        gone = (await next_of(bob, Presence)).changes[0]
        assert (gone.presence.status, gone.reason) == ("offline", "timeout")
        with pytest.raises(UnknownSession):
            await town.poll(session=session)


async def test_a_client_that_closes_is_gone_at_once(town: Town) -> None:
    async with town.bob.listen() as bob:
        await next_of(bob, Welcome)
        async with town.ann.listen(framing="poll") as ann:
            await next_of(ann, Welcome)
            assert (await next_of(bob, Presence)).changes[0].presence.status == "online"
        assert (await next_of(bob, Presence)).changes[0].presence.status == "offline"


async def test_a_home_that_shuts_down_says_goodbye_to_waiting_polls(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        town = await stack.enter_async_context(running_town(tmp_path))
        async with town.ann.listen(framing="poll") as ann:
            await next_of(ann, Welcome)
            goodbye = asyncio.ensure_future(next_of(ann, Goodbye))
            await asyncio.wait({goodbye}, timeout=0)
            polling = asyncio.ensure_future(stack.aclose())
            assert (await goodbye).reason == "shutdown"
            assert (await next_of(ann, Disconnected)).retry_in_s is not None
        await polling


async def test_logging_off_while_polling(town: Town) -> None:
    events = town.ann.listen(framing="poll")
    await next_of(events, Welcome)
    ending = asyncio.ensure_future(next_of(events, Goodbye))
    await asyncio.wait({ending}, timeout=0)
    await town.ann.logoff()
    assert (await ending).reason == "logoff"
    assert [event async for event in events] == [Disconnected("goodbye", None)]
