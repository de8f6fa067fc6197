"""The attacks of users, by their calls. Rule: what an attack needs stands in the town, so that it begins at once."""

import asyncio
import contextlib
import itertools
import json
import string
from collections.abc import Callable

from bench.fair.foe import Foe, Wire, all_of, post, put
from bench.fair.town import FILLERS, FLAPPER, RICH, WATCHERS
from bench.http_client import Stream, request
from domain.mailbox.state import MAX_WAITING
from domain.values import MAX_TEXT_CHARS

LONG = "\U0001f4ac" * MAX_TEXT_CHARS  # as many bytes as a text may have: 16 KB
SWELLING = "\ufdfa" * 100  # one letter that normalising makes 18


async def contacts(foe: Foe, connections: int = 128) -> None:
    """A user with 5,000 contacts asks for them on many connections."""
    ask = request("GET", "/v1/contacts", foe.town.foes[0].token)
    await all_of(*(foe.again_and_again(foe.home, lambda: ask) for _ in range(foe.many(connections))))


async def contacts_1000(foe: Foe) -> None:
    """The same on a thousand connections."""
    await contacts(foe, 1_000)


async def mailboxes(foe: Foe) -> None:
    """Twenty senders fill the mailboxes of people who are away with long texts, each of them one after the other."""

    async def fill(number: int) -> None:
        sender, wire = foe.town.fillers[number], None
        for to in itertools.cycle(foe.town.crowd[number::FILLERS]):
            for _ in range(MAX_WAITING):
                try:
                    wire = wire or await foe.wire(foe.home, number)
                    body = {"id": foe.fresh("m"), "to": to.uid, "text": LONG}
                    status, _ = await wire.call(post("/v1/messages", body, sender.token))
                    foe.count(status)
                    await asyncio.sleep(0.0 if status == 202 else 0.05)
                except (OSError, EOFError):
                    wire = None
                    await asyncio.sleep(0.05)

    await all_of(*(fill(number) for number in range(foe.many(FILLERS))))


async def small_to_full(foe: Foe) -> None:
    """One-letter messages go to a mailbox that is full of long texts."""
    sender, to = foe.town.foes[0], foe.town.crowd[-1]
    for _ in range(500):
        await foe.once(foe.home, post("/v1/messages", {"id": foe.fresh("f"), "to": to.uid, "text": LONG}, sender.token))

    def make() -> bytes:
        return post("/v1/messages", {"id": foe.fresh("s"), "to": to.uid, "text": "x"}, sender.token)

    await all_of(*(foe.again_and_again(foe.home, make) for _ in range(foe.many(16))))


async def _opens(wire: Wire, token: str) -> int:
    """Ask for a session. The status of the answer, of which nothing else is read."""
    wire.writer.write(post("/v1/back-connection", {"client": "bench/1"}, token))
    head = await wire.reader.readuntil(b"\r\n\r\n")
    return int(head.split(None, 2)[1])


async def silent_sessions(foe: Foe) -> None:
    """Accounts with 5,000 contacts open twenty sessions each and read nothing."""

    async def one(token: str) -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                wire = await foe.wire(foe.home)
                foe.count(await _opens(wire, token))
                wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(60.0)
                wire.close()

    await all_of(*(one(each.token) for each in foe.town.foes[:RICH] for _ in range(foe.many(20))))


async def welcomes(foe: Foe) -> None:
    """Users with 5,000 contacts log in again and again."""

    async def one(token: str) -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                wire = await foe.wire(foe.home)
                foe.count(await _opens(wire, token))
                wire.close()

    await all_of(*(one(foe.town.foes[number % RICH].token) for number in range(foe.many(8))))


async def flapping(foe: Foe) -> None:
    """Somebody changes their status for ever before 1,500 watchers who are online."""
    flapper = foe.town.foes[FLAPPER]
    watchers = foe.town.crowd[: foe.many(WATCHERS)]
    streams = [await Stream.connect(foe.home, each.token, lambda name, body: None) for each in (flapper, *watchers)]
    statuses = itertools.cycle(("away", "online"))

    def make() -> bytes:
        return put(flapper, "/v1/status", {"status": next(statuses), "note": "", "until": None})

    await all_of(*(foe.again_and_again(foe.home, make) for _ in range(foe.many(4))))
    for stream in streams:
        stream.close()


async def profiles(foe: Foe) -> None:
    """Profiles are changed for ever, full of a letter that normalising makes longer."""

    def change(number: int) -> Callable[[], bytes]:
        body = json.dumps({"profile": {"full_name": SWELLING}}, ensure_ascii=False).encode()
        return lambda: request("PATCH", "/v1/users/me", foe.town.foes[number].token, body)

    await all_of(*(foe.again_and_again(foe.registry, change(number % 30), address=number) for number in range(foe.many(16))))


async def searches(foe: Foe) -> None:
    """Searches for 26 letters, as words of their own and narrowed to fields."""
    letters, token = "+".join(string.ascii_lowercase), foe.town.foes[6].token
    wishes = (f"q={letters}", f"q={letters}&note={letters}&full_name={letters}")
    asks = itertools.cycle(request("GET", f"/v1/users?{wish}", token) for wish in wishes)
    await all_of(*(foe.again_and_again(foe.registry, lambda: next(asks)) for _ in range(foe.many(16))))
