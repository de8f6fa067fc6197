"""Two lines as one row of parts, without a network. Rule: the back connection alone says when the line begins and when it is over."""

import asyncio

import pytest

from flash_sdk.backoff import Pace
from flash_sdk.events import Blank
from flash_sdk.listener import Listener
from flash_sdk.mailbox import Mailbox
from flash_sdk.merged_line import MergedLine
from flash_sdk.parts import Part
from flash_sdk.stream import Lost
from flash_sdk.transport_ladder import TransportTimeouts
from flash_sdk.transport_selector import TransportSelector

ACTIVE = Part("direct", {"active": True})


class ScriptedLine:
    """A line that says what it is told to."""

    idle_s = 30.0

    def __init__(self) -> None:
        self.parts: asyncio.Queue[Part | Exception] = asyncio.Queue()
        self.confirmed = 0
        self.closed = False

    def says(self, *parts: Part | Exception) -> None:
        for part in parts:
            self.parts.put_nowait(part)

    async def next(self) -> Part:
        part = await self.parts.get()
        if isinstance(part, Exception):
            raise part
        return part

    def confirm(self) -> None:
        self.confirmed += 1

    def close(self) -> None:
        self.closed = True


class Port:
    """A port on which the home has called."""

    def __init__(self) -> None:
        self.line = ScriptedLine()

    async def offer(self, session: str) -> None:
        return None

    def take_line(self) -> ScriptedLine:
        return self.line

    def close(self) -> None:
        pass


def message(seq: int) -> Part:
    return Part("message", {"seq": seq})


@pytest.fixture
async def lines():
    back, port = ScriptedLine(), Port()
    merged = MergedLine(back, port, "s")
    yield merged, back, port.line
    merged.close()
    assert back.closed


async def test_the_line_is_not_read_before_the_back_connection_says_so(lines):
    merged, back, line = lines
    line.says(message(2))
    back.says(message(1), ACTIVE)
    assert [await merged.next() for _ in range(3)] == [message(1), ACTIVE, message(2)]
    assert line.confirmed == 1


async def test_a_part_on_the_back_connection_ends_the_line_and_comes_after_it(lines):
    merged, back, line = lines
    back.says(ACTIVE)
    assert await merged.next() == ACTIVE
    back.says(Part("blank", {}))
    assert (await merged.next()).name == "blank"
    assert not line.closed
    back.says(message(1))
    assert await merged.next() == Part("direct", {"active": False, "why": "given_up"})
    assert line.closed
    line.says(message(9))  # too late: what was on its way comes again over the back connection
    assert await merged.next() == message(1)
    back.says(message(2))
    assert await merged.next() == message(2)


async def test_a_line_that_breaks_is_left_and_the_back_connection_goes_on(lines):
    merged, back, line = lines
    back.says(ACTIVE)
    line.says(message(1), Lost("gone"))
    came = [await merged.next() for _ in range(3)]
    assert came == [ACTIVE, message(1), Part("direct", {"active": False, "why": "lost"})]
    back.says(message(2))
    assert await merged.next() == message(2)


async def test_a_back_connection_that_breaks_ends_it_all(lines):
    merged, back, _ = lines
    back.says(ACTIVE, Lost("gone"))
    assert await merged.next() == ACTIVE
    with pytest.raises(Lost):
        await merged.next()


async def test_who_leaves_while_the_home_says_goodbye_hangs_up_all_the_same():
    """A last acknowledgement was on its way, and is waited for."""
    back, port = ScriptedLine(), Port()
    acking, given_up = asyncio.Event(), asyncio.Event()

    async def opens(*_: object) -> ScriptedLine:
        return back

    async def post_ack(session: str, upto: int) -> None:
        acking.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
            await asyncio.Event().wait()

    async def log_off(session: str) -> None:
        return None

    selector = TransportSelector("http://home", TransportTimeouts(), only="multipart")
    listener = Listener(opens, post_ack, log_off, Mailbox(), selector, Pace(), "test", blanks=True, direct=port)
    back.says(Part("welcome", {"session": "s", "uid": 1, "blank_s": 30, "resume": {"verdict": "fresh", "count": 0}, "contacts": []}))
    back.says(ACTIVE, Part("blank", {}))
    while not isinstance(await anext(listener), Blank):
        pass
    await acking.wait()
    back.says(Part("goodbye", {"reason": "logoff", "reconnect_after_s": None}))
    await given_up.wait()
    await listener.aclose()
    assert port.line.closed
