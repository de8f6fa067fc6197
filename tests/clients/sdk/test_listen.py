"""Listening over a real socket: every way in which a back connection can be cut, split, silenced or closed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web

from flash_sdk import (
    Blank,
    Connected,
    Contacts,
    Disconnected,
    Done,
    FileSeen,
    FlashClient,
    Goodbye,
    Listener,
    Message,
    MyStatus,
    Presence,
    Receipt,
    Refused,
    Unauthorized,
    Welcome,
)
from tests.clients.sdk.peer import AT, Peer, contact, framed, message
from tests.support.waiting import eventually

T = TypeVar("T")


async def next_of(events: AsyncIterator[object], kind: type[T]) -> T:
    """The next event of this kind; others pass by."""
    async with asyncio.timeout(10):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"it ended without {kind.__name__}")


async def test_a_login_a_popup_and_its_acknowledgement(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(anext(events))
    line = await peer.line()
    assert line.hello == {"client": "flash-sdk/0.1.0", "pong": True}
    assert line.headers["Accept-Encoding"] == "identity"
    await line.welcome(contacts=[contact(2, "bob", "away")])
    assert await asked == Connected()
    welcome = await next_of(events, Welcome)
    assert (welcome.session, welcome.contacts[0].presence.status) == ("s1", "away")
    await line.message(1, "pop over?")
    popup = await next_of(events, Message)
    assert (popup.text, popup.sender.handle, popup.sent_at.year) == ("pop over?", "bob", 2030)
    assert "pop over?" not in repr(popup)
    assert peer.bodies("/v1/acks") == []
    more = asyncio.ensure_future(anext(events))
    await peer.acked(1)
    assert peer.bodies("/v1/acks") == [{"session": "s1", "upto": 1}]
    await line.part("done", id="m1")
    assert await more == Done("m1")


async def test_every_part_has_its_event_and_unknown_ones_pass(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen(blanks=True)
    asked = asyncio.ensure_future(next_of(events, Welcome))
    line = await peer.line()
    mine = {"status": "away", "note": "tea", "until": "2030-01-01T12:00:00.000000Z", "new field": 1}
    resume = {"verdict": "fresh", "count": 0}
    await line.write(b"--flash\r\n")
    await line.part("welcome", session="s1", uid=1, blank_s=30, resume=resume, contacts=[], status=mine)
    assert (await asked).status == MyStatus("away", "tea", datetime(2030, 1, 1, 12, tzinfo=UTC))
    await line.part("status", status="online", note="", until=None)
    change = {"uid": 2, "status": "dnd", "since": None, "note": "n", "reason": "status", "notify": True, "new field": 1}
    await line.part("presence", changes=[change])
    await line.part("weather", sunny=True)
    await line.receipt(1, "x", "bounced")
    await line.part("contacts", added=[contact(2, "bob")], removed=[7])
    await line.part("blank")
    await line.part("goodbye", reason="closed", reconnect_after_s=None)
    line.end()
    got = [event async for event in events]
    status, presence, receipt, contacts, blank, goodbye, gone = got
    assert status == MyStatus("online")
    assert isinstance(presence, Presence)
    assert presence.changes[0].presence.status == "dnd"
    assert isinstance(receipt, Receipt)
    assert receipt.state == "bounced"
    assert isinstance(contacts, Contacts)
    assert contacts.removed == (7,)
    assert (blank, goodbye, gone) == (Blank(), Goodbye("closed", None), Disconnected("goodbye", None))


async def test_a_popup_in_a_hundred_pieces(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Message))
    line = await peer.line()
    await line.welcome()
    raw = framed("message", message(1, "naïve ☃"))
    for at in range(len(raw)):
        await line.write(raw[at : at + 1])
    assert (await asked).text == "naïve ☃"


async def test_a_cut_in_the_middle_of_a_part_is_resumed_and_shows_each_popup_once(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Message))
    line = await peer.line()
    await line.welcome()
    await line.message(1, "one")
    assert (await asked).text == "one"
    gone = asyncio.ensure_future(next_of(events, Disconnected))
    await line.write(framed("message", message(2, "two"))[:90])
    await peer.acked(1)
    line.cut()
    assert (await gone).reason == "lost"
    asked_welcome = asyncio.ensure_future(next_of(events, Welcome))
    line = await peer.line()
    assert line.hello["resume"] == {"session": "s1", "seq": 1}
    await line.welcome("s2", "fresh")
    await line.message(1, "one")
    await line.message(2, "two")
    await asked_welcome
    assert (await next_of(events, Message)).text == "two"


async def test_a_lost_acknowledgement_is_repeated(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Message))
    line = await peer.line()
    await line.welcome()
    await line.message(1)
    await asked
    peer.lose_answer("/v1/acks")
    peer.answer("/v1/acks", 503, code="unavailable", detail="later")
    asked = asyncio.ensure_future(next_of(events, Message))
    await eventually(lambda: len(peer.bodies("/v1/acks")) >= 3)
    assert {body["upto"] for body in peer.bodies("/v1/acks")} == {1}
    await line.message(2)
    await asked


async def test_blanks_are_answered_even_while_the_consumer_is_busy(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Welcome))
    line = await peer.line()
    await line.welcome()
    await asked
    for blanks in (1, 2):
        await line.part("blank")
        await eventually(lambda blanks=blanks: len(peer.bodies("/v1/acks")) == blanks)  # type: ignore[misc]
    assert peer.bodies("/v1/acks")[0] == {"session": "s1", "upto": 0}


async def test_a_silent_connection_is_left_and_made_again(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Disconnected))
    line = await peer.line()
    await line.welcome(blank_s=0.02)
    assert (await asked).reason == "silent"
    asked_next = asyncio.ensure_future(next_of(events, Welcome))
    await (await peer.line()).welcome("s2")
    assert (await asked_next).session == "s2"
    await eventually(lambda: line.dropped)


async def test_a_home_that_forgot_the_session_gets_a_new_connection(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Disconnected))
    line = await peer.line()
    await line.welcome()
    peer.answer("/v1/acks", 409, code="unknown_session", detail="Open a back connection again.")
    await line.part("blank")
    assert (await asked).reason == "session"
    asked_next = asyncio.ensure_future(next_of(events, Welcome))
    await (await peer.line()).welcome("s2")
    await asked_next


async def test_a_shutdown_names_the_moment_to_return(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Disconnected))
    line = await peer.line()
    await line.welcome()
    await line.part("goodbye", reason="shutdown", reconnect_after_s=3600)
    gone = await asked
    assert gone.reason == "goodbye"
    assert gone.retry_in_s is not None
    assert 3600 <= gone.retry_in_s <= 4320


async def test_a_refused_token_ends_listening_with_the_reason(peer: Peer, ann: FlashClient) -> None:
    peer.answer("/v1/back-connection", 401, code="unauthorized", detail="The token has expired.")
    with pytest.raises(Unauthorized, match="expired"):
        await next_of(ann.listen(), Welcome)


async def test_a_token_that_expires_while_listening_ends_it_too(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Message))
    line = await peer.line()
    await line.welcome()
    peer.answer("/v1/acks", 401, code="unauthorized", detail="The token has expired.")
    await line.part("blank")
    with pytest.raises(Refused):
        await asked
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_a_home_that_is_away_or_a_page_that_is_not_flash_is_tried_again(peer: Peer, ann: FlashClient) -> None:
    peer.lose_answer("/v1/back-connection")
    peer.answer("/v1/back-connection", 503, code="unavailable", detail="starting")
    peer.say("/v1/back-connection", lambda: web.Response(text="<html>pay first</html>", content_type="text/html"))
    peer.framing = "text/event-stream"
    events = ann.listen(framing="sse")
    assert (await next_of(events, Disconnected)).reason == "unreachable"
    assert (await next_of(events, Disconnected)).reason == "unreachable"
    assert (await next_of(events, Disconnected)).reason == "protocol"
    asked = asyncio.ensure_future(next_of(events, Welcome))
    line = await peer.line()
    assert line.headers["Accept"] == "text/event-stream"
    await line.write(b': hello\n\nevent: welcome\ndata: {"session":"s1","uid":1,"blank_s":30,\ndata: "resume":{"verdict":"fresh"}}\n\n')
    await asked


async def test_receipts_wait_for_company(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Receipt))
    line = await peer.line()
    await line.welcome()
    for seq in range(1, 32):
        await line.receipt(seq, f"x{seq}")
    await asked
    for _ in range(30):
        await next_of(events, Receipt)
    waiting = asyncio.ensure_future(next_of(events, Receipt))
    await line.part("presence", changes=[])
    assert peer.bodies("/v1/acks") == []
    await line.receipt(32, "x32")
    await waiting
    popup = asyncio.ensure_future(next_of(events, Message))
    await peer.acked(32)
    await line.message(33)
    await popup
    assert peer.bodies("/v1/acks") == [{"session": "s1", "upto": 32}]


async def test_logging_off_acknowledges_the_processed_messages_and_ends_for_good(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Receipt))
    line = await peer.line()
    await line.welcome()
    await line.receipt(1, "x")
    await asked
    got: list[object] = []
    ending = asyncio.ensure_future(collect(events, got))
    await line.part("presence", changes=[])
    await eventually(lambda: got)
    await ann.logoff()
    await line.part("goodbye", reason="logoff", reconnect_after_s=None)
    line.end()
    await ending
    assert [type(event) for event in got] == [Presence, Goodbye, Disconnected]
    assert peer.bodies("/v1/acks") == [{"session": "s1", "upto": 1}]
    assert peer.bodies("/v1/logoff") == [{"session": "s1"}]


async def collect(events: Listener, got: list[object]) -> None:
    async for event in events:
        got.append(event)  # noqa: PERF401 - the test looks at it while it grows


async def test_peeking_acknowledges_nothing(peer: Peer, ann: FlashClient) -> None:
    async with ann.listen(peek=True) as events:
        asked = asyncio.ensure_future(next_of(events, Message))
        line = await peer.line()
        await line.welcome()
        await line.message(1)
        await asked
        waiting = asyncio.ensure_future(next_of(events, Presence))
        await line.part("blank")
        await peer.acked(0)
        await line.part("presence", changes=[])
        await waiting
    assert {body["upto"] for body in peer.bodies("/v1/acks")} == {0}


async def test_a_client_that_died_shows_nothing_twice(peer: Peer, ann: FlashClient, tmp_path: Path) -> None:
    """It dies after it has shown a popup, before the home has its acknowledgement."""
    events = ann.listen(seen=FileSeen(tmp_path / "seen"))
    asked = asyncio.ensure_future(next_of(events, Message))
    line = await peer.line()
    await line.welcome()
    await line.message(1, "one")
    await asked
    for _ in range(100):
        peer.lose_answer("/v1/acks")
    asked = asyncio.ensure_future(next_of(events, Message))
    await eventually(lambda: peer.bodies("/v1/acks"))
    asked.cancel()
    async with FlashClient(peer.url) as reborn:
        reborn.use(ann.grant)
        again = reborn.listen(seen=FileSeen(tmp_path / "seen"))
        asked = asyncio.ensure_future(next_of(again, Message))
        line = await peer.line()
        await line.welcome("s2", "replayed")
        await line.message(1, "one")
        await line.message(2, "two")
        assert (await asked).text == "two"


async def test_one_client_listens_once(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    with pytest.raises(RuntimeError):
        ann.listen()
    await events.aclose()
    await ann.listen().aclose()


async def test_a_consumer_that_stops_asking_stops_the_reading(peer: Peer, ann: FlashClient) -> None:
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Welcome))
    line = await peer.line()
    await line.welcome()
    await asked
    raw = b"".join(framed("presence", {"changes": [{"uid": 2, "status": "online", "since": AT, "note": "x" * 100}]}) for _ in range(500))
    flood = asyncio.ensure_future(flooding(line.write, raw))
    done, _ = await asyncio.wait({flood}, timeout=1)
    assert not done  # the socket is full: the client has stopped reading
    flood.cancel()


async def flooding(write: object, raw: bytes) -> None:
    for _ in range(1000):
        await write(raw)  # type: ignore[operator]
