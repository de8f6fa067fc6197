"""`flash tk --direct` on a screen: the window says so, and popups come and go without the home in between, each once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from flash_sdk import Direct, Listener, Message, Receipt
from tests.clients.sdk.direct_ports import RecordingPort
from tests.clients.tk.servers import RunningServer
from tests.clients.tk.windows.conftest import Client, Friend
from tests.support.display import Display
from tests.support.waiting import eventually

SOON_S = 15.0  # a window, a process and two homes, on two cores that are busy with other things


@pytest.fixture
def flash_servers(tmp_path: Path) -> Iterator[RunningServer]:
    """With homes that call this machine's clients."""
    with RunningServer(tmp_path / "servers", FLASH_DIRECT_NETWORKS="127.0.0.0/8") as servers:
        yield servers


async def test_popups_come_directly_and_the_window_says_so(screen: Display, client: Client, friend: Friend, pictures: Path | None) -> None:
    ann, bob = await friend("ann"), await friend("bob")
    await ann.add_contact(bob.grant.uid)
    await bob.add_contact(ann.grant.uid)
    window = await client("ann")
    window.remembers(ann.grant)
    await window.starts("light", "direct")
    await window.sees("^Connected: popups come directly$")
    await window.picture(pictures / "direct.png" if pictures else None)
    async with bob.listen(direct=(port := RecordingPort(bob))) as events:
        assert await heard(events, Direct) == Direct(active=True)
        accepted = await bob.send(ann.grant.uid, "pop over?", direct=True)
        assert accepted.direct
        await window.sees("^pop over[?]$", window="^Flash: Bob Baker")
        assert (await heard(events, Receipt)).state == "delivered"
        await window.clicks("^Done$", kind="TButton", window="^Flash: Bob Baker")
        assert (await heard(events, Receipt)).state == "done"
        await window.no_longer_sees(window="^Flash: Bob Baker")
        await window.has_keyboard("^Flash - ann")
        screen.key("Down", "Return")
        await window.has_keyboard("^Bob Baker - Flash")
        screen.type("in a minute")
        screen.key("ctrl+Return")
        answer = await heard(events, Message)
        assert isinstance(answer, Message)
        assert answer.text == "in a minute"
        await eventually(lambda: [message.id for message in port.handed_over] == [answer.id])  # by whichever way it was shown
        await window.sees("accepted|delivered", kind="Text")


async def heard(events: Listener, kind: type) -> object:
    """The next event of a kind."""
    async with asyncio.timeout(SOON_S):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")
