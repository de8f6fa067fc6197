"""Another window manager: one that leaves the keyboard with nobody when a popup goes that had it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.tk.servers import RunningServer
from tests.clients.tk.windows import typist
from tests.clients.tk.windows.conftest import Friend
from tests.clients.tk.windows.person import Person
from tests.clients.tk.windows.test_popups import somebody_at_work
from tests.support.display import Display
from tests.support.waiting import eventually


@pytest.fixture
def other_screen(tmp_path: Path) -> Iterator[Display]:
    try:
        display = Display(tmp_path, "icewm")
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
    with display:
        yield display


async def test_the_keyboard_goes_back_from_a_popup_to_the_window_that_had_it(
    other_screen: Display, friend: Friend, flash_servers: RunningServer, tmp_path: Path
) -> None:
    ann, bob = await friend("ann"), await friend("bob")
    await bob.add_contact(ann.grant.uid)
    window = Person(other_screen, tmp_path / "ann", flash_servers.url)
    window.remembers(ann.grant)
    await window.starts()
    await window.sees("^Connected$")
    with somebody_at_work(other_screen, tmp_path / "typed") as typed:
        await eventually(lambda: other_screen.activate(typist.TITLE) or other_screen.focus() == typist.TITLE)
        await bob.send(ann.grant.uid, "ready?")
        await window.clicks("^Reply$", kind="TButton", window="^Flash: ")
        await window.has_keyboard("^Flash: ")
        other_screen.type("yes")
        other_screen.key("ctrl+Return")
        await eventually(lambda: not window.popups())
        await eventually(lambda: other_screen.focus() == typist.TITLE)
        other_screen.type("on")
        await eventually(lambda: typed.read_text() == "on")
    assert await window.leaves() == 0
    assert not window.complaints()
