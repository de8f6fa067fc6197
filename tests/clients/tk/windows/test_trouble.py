"""When things break: servers die and come back, the client is killed with unsent text. What the window says stays true."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flash_sdk import FlashClient, Message
from tests.clients.tk.servers import RunningServer
from tests.clients.tk.windows.conftest import Figure
from tests.clients.tk.windows.person import Person
from tests.support.display import Display

KILLS = 6  # of the client, each with unsent text: `FLASH_TK_KILLS` asks for more
LAST = "the last one"


@pytest.fixture
def flash_servers(tmp_path: Path) -> Iterator[RunningServer]:
    """A server of the test's own, because it dies."""
    with RunningServer(tmp_path / "servers") as servers:
        yield servers


async def test_the_line_tells_the_truth_and_nothing_is_sent_twice(
    screen: Display, pair: tuple[Person, FlashClient, FlashClient], flash_servers: RunningServer, pictures: Path | None, figure: Figure
) -> None:
    window, _, bob = pair
    await asyncio.to_thread(flash_servers.kill)
    await window.sees("^Reconnecting in [0-9]+ s", kind="TLabel")
    await window.sees("Bob Baker\nunknown", kind="Canvas")
    await opens_bob(window)
    screen.type("Text 0")
    screen.key("ctrl+Return")
    await window.sees("waiting for connection", kind="Text")
    await window.picture(pictures / "reconnecting.png" if pictures else None)

    kills = 1 + int(kills_wanted())
    for number in range(1, kills):
        window.kills()
        await window.starts("light")
        await window.sees("Bob Baker", kind="Canvas")
        await opens_bob(window)
        await window.sees(f"Text {number - 1}", kind="Text")
        screen.type(f"Text {number}")
        screen.key("ctrl+Return")
        await window.sees(f"Text {number}(.|\n)*", kind="Text")
        await window.sees("waiting for connection", kind="Text")
    window.kills()
    await asyncio.to_thread(flash_servers.start)
    await window.starts("light")
    await window.sees("^Connected$", timeout_s=40)
    for _ in range(2):  # killed again, perhaps between a send and its answer
        window.kills()
        await window.starts("light")
    await window.sees("^Connected$", timeout_s=40)
    await opens_bob(window)
    await window.sees("accepted|delivered", kind="Text")
    await window.no_longer_sees("waiting for connection", kind="Text", timeout_s=40)
    screen.type(LAST)
    screen.key("ctrl+Return")
    came = await received(bob, kills + 1)
    twice = sum(times - 1 for times in Counter(came).values())
    figure(f"duplicates after {kills + 2} kills of the client with unsent text: {twice}; lost: {kills + 1 - len(set(came))}")
    assert came == [*(f"Text {number}" for number in range(kills)), LAST]


async def opens_bob(window: Person) -> None:
    """The conversation, by keyboard."""
    await window.has_keyboard("^Flash - ann")
    window.display.key("Down", "Return")
    await window.has_keyboard("^Bob Baker")


async def received(bob: FlashClient, size: int) -> list[str]:
    """What came to bob, up to the last one, with everything that came twice."""
    came: list[str] = []
    async with asyncio.timeout(40), bob.listen() as events:
        async for event in events:
            if isinstance(event, Message):
                came.append(event.text)
                if event.text == LAST:
                    return came
    return came


def kills_wanted() -> str:
    """How often the client is killed."""
    return os.environ.get("FLASH_TK_KILLS", str(KILLS))
