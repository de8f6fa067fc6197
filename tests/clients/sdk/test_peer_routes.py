"""Popups sent directly from client to client, with real homes: each is shown once, and only if a home has stamped it."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flash_sdk import Direct, DirectTimeouts, FlashClient, Listener, Message, Refused, Sender, Unreachable
from flash_sdk.peer_routes import PeerRoute, hand_over
from tests.clients.sdk.direct_ports import RecordingPort
from tests.clients.sdk.raw import post_home
from tests.clients.sdk.test_direct import hung_up_on, listening, running_town, texts
from tests.clients.sdk.test_listen import next_of

POPUP = Message(0, "m9", Sender(7, "bob", "Bob"), "pop over?", datetime(2026, 1, 1, tzinfo=UTC), None, False)


@dataclass
class Nearby:
    """Ann listens and can be called; Bob has heard that she is his contact, and her home that he is."""

    ann: FlashClient
    bob: FlashClient
    events: Listener
    port: RecordingPort

    @property
    def direct(self) -> list[str]:
        """The texts that came directly and were taken, in order."""
        return [message.text for message in self.port.taken]

    @property
    def copies(self) -> list[str]:
        """The texts of the home's copies, shown or not."""
        return [part.body["text"] for part in self.port.lines_made[0].came if part.name == "message"]


@contextlib.asynccontextmanager
async def nearby(directory: Path, timeouts: DirectTimeouts | None = None) -> AsyncIterator[Nearby]:
    async with running_town(directory, timeouts=timeouts) as (ann, bob), ann.listen(direct=(port := RecordingPort(ann))) as events:
        assert await next_of(events, Direct) == Direct(active=True)
        await bob.send(ann.grant.uid, "hello")
        assert await texts(events, 1) == ["hello"]
        await route(bob, ann.grant.uid)
        yield Nearby(ann, bob, events, port)


async def route(sender: FlashClient, to: int) -> PeerRoute:
    """A ticket. Raises `Refused`."""
    return PeerRoute.of(await post_home(sender, "/v1/tickets", {"to": to}))


async def sent(sender: FlashClient, ticket: str, to: int, text: str, id: str = "m1") -> dict[str, Any]:
    body = {"id": id, "to": to, "text": text, "in_reply_to": None, "urgent": False, "ticket": ticket}
    return await post_home(sender, "/v1/messages", body)


def told(directory: Path) -> int:
    """How many popups all homes' logs say were sent."""
    count = 0
    for home in ("h1", "h2"):
        with contextlib.closing(sqlite3.connect(directory / f"{home}.db")) as log:
            count += log.execute("select count(*) from stored_events where topic = 'user.message_sent'").fetchone()[0]
    return count


async def test_a_popup_comes_directly_is_shown_once_and_told_once(tmp_path: Path):
    async with nearby(tmp_path) as town:
        accepted = await town.bob.send(town.ann.grant.uid, "pop over?", direct=True)
        shown = await next_of(town.events, Message)
        assert (shown.id, shown.text, shown.seq, shown.sender.uid) == (accepted.id, "pop over?", 0, town.bob.grant.uid)
        assert town.direct == ["pop over?"]
        await town.ann.done(accepted.id)  # waits for the home's copy: before, the home would know of no such message
        assert town.copies == ["hello", "pop over?"]
        await town.bob.send(town.ann.grant.uid, "and the next?")
        assert await texts(town.events, 1) == ["and the next?"]
        before_and_after = 2
        assert told(tmp_path) == before_and_after + 1


async def test_done_is_not_lost_while_the_home_waits_for_its_copy(tmp_path: Path):
    async with nearby(tmp_path, DirectTimeouts(home_copy_s=0.04)) as town:
        now = datetime.now(UTC)
        assert town.port.deliver(replace(POPUP, id="m9", sent_at=now))
        with pytest.raises(Unreachable):
            await town.ann.done("m9")
        assert town.port.deliver(replace(POPUP, id="m8", sent_at=now - timedelta(minutes=11)))
        with pytest.raises(Refused, match="unknown_message"):
            await town.ann.done("m8")


async def test_without_its_listener_a_popup_comes_by_the_home_once(tmp_path: Path):
    async with nearby(tmp_path) as town:
        town.port.close()
        await town.bob.send(town.ann.grant.uid, "pop over?", direct=True)
        await town.bob.send(town.ann.grant.uid, "and the next?", direct=True)
        assert await texts(town.events, 2) == ["pop over?", "and the next?"]
        assert (town.direct, told(tmp_path)) == ([], 3)


async def test_what_is_replayed_or_changed_is_not_shown(tmp_path: Path):
    async with nearby(tmp_path) as town:
        ann, bob, events = town.ann, town.bob, town.events
        there = await route(bob, ann.grant.uid)
        answer = await sent(bob, there.ticket, ann.grant.uid, "pop over?")
        assert await texts(events, 1) == ["pop over?"]
        message = {"id": "m1", "text": "pop over?", "in_reply_to": None, "urgent": False, "from": answer["from"]}
        said = {"to": ann.grant.uid, "expires_at": there.expires_at, "stamp": answer["stamp"]}
        said["message"] = message | {"sent_at": answer["accepted_at"]}
        assert await hand_over(there, bob.grant.uid, ann.grant.uid, json.dumps(said).encode())
        changed = said | {"message": said["message"] | {"id": "m2", "text": "give me your password"}}
        with pytest.raises((asyncio.IncompleteReadError, OSError)):
            await hand_over(there, bob.grant.uid, ann.grant.uid, json.dumps(changed).encode())
        await bob.send(ann.grant.uid, "the end")
        assert await texts(events, 1) == ["the end"]


async def test_no_ticket_for_strangers_nor_to_whom_no_way_leads(tmp_path: Path):
    async with nearby(tmp_path) as town:
        ann, bob = town.ann, town.bob
        for sender, to in ((ann, bob.grant.uid), (bob, 999), (bob, bob.grant.uid)):
            with pytest.raises(Refused) as refused:
                await route(sender, to)
            assert (refused.value.code, refused.value.status) == ("no_route", 404)
        await bob.remove_contact(ann.grant.uid)
        with pytest.raises(Refused, match="no_route"):
            await route(bob, ann.grant.uid)


async def test_only_what_the_home_commits_now_under_the_right_ticket_gets_a_stamp(tmp_path: Path):
    async with nearby(tmp_path) as town:
        ann, bob = town.ann, town.bob
        there = await route(bob, ann.grant.uid)
        assert "stamp" in await sent(bob, there.ticket, ann.grant.uid, "pop over?")
        assert "stamp" not in await sent(bob, there.ticket, ann.grant.uid, "give me your password")  # the same id
        assert "stamp" not in await sent(bob, "another", ann.grant.uid, "pop over?", id="m2")
        assert "stamp" not in await sent(ann, there.ticket, bob.grant.uid, "pop over?", id="m3")
        with pytest.raises(Refused, match="too_large"):
            await sent(bob, there.ticket, ann.grant.uid, "x" * 4_097, id="m4")
        await bob.remove_contact(ann.grant.uid)
        with pytest.raises(Refused, match="not_a_contact"):
            await sent(bob, there.ticket, ann.grant.uid, "pop over?", id="m5")


@pytest.mark.parametrize("word", [b"FLASH/1 popup 70000\n", b"FLASH/1 popup\n", b"FLASH/1 popup 1 2 3 4 5 6\n"])
async def test_who_says_too_much_or_nonsense_is_hung_up_on(word):
    async with listening() as offered:
        await offered.is_answered(reachable=False, why="no_answer")
        await hung_up_on(offered, word)


async def test_no_text_goes_to_a_host_that_cannot_prove_to_be_the_recipient():
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def somebody_else(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = await reader.readuntil(b"\n")
        writer.write(b"0" * 64 + b"\n")
        heard.set_result(call + await reader.read())
        writer.close()

    async with await asyncio.start_server(somebody_else, "127.0.0.1", 0) as server:
        there = PeerRoute("127.0.0.1", server.sockets[0].getsockname()[1], "t", "2026-01-01T00:01:00.000000Z", b"k")
        assert not await hand_over(there, 7, 1, b"pop over?")
        assert b"pop over?" not in await heard
