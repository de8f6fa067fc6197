"""`flash watch`: lines for people, JSON for programs, and one clear line for who may not."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.clients.sdk.peer import Peer
from tests.clients.sdk.test_presence import HOMES, Feed, event, state
from tests.clients.terminal.conftest import Terminal


@pytest.fixture
async def feed(peer: Peer, terminal: Terminal) -> AsyncIterator[Feed]:
    feed = Feed(peer)
    await terminal.run("user", "add", "crm")
    yield feed
    feed.end()


async def test_people_get_a_table_then_lines(feed: Feed, terminal: Terminal) -> None:
    feed.page(state(2), state(1, 3, "online"))
    feed.streams = [[HOMES, event(1, 4, "away", "c4").replace(b"u1", b"u\\u001b1")]]
    watching = await terminal.start("watch", "--user", "ann", "--user", "bob")
    assert (await watching.line()).split() == ["u1", "online", "h1", "since", "2030-01-02", "03:04:05"]
    assert (await watching.line()).split() == ["u2", "offline", "h1"]
    assert await watching.line() == "03:04:05 u\\x1b1 is away (was offline: login)"
    watching.interrupt()
    ended = await watching.end()
    assert (ended.code, ended.err) == (0, "flash: nothing is heard of h2: the status of its users is unknown\n")
    assert feed.asked[0] == {"uids": "1,2"}


async def test_programs_get_one_object_per_line_and_resume_by_cursor(feed: Feed, terminal: Terminal) -> None:
    feed.streams = [[HOMES, event(1, 4, "away", "c4")]]
    watching = await terminal.start("watch", "--json", "--after", "c3")
    assert json.loads(await watching.line()) == {"kind": "silent", "homes": ["h2"]}
    change = json.loads(await watching.line())
    assert {"kind": "change", "uid": 1, "status": "away", "cursor": "c4", "time": "2030-01-02T03:04:05.000006Z"}.items() <= change.items()
    assert feed.asked == [{"after": "c3"}]
    watching.interrupt()
    assert (await watching.end()).code == 0


async def test_who_may_not_is_told_why(feed: Feed, peer: Peer, terminal: Terminal) -> None:
    peer.answer("/v1/presence", 403, code="not_an_integrator", detail="Presence is for integrators.")
    ended = await terminal.run("watch")
    assert (ended.code, ended.err) == (1, "flash: Presence is for integrators. (not_an_integrator)\n")
    peer.lose_answer("/v1/presence")
    ended = await asyncio.wait_for(terminal.run("watch"), 20)
    assert (ended.code, ended.err) == (1, "flash: no answer from the Global Server\n")
