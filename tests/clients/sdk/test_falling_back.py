"""Streams that are held back, at the scripted peer: the client falls, says so, climbs again, and loses and doubles nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from flash_sdk import Connected, Disconnected, FlashClient, Listener, Message, TransportTimeouts
from flash_sdk.transport_ladder import Network
from tests.clients.sdk.conftest import AT_ONCE
from tests.clients.sdk.peer import PASSWORD, BackConnection, Peer, message
from tests.clients.sdk.polls import Poll, Polls
from tests.support.waiting import eventually

SOON = TransportTimeouts(welcome_s=0.15, trial_s=0.1, climb_s=0.3)


class Watched:
    """A listener whose events are written down by a task of its own."""

    def __init__(self, events: Listener) -> None:
        self.got: list[Any] = []
        self._task = asyncio.create_task(self._watch(events))

    async def _watch(self, events: Listener) -> None:
        async for event in events:
            self.got.append(event)

    def all(self, kind: type) -> list[Any]:
        """Those of one kind so far."""
        return [event for event in self.got if isinstance(event, kind)]

    async def stop(self) -> None:
        """Nobody listens any more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
def networks() -> list[Network]:
    """Where the client is: in the last of these."""
    return [("10.0.0.5", None)]


@pytest.fixture
async def client(peer: Peer, networks: list[Network]) -> AsyncIterator[FlashClient]:
    async with FlashClient(peer.url, pace=AT_ONCE, patience=SOON, network=lambda: networks[-1]) as client:
        await client.login("ann", PASSWORD)
        yield client


@pytest.fixture
async def polls(peer: Peer) -> AsyncIterator[Polls]:
    async with Polls(peer) as polls:
        yield polls


@pytest.fixture
async def ann(client: FlashClient) -> AsyncIterator[Watched]:
    watched = Watched(client.listen())
    yield watched
    await watched.stop()


async def held(peer: Peer, accept: str) -> BackConnection:
    """The next stream, which brings nothing."""
    line = await peer.line()
    assert line.headers["Accept"] == accept
    return line


async def fallen(peer: Peer, polls: Polls) -> Poll:
    """Both streams are held back; the first poll."""
    first = await held(peer, "multipart/x-mixed-replace")
    second = await held(peer, "text/event-stream")
    poll = await polls.next()
    assert first.dropped
    assert second.dropped
    return poll


async def test_a_stream_that_is_held_back_is_left_for_events_and_then_for_polls_and_it_says_so(
    peer: Peer, polls: Polls, ann: Watched
) -> None:
    poll = await fallen(peer, polls)
    poll.welcome("s3", ("message", message(1)))
    await eventually(lambda: ann.all(Message))
    assert [event.reason for event in ann.all(Disconnected)] == ["held", "held"]
    assert ann.all(Connected) == [Connected("poll")]


PAGE = "<html>not from here</html>"


@pytest.mark.parametrize("status", [403, 404])
async def test_a_filter_that_refuses_streams_is_no_home_that_refuses(peer: Peer, polls: Polls, ann: Watched, status: int) -> None:
    for _ in ("multipart", "sse"):
        peer.say("/v1/back-connection", lambda: web.Response(status=status, text=PAGE, content_type="text/html"))
    (await polls.next()).welcome("s1")
    await eventually(lambda: ann.all(Connected))
    peer.say("/v1/back-connection", lambda: web.Response(status=status, text=PAGE, content_type="text/html"))
    await eventually_tried(peer, polls, 3)
    poll = await polls.next()
    poll.answer("s1", ("message", message(1)))
    await eventually(lambda: ann.all(Message))
    assert ann.all(Connected) == [Connected("poll")], "the climb that was refused left it alone"


async def eventually_tried(peer: Peer, polls: Polls, streams: int) -> None:
    """Answer polls with nothing until so many streams were asked for."""
    answering = asyncio.create_task(answer_all(polls))
    try:
        await eventually(lambda: len(peer.bodies("/v1/back-connection")) == streams)
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def test_what_only_the_old_session_was_sent_is_shown_before_it_is_left(peer: Peer, polls: Polls, ann: Watched) -> None:
    """Another device acknowledges faster: then the new session is not sent it."""
    (await fallen(peer, polls)).welcome("s1")
    line = await until_climbed(polls, peer)
    await line.welcome("s2")
    (await at_once(polls)).answer("s1", ("message", message(1)), ("message", message(2)))
    (await at_once(polls)).answer("s1")
    await eventually(lambda: len(ann.all(Message)) == 2)
    await eventually(lambda: peer.bodies("/v1/logoff") == [{"session": "s1"}])
    await line.message(3)
    await eventually(lambda: len(ann.all(Message)) == 3)
    assert ann.all(Disconnected)[-1].reason == "better"


async def test_what_came_is_shown_before_another_network_is_noticed(
    networks: list[Network], peer: Peer, polls: Polls, ann: Watched
) -> None:
    """Of one answer with several popups, none is dropped: another device may have acknowledged them meanwhile."""
    (await fallen(peer, polls)).welcome("s1")
    poll = await polls.next()
    networks.append(("192.168.0.7", None))
    poll.answer("s1", ("message", message(1)), ("message", message(2)), ("message", message(3)))
    line = await held(peer, "multipart/x-mixed-replace")
    await line.welcome("s2")
    await eventually(lambda: len(ann.all(Connected)) == 2)
    assert [popup.seq for popup in ann.all(Message)] == [1, 2, 3]


async def at_once(polls: Polls) -> Poll:
    """The next poll that does not wait."""
    while (poll := await polls.next()).body["wait_s"]:
        pass
    return poll


async def test_an_event_stream_is_read_to_its_goodbye_before_it_is_left(peer: Peer, ann: Watched) -> None:
    """Although the session that is being left takes no acknowledgement any more."""

    def acked() -> web.Response:
        if peer.bodies("/v1/acks")[-1]["session"] != "s1":
            return web.Response(status=204)
        status, code = (409, "unknown_session") if peer.bodies("/v1/logoff") else (503, "unavailable")
        return web.json_response({"status": status, "code": code, "detail": "No."}, status=status)

    for _ in range(1_000):
        peer.say("/v1/acks", acked)
    await held(peer, "multipart/x-mixed-replace")
    events = await held(peer, "text/event-stream")
    await events.welcome("s1")
    await eventually(lambda: ann.all(Connected))
    await events.message(1)

    async def climbs() -> bool:
        await events.part("blank")  # with each part, the client looks whether it is time to climb
        return not peer.lines.empty()

    await eventually(climbs)
    stream = await held(peer, "multipart/x-mixed-replace")
    await events.message(2)
    await stream.welcome("s2")
    await eventually(lambda: peer.bodies("/v1/logoff") == [{"session": "s1"}])
    await events.message(3)
    await events.part("goodbye", reason="logoff", reconnect_after_s=None)
    await stream.message(4)
    await eventually(lambda: len(ann.all(Message)) == 4)
    assert [popup.seq for popup in ann.all(Message)] == [1, 2, 3, 4]
    assert [event.reason for event in ann.all(Disconnected)] == ["held", "better"]


async def test_events_are_kept_where_they_flow(peer: Peer, ann: Watched) -> None:
    await held(peer, "multipart/x-mixed-replace")
    line = await held(peer, "text/event-stream")
    await line.welcome()
    await eventually(lambda: ann.all(Connected) == [Connected("sse")])


async def test_no_popup_is_lost_or_doubled_from_stream_to_polls_to_stream(peer: Peer, polls: Polls, ann: Watched) -> None:
    """The multipart brings two popups and dries up; what was on its way comes again by poll, and on the stream after it once more."""
    line = await peer.line()
    await line.welcome("s1", blank_s=0.1)
    await line.message(1)
    await line.message(2)
    await peer.acked(2)
    line.cut()  # the proxy in between is replaced by one that holds back
    poll = await fallen(peer, polls)
    assert (poll.body["upto"], poll.body["replaces"]) == (2, "s1")
    poll.welcome("s2", ("message", message(2)), ("message", message(3)))
    poll = await polls.next()
    assert poll.body["upto"] == 3
    await eventually(lambda: len(ann.all(Message)) == 3)
    poll.answer("s2", ("message", message(4)))
    line = await until_climbed(polls, peer)
    assert line.headers["Accept"] == "text/event-stream"
    assert "resume" not in line.hello, "beside the polled session, which stays until this one stands"
    await line.welcome("s4", "fresh")
    (await at_once(polls)).answer("s2")
    await line.message(4)
    await line.message(5)
    await peer.acked(5)
    assert [popup.seq for popup in ann.all(Message)] == [1, 2, 3, 4, 5]
    assert ann.all(Connected) == [Connected("multipart"), Connected("poll"), Connected("sse")]
    assert ann.all(Disconnected)[-1].reason == "better"
    assert peer.bodies("/v1/logoff") == [{"session": "s2"}]


async def until_climbed(polls: Polls, peer: Peer) -> BackConnection:
    """Answer polls with nothing until the client tries a stream; that one."""
    answering = asyncio.create_task(answer_all(polls))
    try:
        return await peer.line()
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def answer_all(polls: Polls) -> None:
    while True:
        poll = await polls.next()
        poll.answer(poll.body["session"] or "s9")


async def test_a_climb_that_is_held_back_too_leaves_the_polled_session_as_it_is(peer: Peer, polls: Polls, ann: Watched) -> None:
    poll = await fallen(peer, polls)
    poll.welcome("s1")
    line = await until_climbed(polls, peer)
    poll = await polls.next()
    while poll.response.done() or poll.dropped:
        poll = await polls.next()
    assert poll.body["session"] == "s1"
    poll.answer("s1", ("message", message(1)))
    await eventually(lambda: ann.all(Message))
    assert line.dropped
    assert [event.reason for event in ann.all(Disconnected)] == ["held", "held"]
    assert peer.bodies("/v1/logoff") == []


async def test_the_next_login_does_not_wait_for_a_stream_in_vain(peer: Peer, polls: Polls, ann: Watched, client: FlashClient) -> None:
    (await fallen(peer, polls)).welcome("s1")
    await eventually(lambda: ann.all(Connected))
    async with FlashClient(peer.url, pace=AT_ONCE) as other:
        other.use(client.grant)
        watched = Watched(other.listen())
        while (poll := await polls.next()).body["session"] is not None:
            pass
        poll.welcome("s5")
        await eventually(lambda: watched.all(Connected) == [Connected("poll")])
        await watched.stop()
