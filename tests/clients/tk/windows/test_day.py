"""A day with the popup client: names of one's own, second thoughts, links, other looks, and a window that stands where it stood."""

import stat
from pathlib import Path

from flash_sdk import FlashClient
from tests.clients.tk.windows.person import Person, Widget
from tests.support.display import Display
from tests.support.waiting import eventually

LEAST = (230, 320)  # the smallest main window


async def test_bob_gets_a_name_of_anns_own_and_she_is_told_when_he_comes(
    screen: Display, pair: tuple[Person, FlashClient, FlashClient], pictures: Path | None
) -> None:
    window, _, bob = pair
    screen.key("Down", "F2")
    await window.has_keyboard("^Bob Baker - Flash")
    screen.type("Bobby")
    screen.key("alt+t")
    await window.picture(pictures / "card.png" if pictures else None)
    screen.key("Return")
    await window.sees("Bobby\noffline$", kind="Canvas")
    async with bob.listen() as events:
        await anext(events)
        await window.sees("^Bobby$", kind="TLabel", window="^Flash: Bobby")
        await window.sees("^online since", kind="TLabel", window="^Flash: Bobby")
        await window.has_keyboard("^Flash - ann")
        await window.picture(pictures / "online.png" if pictures else None)
        await window.clicks("^Write$", kind="TButton", window="^Flash: Bobby")
        await window.has_keyboard("^Bobby - Flash")
        await window.no_longer_sees(window="^Flash: Bobby")


async def test_a_removal_is_taken_back(screen: Display, pair: tuple[Person, FlashClient, FlashClient], pictures: Path | None) -> None:
    window, ann, _ = pair
    screen.key("Down", "ctrl+Delete")
    await window.sees("^Bob Baker was removed$", kind="TLabel")
    await window.sees("Nobody is on your list yet", kind="Canvas")
    await window.picture(pictures / "removed.png" if pictures else None)
    screen.key("ctrl+z")
    await window.sees("Bob Baker\noffline", kind="Canvas")
    await window.no_longer_sees("was removed", kind="TLabel")
    assert [contact.handle for contact in await ann.contacts()] == [pair[2].grant.handle]


async def test_later_keeps_a_popup_for_the_inbox_and_its_link_opens_a_browser(
    screen: Display, pair: tuple[Person, FlashClient, FlashClient], tmp_path: Path
) -> None:
    window, ann, bob = pair
    await window.leaves()
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(stat.S_IRWXU)
    await window.starts(BROWSER=str(browser))
    await bob.send(ann.grant.uid, "https://flash.example/a?b=1")
    link = await window.sees("flash.example", kind="Text", window="^Flash: ")
    await still(window, link)
    screen.click(link.x + 20, link.y + link.height // 2)
    await eventually(lambda: opened.exists() and opened.read_text() == "https://flash.example/a?b=1")
    await window.clicks("^Later$", kind="TButton", window="^Flash: ")
    await eventually(lambda: not window.popups())
    await window.sees(r"Inbox \(1\)", kind="TButton")
    await window.sees("BB\n1\nBob Baker\noffline", kind="Canvas")  # one unread


async def test_signing_out_forgets_the_grant(screen: Display, pair: tuple[Person, FlashClient, FlashClient], tmp_path: Path) -> None:
    window, ann, _ = pair
    kept = [file for file in (tmp_path / "ann" / "config").rglob("*.json") if ann.grant.handle in file.name]
    assert [stat.S_IMODE(file.stat().st_mode) for file in kept] == [0o600]
    screen.key("F10")
    await window.sees("Sign out", kind="Menu")
    screen.key("s")
    await window.sees("^Sign in to Flash$", kind="TLabel")
    assert not kept[0].exists()
    await window.leaves()
    await window.starts()
    await window.sees("^Sign in to Flash$", kind="TLabel")
    assert ann.grant.handle in [widget.text for widget in window.look(kind="TEntry")]


async def test_a_small_window_is_tidy_and_stands_where_it_stood_in_the_looks_it_had(
    screen: Display, pair: tuple[Person, FlashClient, FlashClient], pictures: Path | None
) -> None:
    window, ann, bob = pair
    await bob.send(ann.grant.uid, "small?")
    await window.clicks("^Later$", kind="TButton", window="^Flash: ")
    title = f"^Flash - {ann.grant.handle}$"
    await window.has_keyboard(title)
    screen.key("F10")
    await window.sees("Looks", kind="Menu")
    screen.key("l")
    await window.sees("Dark", kind="Menu")
    screen.key("d")
    screen.run("xdotool", "search", "--onlyvisible", "--name", title, "windowsize", "10", "10", "windowmove", "300", "200")
    await eventually(lambda: size(main(window)) == LEAST)
    await window.picture(pictures / "small-dark.png" if pictures else None)
    outer = main(window)
    for widget in window.look(kind="TButton|TMenubutton|TEntry"):
        assert outer.x <= widget.x <= widget.x + widget.width <= outer.x + outer.width, f"{widget.text} is cut off"
    await window.leaves()
    await window.starts("")
    await window.sees("^Connected$")
    await eventually(lambda: size(main(window)) == LEAST)
    assert abs(main(window).x - outer.x) + abs(main(window).y - outer.y) < 50, "but for its frame, it stands where it stood"


def main(window: Person) -> Widget:
    """The main window."""
    return next(widget for widget in window.glance() if widget.path == ".")


def size(widget: Widget) -> tuple[int, int]:
    """Width and height."""
    return widget.width, widget.height


async def still(window: Person, widget: Widget) -> None:
    """Until it stands where it was seen: a popup that is new moves as its text is laid out."""
    await eventually(lambda: widget in window.glance())
