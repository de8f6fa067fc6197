"""Following presence: snapshot, then each change once and in order, over cuts, expired tokens and gaps that are said aloud."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web

import flash_sdk
from flash_sdk import Disconnected, FlashClient, PresenceEvent, ProtocolError, Refused, SilentHomes, Snapshot
from tests.clients.sdk.conftest import AT_ONCE
from tests.clients.sdk.peer import AT, PASSWORD, Peer
from tests.support.waiting import eventually


def state(uid: int, number: int | None = None, status: str = "offline") -> dict[str, Any]:
    id_ = None if number is None else f"h1/user-{uid}/{number}"
    return {"uid": uid, "handle": f"u{uid}", "home": "h1", "status": status, "since": number and AT, "id": id_}


def event(uid: int, number: int, status: str, cursor: str) -> bytes:
    data = {"uid": uid, "handle": f"u{uid}", "home": "h1", "status": status, "previous": "offline", "since": AT, "reason": "login"}
    body = {"id": f"h1/user-{uid}/{number}", "type": "flash.presence.changed.v1", "time": AT, "data": data}
    return f"event: presence\nid: {cursor}\ndata: {json.dumps(body)}\n\n".encode()


HOMES = b'event: homes\ndata: {"silent":["h2"],"blank_s":30}\n\n'


class Feed:
    """The peer's feed: pages to give, and one script per stream, after which it stays open unless it ends in `cut`."""

    def __init__(self, peer: Peer) -> None:
        self.pages: list[dict[str, Any]] = []
        self.streams: list[list[bytes]] = []
        self.asked: list[dict[str, str]] = []
        self._over = asyncio.Event()
        self._requests: list[web.Request] = []
        peer.feed = self._serve

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        self._requests.append(request)
        if request.path == "/v1/presence":
            return web.json_response(self.pages.pop(0))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        script = self.streams.pop(0) if self.streams else [HOMES]
        for piece in script:
            if piece == b"cut":
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(piece)
        await self._over.wait()
        return response

    @property
    def streaming(self) -> bool:
        """Whether the client holds a stream open."""
        streams = [request.transport for request in self._requests if request.path == "/v1/presence/stream"]
        return any(transport is not None and not transport.is_closing() for transport in streams)

    def page(self, *users: dict[str, Any], cursor: str = "c0", following: str | None = None) -> None:
        self.pages.append({"users": list(users), "silent": [], "cursor": cursor, "next": following})

    def end(self) -> None:
        self._over.set()


@pytest.fixture
async def feed(peer: Peer) -> AsyncIterator[Feed]:
    feed = Feed(peer)
    yield feed
    feed.end()


async def first(client: FlashClient, count: int, **options: Any) -> list[Any]:
    async with asyncio.timeout(10), aclosing(client.presence(**options)) as items:
        return [await anext(items) for _ in range(count)]


def changes(items: list[Any]) -> list[tuple[str, str]]:
    return [(item.id, item.status) for item in items if isinstance(item, PresenceEvent)]


async def test_a_snapshot_comes_first_and_what_its_pages_show_does_not_come_again(feed: Feed, ann: FlashClient) -> None:
    feed.page(state(1, 3, "online"), cursor="c3", following="1")
    feed.page(state(2, 5, "away"), state(3), cursor="later")
    feed.streams = [[HOMES, event(2, 4, "online", "c4"), event(2, 5, "away", "c5"), b":\n\n", event(1, 4, "offline", "c6")]]
    snapshot, silent, change = await first(ann, 3, uids=[3, 1, 2])
    assert isinstance(snapshot, Snapshot)
    assert ([user.uid for user in snapshot.users], snapshot.cursor, snapshot.gap) == ([1, 2, 3], "c3", False)
    assert silent == SilentHomes(("h2",))
    assert (change.id, change.status, change.cursor) == ("h1/user-1/4", "offline", "c6")
    assert feed.asked == [{"uids": "1,2,3"}, {"uids": "1,2,3", "page": "1"}, {"uids": "1,2,3", "after": "c3"}]


async def test_a_stream_that_is_cut_goes_on_at_its_cursor(feed: Feed, ann: FlashClient) -> None:
    feed.page(state(1))
    half = event(1, 2, "away", "c2")
    feed.streams = [[HOMES, event(1, 1, "online", "c1"), half[: len(half) // 2], b"cut"], [HOMES, half]]
    items = await first(ann, 6)
    assert changes(items) == [("h1/user-1/1", "online"), ("h1/user-1/2", "away")]
    assert [item.reason for item in items if isinstance(item, Disconnected)] == ["lost"]
    assert feed.asked == [{}, {"after": "c0"}, {"after": "c1"}]


async def test_a_cursor_from_an_earlier_run_needs_no_snapshot(feed: Feed, ann: FlashClient) -> None:
    feed.streams = [[HOMES, event(1, 9, "online", "c9")]]
    assert changes(await first(ann, 2, after="c8")) == [("h1/user-1/9", "online")]
    assert feed.asked == [{"after": "c8"}]


async def test_a_gap_is_a_new_snapshot_that_says_so(feed: Feed, peer: Peer, ann: FlashClient) -> None:
    peer.answer("/v1/presence/stream", 410, code="gap", detail="Gone.")
    feed.page(state(1, 7, "online"), cursor="c7")
    snapshot, _ = await first(ann, 2, after="old")
    assert isinstance(snapshot, Snapshot)
    assert snapshot.gap
    assert feed.asked[-1] == {"after": "c7"}


async def test_what_cannot_be_mended_is_raised(peer: Peer, feed: Feed, ann: FlashClient) -> None:
    peer.answer("/v1/presence", 403, code="not_an_integrator", detail="No.")
    with pytest.raises(Refused) as refused:
        await first(ann, 1)
    assert refused.value.code == "not_an_integrator"


async def test_a_server_that_is_away_is_tried_again(peer: Peer, feed: Feed, ann: FlashClient) -> None:
    peer.answer("/v1/presence", 503, code="unavailable", detail="Later.")
    peer.answer("/v1/presence", 429, code="too_many_requests", detail="Slower.")
    feed.page(state(1))
    items = await first(ann, 3)
    assert [type(item) for item in items] == [Disconnected, Disconnected, Snapshot]


async def test_an_expired_token_is_renewed(peer: Peer, feed: Feed) -> None:
    feed.page(state(1))
    feed.streams = [[HOMES, b"cut"], [HOMES, event(1, 1, "online", "c1")]]
    async with asyncio.timeout(10), aclosing(flash_sdk.presence(peer.url, "ann", PASSWORD, pace=AT_ONCE)) as items:
        assert isinstance(await anext(items), Snapshot)
        assert isinstance(await anext(items), SilentHomes)
        peer.answer("/v1/presence/stream", 401, code="unauthorized", detail="Expired.")
        seen = [await anext(items) for _ in range(4)]
    assert changes(seen) == [("h1/user-1/1", "online")]
    assert len(peer.bodies("/v1/tokens")) == 2


async def test_a_stream_of_something_else_is_told_and_tried_again(feed: Feed, ann: FlashClient) -> None:
    feed.page(state(1))
    feed.streams = [[HOMES, b"event: presence\ndata: []\n\n"], [HOMES]]
    items = await first(ann, 3)  # the first `homes` comes or not, as the bytes fall
    assert [item.reason for item in items if isinstance(item, Disconnected)] == ["protocol"]
    with pytest.raises(ProtocolError):
        PresenceEvent.of(b"{}")


async def test_who_stops_listening_leaves_no_stream(feed: Feed, ann: FlashClient) -> None:
    feed.page(state(1))
    await first(ann, 2)
    await eventually(lambda: not feed.streaming)
