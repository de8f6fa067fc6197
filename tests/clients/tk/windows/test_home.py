"""What only a home that does as it is told can show: a long backlog on its way, a bounce, a status whose time runs out."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flash_sdk import FlashClient
from tests.clients.sdk.peer import BackConnection, Peer, contact, framed, message
from tests.clients.tk.windows.conftest import Client
from tests.clients.tk.windows.person import Person
from tests.support.display import Display
from tests.support.waiting import eventually

ONLINE = {"status": "online", "note": "", "until": None}
WAITING, FIRST = 1000, 250  # of a backlog: how many there are, and how many come before one looks
PEOPLE = (("bob", "online", ""), ("carol", "away", "lunch"), ("dave", "dnd", ""), ("erin", "offline", ""), ("frank", "unknown", ""))


@pytest.fixture
async def peer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Peer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with Peer() as home:
        yield home


async def at_home(peer: Peer, client: Client, *, count: int = 0, status: dict[str, Any] = ONLINE) -> tuple[Person, BackConnection]:
    """Ann's client, let in: five contacts, one of each presence, and `count` messages that are said to wait."""
    people = [contact(uid, handle, presence) for uid, (handle, presence, _) in enumerate(PEOPLE, 2)]
    for each, (_, _, note) in zip(people, PEOPLE, strict=True):
        each["presence"]["note"] = note
    peer.contacts = {each["uid"]: each for each in people}
    peer.users |= {handle: uid for uid, (handle, _, _) in enumerate(PEOPLE, 2)}
    window = await client("ann", peer.url)
    async with FlashClient(peer.url) as ann:
        window.remembers(await ann.login("ann", "correct horse"))
    await window.starts()
    line = await peer.line()
    await line.write(b"--flash\r\n")
    resume = {"verdict": "replayed" if count else "fresh", "count": count}
    await line.part("welcome", session="s1", uid=1, blank_s=30, resume=resume, contacts=people, status=status)
    await window.sees("^Connected$")
    return window, line


async def test_contacts_stand_by_presence_and_typing_finds_them(screen: Display, client: Client, peer: Peer, pictures: Path | None) -> None:
    window, line = await at_home(peer, client)
    heads = r"Online \(1\)(.|\n)*Bob\nonline since (.|\n)*Away \(1\)(.|\n)*Carol\naway since [^\n]* · lunch(.|\n)*"
    await window.sees(
        heads + r"Do not disturb \(1\)(.|\n)*Dave(.|\n)*Offline \(1\)(.|\n)*Erin(.|\n)*Unknown \(1\)(.|\n)*Frank\nunknown", kind="Canvas"
    )
    await window.picture(pictures / "contacts.png" if pictures else None)
    await window.has_keyboard("^Flash - ann")
    screen.type("lun")
    await window.sees(r"^▾\nAway \(1\)\n(.|\n)*Carol", kind="Canvas")
    assert not window.look("Bob", kind="Canvas")
    screen.key("Escape")
    await window.sees("Bob", kind="Canvas")
    line.cut()
    await window.sees(r"Unknown \(5\)", kind="Canvas")


async def test_a_long_backlog_shows_how_far_it_is(screen: Display, client: Client, peer: Peer, pictures: Path | None) -> None:
    window, line = await at_home(peer, client, count=WAITING)
    await window.has_keyboard("^Flash - ann")
    screen.key("ctrl+i")
    sent = FIRST

    async def on_its_way() -> bool:
        nonlocal sent
        sent += 1  # a backlog that pauses is over: it goes on while one looks
        await line.part("message", **message(sent, f"Text {sent}"))
        bars = window.look(f"^{FIRST // 100}[0-9]{{2}}(.0)? of {WAITING}$", kind="TProgressbar")
        return len(bars) == len(window.look(f"Messages are coming in: [0-9]+ of {WAITING}", kind="TLabel")) == 2

    await line.write(b"".join(framed("message", message(seq, f"Text {seq}")) for seq in range(1, FIRST + 1)))
    await eventually(on_its_way)
    await window.picture(pictures / "backlog.png" if pictures else None)
    await window.sees(f"^{sent} messages are waiting", kind="TLabel")
    await window.no_longer_sees(kind="TProgressbar")
    assert len(window.popups()) == 1


async def test_a_bounce_says_why(screen: Display, client: Client, peer: Peer, pictures: Path | None) -> None:
    window, line = await at_home(peer, client)
    await window.has_keyboard("^Flash - ann")
    screen.key("Down", "Return")
    await window.has_keyboard("^Bob - Flash")
    screen.type("too much?")
    screen.key("ctrl+Return")
    await window.sees("✓ accepted", kind="Text")
    sent = peer.bodies("/v1/messages")[0]
    await line.part("receipt", seq=1, id=sent["id"], to=2, state="bounced", at="2030-01-02T03:04:05.000006Z", why="mailbox_full")
    await window.sees("✕ bounced: their mailbox is full", kind="Text")
    await window.picture(pictures / "bounced.png" if pictures else None)


async def test_do_not_disturb_ends_by_itself(client: Client, peer: Peer) -> None:
    window, line = await at_home(peer, client, status=dnd_for(3600)[1])
    await window.sees("Do not disturb until .*[0-9:]+ ▾", kind="TMenubutton")
    await line.part("message", **message(1, "when you can"))
    await window.sees(r"Inbox \(1\)", kind="TButton")
    assert not window.popups()
    until, status = dnd_for(2)
    await line.part("status", **status)
    await window.sees("when you can", kind="Text", window="^Flash: ")
    assert datetime.now(UTC) >= until
    await window.sees("Online ▾", kind="TMenubutton")
    await line.part("status", status="away", note="tea", until=None)
    await window.sees("Away ▾", kind="TMenubutton")


def dnd_for(seconds: float) -> tuple[datetime, dict[str, Any]]:
    """A moment, and a status that lasts until then."""
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return until, {"status": "dnd", "note": "", "until": until.isoformat().replace("+00:00", "Z")}
