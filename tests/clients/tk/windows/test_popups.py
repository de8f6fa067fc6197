"""Popups as they come: never with the keyboard, never in a flood, never when one must not be disturbed."""

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from flash_sdk import FlashClient, Receipt
from tests.clients.tk.windows import typist
from tests.clients.tk.windows.conftest import Client, Figure, Friend
from tests.clients.tk.windows.person import ROOT, Person
from tests.support.display import Display
from tests.support.waiting import eventually

POPUPS = 20
WORK = "the quick brown fox jumps over the lazy dog and types on whatever comes "


@pytest.fixture
async def pair(client: Client, friend: Friend) -> tuple[Person, FlashClient, FlashClient]:
    """Ann at her client, ann's other session, and bob; both on the other's list."""
    ann, bob = await friend("ann"), await friend("bob")
    await ann.add_contact(bob.grant.uid)
    await bob.add_contact(ann.grant.uid)
    window = await client("ann")
    window.remembers(ann.grant)
    return window, ann, bob


async def test_popups_never_take_the_keyboard(
    screen: Display,
    pair: tuple[Person, FlashClient, FlashClient],
    tmp_path: Path,
    pictures: Path | None,
    figure: Figure,
) -> None:
    window, ann, bob = pair
    await window.starts()
    await window.sees("^Connected$")
    with somebody_at_work(screen, tmp_path / "typed") as typed:
        await eventually(lambda: screen.activate(typist.TITLE) or screen.focus() == typist.TITLE)
        typing = asyncio.create_task(asyncio.to_thread(screen.type, WORK * 4, 20))
        for number in range(POPUPS):
            await bob.send(ann.grant.uid, f"Popup number {number + 1}: have you a moment?", urgent=number == 3)
        await typing
        await window.sees("Popup number 8", kind="Text", window="^Flash: ")
        await window.sees("messages are waiting|more are waiting", kind="TLabel")
        await eventually(lambda: len(typed.read_text()) >= len(WORK * 4))
        lost = len(WORK * 4) - len(typed.read_text())
        figure(f"keystrokes lost while {POPUPS} popups came: {lost} of {len(WORK * 4)}")
        assert typed.read_text() == WORK * 4
        assert screen.focus() == typist.TITLE
        await window.picture(pictures / "popups.png" if pictures else None)
        await window.clicks("^Done$", kind="TButton", window="^Flash: ")
        await eventually(lambda: len(window.popups()) < 9)
        assert screen.focus() == typist.TITLE, "a click on Done needs no keyboard"


async def test_the_keyboard_goes_to_a_popup_on_request_and_back(
    screen: Display, pair: tuple[Person, FlashClient, FlashClient], tmp_path: Path
) -> None:
    window, ann, bob = pair
    await window.starts()
    await window.sees("^Connected$")
    with somebody_at_work(screen, tmp_path / "typed") as typed:
        await bob.send(ann.grant.uid, "ready?")
        await window.sees("ready", kind="Text", window="^Flash: ")
        await eventually(lambda: screen.activate(typist.TITLE) or screen.focus() == typist.TITLE)
        await window.clicks("^Reply$", kind="TButton", window="^Flash: ")
        await window.has_keyboard("^Flash: ")
        screen.type("yes")
        screen.key("ctrl+Return")
        await eventually(lambda: not window.popups())
        await eventually(lambda: screen.focus() == typist.TITLE)
        screen.type("on")
        await eventually(lambda: typed.read_text() == "on")
    await eventually(lambda: screen.activate(f"Flash - {ann.grant.handle}") or screen.focus().startswith("Flash - "))
    await bob.send(ann.grant.uid, "and by keyboard?")
    await window.sees("by keyboard", kind="Text", window="^Flash: ")
    screen.key("F8")
    await window.has_keyboard("^Flash: ")
    screen.key("alt+r")
    await eventually(lambda: any(widget.focus and widget.kind == "Text" for widget in window.glance()))
    screen.key("Escape", "alt+d")
    await eventually(lambda: not window.popups())


async def test_a_click_on_a_popup_leaves_the_keyboard_in_the_window_one_writes_in(
    screen: Display, pair: tuple[Person, FlashClient, FlashClient]
) -> None:
    window, ann, bob = pair
    await window.starts()
    await window.sees("^Connected$")
    await window.has_keyboard("^Flash - ann")
    screen.key("Down", "Return")
    await window.has_keyboard("^Bob Baker")
    screen.type("Dear ")
    for text in ("one", "two", "three"):
        await bob.send(ann.grant.uid, text)
    await window.clicks("^Later$", kind="TButton", window="^Flash: ")
    await eventually(lambda: len(window.popups()) == 2)
    await window.clicks("^Done$", kind="TButton", window="^Flash: ")
    await eventually(lambda: len(window.popups()) == 1)
    await window.clicks("one|two|three", kind="Text", window="^Flash: ")
    screen.type("Bob")
    await window.sees("^Dear Bob$", kind="Text", window="^Bob Baker")
    await window.clicks("^Reply$", kind="TButton", window="^Flash: ")
    await window.has_keyboard("^Flash: ")
    screen.type("yes")
    screen.key("ctrl+Return")
    await eventually(lambda: not window.popups())
    await window.has_keyboard("^Bob Baker")
    screen.type(", how are you")
    await window.sees("^Dear Bob, how are you$", kind="Text", window="^Bob Baker")


async def test_do_not_disturb_lets_only_urgent_ones_through(
    screen: Display, pair: tuple[Person, FlashClient, FlashClient], pictures: Path | None
) -> None:
    window, ann, bob = pair
    await window.starts("dark")
    await window.sees("^Connected$")
    await window.has_keyboard("Flash - ann")
    screen.key("ctrl+s")
    await window.sees("Do not disturb for 1 hour", kind="Menu")
    screen.key("d")
    await window.sees("Do not disturb ▾", kind="TMenubutton")
    await window.no_longer_sees("saving", kind="TMenubutton")
    await bob.send(ann.grant.uid, "no hurry")
    await bob.send(ann.grant.uid, "the house is on fire", urgent=True)
    await window.sees("on fire", kind="Text", window="^Flash: ")
    await window.sees(r"Inbox \(2\)", kind="TButton")
    assert len(window.popups()) == 1
    assert "Later" not in window.popups()[0]
    await window.picture(pictures / "do-not-disturb-dark.png" if pictures else None)
    await window.clicks("^Done$", kind="TButton", window="^Flash: ")
    await window.sees(r"Inbox \(1\)", kind="TButton")


async def test_what_is_done_on_one_session_closes_on_the_other(pair: tuple[Person, FlashClient, FlashClient]) -> None:
    window, ann, bob = pair
    await window.starts()
    await window.sees("^Connected$")
    accepted = await bob.send(ann.grant.uid, "read me anywhere")
    await window.sees("read me", kind="Text", window="^Flash: ")
    await ann.done(accepted.id)
    await eventually(lambda: not window.popups())


async def test_done_in_the_window_reaches_the_sender(pair: tuple[Person, FlashClient, FlashClient]) -> None:
    window, ann, bob = pair
    await window.starts()
    await window.sees("^Connected$")
    async with bob.listen() as events:
        accepted = await bob.send(ann.grant.uid, "close me")
        await window.clicks("^Done$", kind="TButton", window="^Flash: ")
        async with asyncio.timeout(15):
            async for event in events:
                if isinstance(event, Receipt) and event.state == "done":
                    assert event.id == accepted.id
                    break


async def test_a_flood_after_a_login_is_one_window(
    screen: Display, pair: tuple[Person, FlashClient, FlashClient], pictures: Path | None
) -> None:
    window, ann, bob = pair
    for number in range(30):
        await bob.send(ann.grant.uid, f"While you were away, number {number + 1}")
    await window.starts()
    await window.sees("30 messages are waiting", kind="TLabel")
    assert len(window.popups()) == 1
    await window.clicks("Open the inbox", kind="TButton")
    await window.has_keyboard("Inbox")
    await window.sees("number 30", kind="Treeview")
    await window.picture(pictures / "inbox.png" if pictures else None)
    screen.key("d")
    await window.sees("^29 waiting", kind="TLabel")
    await eventually(lambda: not window.popups())


@contextmanager
def somebody_at_work(screen: Display, typed: Path):  # type: ignore[no-untyped-def]
    """Another program's window; gives the file that holds what was typed into it."""
    environment = screen.environment | {"PYTHONPATH": str(ROOT)}
    with typed.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "tests.clients.tk.windows.typist"], env=environment, stdout=out, cwd=ROOT)
    try:
        yield typed
    finally:
        process.terminate()
        process.wait()
