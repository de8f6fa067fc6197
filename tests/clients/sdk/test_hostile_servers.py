"""Servers that send without end, at once, or too much. Rule: the client's loop stays free, its memory bounded, and it does not hammer."""

import asyncio
from typing import Any

import pytest

from flash_sdk import Disconnected, FlashClient, Message, Pace, TransportTimeouts, Welcome
from flash_sdk.acks import Acker
from flash_sdk.backoff import LONGEST_ASKED_S, Backoff
from flash_sdk.event_queue import EventQueue
from flash_sdk.events import Done
from flash_sdk.listener import Listener
from flash_sdk.mailbox import Item, Mailbox
from flash_sdk.multipart import MultipartParser
from flash_sdk.parts import Parser, Part
from flash_sdk.polling import PollLine
from flash_sdk.presence_follower import Follower
from flash_sdk.sse import SseParser
from flash_sdk.stream import MAX_LAST_PARTS, TURN_BYTES, Lost, PartReader, until_goodbye
from flash_sdk.transport_selector import TransportSelector
from tests.clients.sdk.peer import Peer, framed, message
from tests.clients.sdk.test_listen import next_of
from tests.support.waiting import eventually

CHUNK = 131_072  # what aiohttp gives out at most, while a server sends faster than we read
LARGE = 1_000_000


async def ticking(ticks: list[None]) -> None:
    """Count the turns of the loop."""
    while True:
        ticks.append(None)
        await asyncio.sleep(0)


async def test_a_flood_of_the_smallest_parts_leaves_the_loop_free() -> None:
    async def read() -> bytes:
        return b":\n" * (CHUNK // 2)

    reader, ticks = PartReader(SseParser(), read), list[None]()
    beside = asyncio.create_task(ticking(ticks))
    parts = 10 * TURN_BYTES
    for _ in range(parts):
        assert (await reader.next()).name == "blank"
    beside.cancel()
    assert len(ticks) >= parts * 2 // TURN_BYTES


@pytest.mark.parametrize("parser", [MultipartParser("flash"), SseParser()], ids=["multipart", "sse"])
async def test_bytes_without_end_and_without_a_part_can_be_given_up(parser: Parser) -> None:
    reads: list[None] = []

    async def read() -> bytes:
        reads.append(None)
        return b"\n" * CHUNK

    reading = asyncio.create_task(PartReader(parser, read).next())
    await eventually(lambda: len(reads) > 1)
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()


async def test_the_queue_is_bounded_in_bytes() -> None:
    queue, item = EventQueue(max_bytes=10), Item(Done("m"), 1, size=6)
    await queue.put(item)
    assert not queue.full
    await queue.put(item)
    assert queue.full
    third = asyncio.create_task(queue.put(item))
    await asyncio.sleep(0)  # one turn of the loop, in which it would be done if there were room
    assert not third.done()
    queue.settled(await queue.get())  # type: ignore[arg-type]
    await third


class Flood:
    """A home that sends one large message after another, as fast as they are read."""

    idle_s = 30.0
    ready = False

    def __init__(self) -> None:
        self.read = 0

    async def next(self) -> Part:
        await asyncio.sleep(0)
        if self.read == 0:
            part = Part("welcome", {"session": "s", "uid": 1, "blank_s": 30, "resume": {"verdict": "fresh", "count": 0}, "contacts": []})
        else:
            part = Part("message", message(self.read), size=LARGE)
        self.read += 1
        return part

    async def rest(self, log_off: Any, into: list[Part]) -> None:
        await until_goodbye(self, into)

    def close(self) -> None:
        pass


async def test_reading_stops_while_the_consumer_takes_no_events() -> None:
    flood = Flood()

    async def opens(*_: object) -> Flood:
        return flood

    async def nothing(*_: object) -> None:
        return None

    selector = TransportSelector("http://home", TransportTimeouts(), only="multipart")
    async with Listener(opens, nothing, nothing, Mailbox(), selector, Pace(), "test", blanks=False) as events:
        while not isinstance(await anext(events), Welcome):
            pass
        await eventually(lambda: flood.read * LARGE > 16 * 1024 * 1024)
        read = flood.read
        for _ in range(100):
            await asyncio.sleep(0)
        assert flood.read <= read + 1
        for _ in range(5):
            await anext(events)
        await eventually(lambda: flood.read > read + 1)  # there is room again


async def test_the_last_parts_of_a_session_have_an_end() -> None:
    into: list[Part] = []
    with pytest.raises(Lost):
        await until_goodbye(Flood(), into)
    assert len(into) == MAX_LAST_PARTS + 1


async def test_polls_that_are_answered_with_nothing_at_once_are_not_repeated_at_once() -> None:
    async def ask(body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        return {"session": "s", "parts": [] if body["session"] else [{"part": "blank", "body": {}}]}

    async def nothing(*_: object) -> None:
        return None

    pace = Pace(first_s=0.02, longest_s=0.02)
    line = PollLine(ask, {"client": "test"}, Acker(Mailbox(), nothing, pace, nothing), pace)
    clock = asyncio.get_running_loop().time
    began = clock()
    polls = 5
    for _ in range(1 + polls):
        assert (await line.next()).name == "blank"
    assert clock() - began >= polls * pace.first_s / 2


def test_no_server_keeps_a_client_away_for_longer_than_an_hour() -> None:
    assert Backoff().next_s(1e9) <= 1.2 * LONGEST_ASKED_S
    assert Backoff().next_s(60.0) >= 60.0


@pytest.mark.parametrize("users", [0, 1])
async def test_a_snapshot_without_an_end_is_given_up(users: int) -> None:
    """Pages without users, or with more of them than memory has room for."""
    pages = 0
    user = {"uid": 1, "handle": "ann", "home": "h1", "status": "online", "since": None, "id": None}

    async def get(path: str) -> dict[str, Any]:
        nonlocal pages
        pages += 1
        return {"users": [user] * users, "silent": [], "cursor": "c", "next": "n"}

    async def opens(path: str) -> Any:
        raise AssertionError("there is no snapshot to go on from")

    items = Follower(get, opens, Pace(first_s=0.0, longest_s=0.0), None, None, None, max_users=10).items()
    first = await anext(items)
    await items.aclose()
    assert isinstance(first, Disconnected)
    assert first.reason == "protocol"
    assert pages == (11 if users else 1)


ODD_PARTS: list[tuple[str, dict[str, Any]]] = [
    ("message", message(1) | {"text": 5}),
    ("message", message(1) | {"sent_at": "soon"}),
    ("message", message(1) | {"from": {"uid": "2", "handle": "bob"}}),
    ("message", message(1) | {"text": "half a character: \ud83d"}),
    ("message", message(1) | {"seq": "1"}),
    ("receipt", {"seq": 1, "id": "m1", "to": [2], "state": "done", "at": None, "why": 7}),
    ("presence", {"changes": [{"uid": {}, "status": 1}]}),
    ("contacts", {"added": 3, "removed": ["2"]}),
    ("status", {"status": None}),
    ("done", {"id": 9}),
]


@pytest.mark.parametrize(("name", "body"), ODD_PARTS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(ODD_PARTS)])
async def test_a_part_of_another_shape_is_passed_over_and_the_next_popup_is_shown(
    peer: Peer, ann: FlashClient, name: str, body: dict[str, Any]
) -> None:
    """On 79ccbf3 such a part ended the connection; a home sends it again on the next one, so no popup was ever shown any more."""
    events = ann.listen()
    asked = asyncio.ensure_future(next_of(events, Message))
    line = await peer.line()
    await line.welcome()
    await line.write(framed(name, body))
    await line.message(2, "pop over?")
    assert (await asked).text == "pop over?"
    more = asyncio.ensure_future(anext(events))
    await eventually(lambda: peer.bodies("/v1/acks"))
    assert peer.bodies("/v1/acks")[-1]["upto"] == 2
    more.cancel()
