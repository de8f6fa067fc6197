"""The attacks of nobody and of users. Rule: each goes on until it is cancelled, from addresses of its own unless its row is an office."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping

from bench.fair.foe import Foe, all_of, post, put
from bench.fair.town import RICH, WATCHERS
from bench.http_client import Stream, request
from bench.people import PASSWORD

Attack = Callable[[Foe], Awaitable[None]]
LONG = "Pop over. " * 1_600  # 16,000 characters
SWELLING = "\ufdfa" * 100  # one letter that normalising makes 18


async def contacts(foe: Foe, connections: int = 128) -> None:
    """A user with 5,000 contacts asks for them on many connections."""
    ask = request("GET", "/v1/contacts", foe.town.foes[0].token)
    await all_of(*(foe.again_and_again(foe.home, lambda: ask) for _ in range(foe.many(connections))))


async def contacts_1000(foe: Foe) -> None:
    """The same on a thousand connections."""
    await contacts(foe, 1_000)


async def erasures(foe: Foe) -> None:
    """Nobody registers and erases, 22 a second, while a thousand people have one message that they did not acknowledge."""
    sender = foe.town.foes[4]
    for person in foe.town.crowd[: foe.many(1_000)]:
        await foe.once(foe.home, post("/v1/messages", {"id": foe.fresh("w"), "to": person.uid, "text": "Pop over?"}, sender.token))

    async def one(address: int) -> None:
        while True:
            body = {"handle": foe.fresh("shortlived"), "password": PASSWORD, "profile": {}}
            status, grant = await foe.once(foe.registry, post("/v1/users", body), address=address)
            if status == 201:
                await foe.once(foe.registry, post("/v1/users/me/erase", {"password": PASSWORD}, grant["token"]), address=address)
            await asyncio.sleep(0.1)

    await all_of(*(one(10 + number) for number in range(foe.many(4))))


async def registrations(foe: Foe) -> None:
    """A thousand registrations at once from one address, again and again."""

    def make() -> bytes:
        return post("/v1/users", {"handle": foe.fresh("crowding"), "password": PASSWORD, "profile": {}})

    await all_of(*(foe.again_and_again(foe.registry, make, pause_s=1.0) for _ in range(foe.many(1_000))))


async def sign_ins(foe: Foe) -> None:
    """Thirty accounts of one address sign in with the right passwords, 300 under way for ever."""
    numbers = itertools.cycle(range(40, 70))  # the handles of the foes

    def make() -> bytes:
        return post("/v1/tokens", {"handle": f"user{next(numbers)}", "password": PASSWORD})

    await all_of(*(foe.again_and_again(foe.registry, make) for _ in range(foe.many(300))))


async def guesses(foe: Foe) -> None:
    """A thousand addresses guess the password of one handle."""

    def make() -> bytes:
        return post("/v1/tokens", {"handle": "user0", "password": foe.fresh("guess")})

    await all_of(*(foe.again_and_again(foe.registry, make, address=512 + number, pause_s=5.0) for number in range(foe.many(1_000))))


async def office(foe: Foe) -> None:
    """Five guesses a second from the address from which the victims sign in."""

    def make() -> bytes:
        return post("/v1/tokens", {"handle": foe.fresh("user"), "password": "a wrong password"})

    await foe.again_and_again(foe.registry, make, address=1, pause_s=0.2 / foe.share)


async def mailboxes(foe: Foe) -> None:
    """Twenty mailboxes of people who are away are filled with long texts."""

    async def fill(number: int) -> None:
        sender, people = foe.town.foes[5 + number], itertools.cycle(foe.town.crowd[number::20])
        to = next(people)
        while True:
            status, _ = await foe.once(
                foe.home, post("/v1/messages", {"id": foe.fresh("m"), "to": to.uid, "text": LONG}, sender.token), address=20 + number
            )
            if status not in (202, 0, 503):
                to = next(people)
                await asyncio.sleep(0.05)

    await all_of(*(fill(number) for number in range(foe.many(20))))


async def small_to_full(foe: Foe) -> None:
    """One-letter messages go to a mailbox that is full of long texts."""
    sender, to = foe.town.foes[5], foe.town.crowd[-1]
    for _ in range(500):
        await foe.once(foe.home, post("/v1/messages", {"id": foe.fresh("f"), "to": to.uid, "text": LONG}, sender.token))

    def make() -> bytes:
        return post("/v1/messages", {"id": foe.fresh("s"), "to": to.uid, "text": "x"}, sender.token)

    await all_of(*(foe.again_and_again(foe.home, make) for _ in range(foe.many(16))))


async def silent_sessions(foe: Foe) -> None:
    """Accounts with 5,000 contacts open twenty sessions each and read nothing."""

    async def one(token: str) -> None:
        while True:
            with contextlib.suppress(OSError):
                wire = await foe.wire(foe.home)
                wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
                wire.writer.write(post("/v1/back-connection", {"client": "bench/1"}, token))
                await asyncio.sleep(60.0)
                wire.close()

    await all_of(*(one(each.token) for each in foe.town.foes[:RICH] for _ in range(foe.many(20))))


async def welcomes(foe: Foe) -> None:
    """Users with 5,000 contacts log in again and again."""

    async def one(token: str) -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                wire = await foe.wire(foe.home)
                wire.writer.write(post("/v1/back-connection", {"client": "bench/1"}, token))
                await wire.reader.readuntil(b"\r\n\r\n")
                foe.count(200)
                wire.close()

    await all_of(*(one(foe.town.foes[number % RICH].token) for number in range(foe.many(8))))


async def flapping(foe: Foe) -> None:
    """Somebody changes their status for ever before 1,500 watchers who are online."""
    streams = [await Stream.connect(foe.home, watcher.token, lambda name, body: None) for watcher in foe.town.crowd[: foe.many(WATCHERS)]]
    statuses = itertools.cycle(("away", "online"))

    def make() -> bytes:
        return put(foe.town.foes[RICH], "/v1/status", {"status": next(statuses), "note": "", "until": None})

    await all_of(*(foe.again_and_again(foe.home, make) for _ in range(foe.many(4))))
    for stream in streams:
        stream.close()


async def profiles(foe: Foe) -> None:
    """Profiles are changed for ever, full of a letter that normalising makes longer."""

    def change(number: int) -> Callable[[], bytes]:
        body = json.dumps({"profile": {"full_name": SWELLING}}, ensure_ascii=False).encode()
        return lambda: request("PATCH", "/v1/users/me", foe.town.foes[number].token, body)

    await all_of(*(foe.again_and_again(foe.registry, change(number % 30), address=20 + number) for number in range(foe.many(16))))


async def searches(foe: Foe) -> None:
    """Searches for 26 letters."""
    ask = request("GET", "/v1/users?q=abcdefghijklmnopqrstuvwxyz", foe.town.foes[6].token)
    await all_of(*(foe.again_and_again(foe.registry, lambda: ask) for _ in range(foe.many(16))))


async def unread_answers(foe: Foe) -> None:
    """Fifty connections ask 2,000 times each and do not read the answers."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError):
                wire = await foe.wire(foe.home)
                wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
                wire.writer.write(request("GET", "/openapi.json", None) * 2_000)
                await asyncio.sleep(20.0)
                wire.close()

    await all_of(*(one() for _ in range(foe.many(50))))


async def pipelines(foe: Foe) -> None:
    """Connections ask 6,000 times at once and read."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError):
                wire = await foe.wire(foe.home)
                wire.writer.write(request("GET", "/healthz", None) * 6_000)
                while await wire.reader.read(1 << 20):
                    foe.count(200)
                wire.close()

    await all_of(*(one() for _ in range(foe.many(8))))


async def unfinished_heads(foe: Foe) -> None:
    """Connections send 8,000 bytes of a head and wait."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                wire = await foe.wire(foe.home)
                wire.writer.write(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 7_960)
                await wire.reader.read()
                wire.close()
            await asyncio.sleep(1.0)

    await all_of(*(one() for _ in range(foe.many(1_000))))


async def descriptors(foe: Foe) -> None:
    """One address opens connections until it is refused."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                wire = await foe.wire(foe.home)
                foe.count((await wire.call(request("GET", "/healthz", None)))[0])
                await wire.reader.read()
                wire.close()
            await asyncio.sleep(1.0)

    await all_of(*(one() for _ in range(foe.many(8_000))))


ATTACKS: Mapping[str, Attack] = {
    "contacts": contacts,
    "contacts-1000": contacts_1000,
    "erasures": erasures,
    "registrations": registrations,
    "sign-ins": sign_ins,
    "guesses": guesses,
    "office": office,
    "mailboxes": mailboxes,
    "small-to-full": small_to_full,
    "silent-sessions": silent_sessions,
    "welcomes": welcomes,
    "flapping": flapping,
    "profiles": profiles,
    "searches": searches,
    "unread-answers": unread_answers,
    "pipelines": pipelines,
    "unfinished-heads": unfinished_heads,
    "descriptors": descriptors,
}
