"""Clients that die, fall silent or stop reading. Rule: their contacters see it in time, and nobody else is delayed."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.faults.checker import Ledger, verify
from tests.faults.installation import BLANK_S, Installation
from tests.faults.people import Crowd, Person, chatter
from tests.faults.proxy import Proxy
from tests.support.waiting import eventually

Tell = Callable[[object], None]
AT_ONCE_S = 1.5  # two homes, a broker, and a busy machine lie between
SLACK_S = 1.5  # on top of the promised 2.5 blanks, for the same reason
FLOOD = 700  # below a mailbox's 1,000
BIG_TEXT = "é" * 4_000  # 8 kB: a flood of these is more than any buffer on the way to a client that does not read
MAX_GROWTH_BYTES = 60 * 2**20  # the mailbox itself holds 6 MB of texts; a copy per session and write would not fit
MAX_DELAY_S = 1.0  # of a message to somebody else during the flood


async def test_a_client_that_is_cut_off_is_offline_at_once(installation: Installation, crowd: Crowd, tell: Tell) -> None:
    """TCP reports the death, and the contacter at the other home sees it."""
    ann, bob = await crowd.pair("h1", "h2")
    window = await ann.opens()
    async with Proxy(installation.homes["h2"].port) as proxy:
        await bob.opens(through=proxy.url)
        await eventually(lambda: window.presence[bob.uid] == "online")
        proxy.cut()
        after_s = await time_until(lambda: window.presence[bob.uid] == "offline", AT_ONCE_S)
        assert window.changes[-1].reason == "lost"
        proxy.mend()
        await eventually(lambda: window.presence[bob.uid] == "online")
    tell(f"offline after {after_s:.2f} s")


async def test_a_client_behind_a_proxy_that_falls_silent_is_offline_after_two_and_a_half_blanks(
    installation: Installation, crowd: Crowd, ledger: Ledger, tell: Tell
) -> None:
    """The connection stays open, nothing is said. What was sent meanwhile waits for Bob."""
    ann, bob = await crowd.pair("h1", "h2")
    window = await ann.opens()
    async with Proxy(installation.homes["h2"].port) as proxy:
        await bob.opens(through=proxy.url)
        await eventually(lambda: window.presence[bob.uid] == "online")
        proxy.freeze()
        await ann.insists(bob, ledger)
        after_s = await time_until(lambda: window.presence[bob.uid] == "offline", 2.5 * BLANK_S + SLACK_S)
        assert window.changes[-1].reason == "timeout"
        proxy.thaw()
        tell(f"offline after {after_s:.2f} s with blanks of {BLANK_S:g} s; {await verify(ledger, [ann, bob])}")


async def test_clients_are_killed_and_come_back_while_people_talk(crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Tell) -> None:
    """No ack, no goodbye; two of them have a second window that stays."""
    people = await crowd.settle_in(6)
    for person in people[:2]:
        await person.opens()
    async with chatter(people, ledger, chance):
        for _ in range(6):
            await ledger.grown(chance.randint(5, 30))
            window = chance.choice(people).windows[0]
            await window.die()
            await ledger.grown(chance.randint(1, 20))
            await window.start()
    tell(await verify(ledger, people))


async def test_a_client_that_stops_reading_delays_nobody_and_costs_little(
    installation: Installation, crowd: Crowd, ledger: Ledger, tell: Tell
) -> None:
    """Bob's client holds its back connection and reads nothing; a later window of his gets everything."""
    ann, bob, carl = await crowd.pair("h1", "h1", "h1")
    await ann.opens()
    carls = await carl.opens()
    home = installation.homes["h1"]
    async with deaf_client(bob):
        before = home.rss_bytes()
        flood = asyncio.create_task(send_many(ann, bob, ledger))
        delays = []
        while not flood.done():
            id_ = (await ann.insists(carl, ledger)).id
            delays.append(await time_until(lambda key=(ann.uid, id_): key in carls.shown_once, 10))  # type: ignore[misc]
        await flood
        grown = home.rss_bytes() - before
    delays.sort()
    assert delays[-1] < MAX_DELAY_S, f"somebody else waited for {delays[-1]:.2f} s"
    assert grown < MAX_GROWTH_BYTES, f"{grown / 2**20:.0f} MiB"
    await bob.opens()
    verdict = await verify(ledger, [ann, bob, carl])
    assert verdict.bounced == 0
    median, worst = delays[len(delays) // 2], delays[-1]
    tell(f"home grew by {grown / 2**20:.1f} MiB; others waited {median * 1000:.0f} ms, {worst * 1000:.0f} ms at most; {verdict}")


async def send_many(sender: Person, to: Person, ledger: Ledger) -> None:
    """A flood of big messages, below the sender's rate limit."""
    for _ in range(FLOOD):
        await sender.insists(to, ledger, BIG_TEXT)


@asynccontextmanager
async def deaf_client(person: Person) -> AsyncIterator[None]:
    """A client that says hello (and no pong) and then reads nothing, with the smallest buffer the system gives."""
    address = urlsplit(person.grant.home.url)
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (address.hostname, address.port))
        body = json.dumps({"client": "deaf/1"}).encode()
        head = (
            f"POST /v1/back-connection HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {person.grant.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await loop.sock_sendall(sock, head.encode() + body)
        first = await loop.sock_recv(sock, 64)
        assert first.startswith(b"HTTP/1.1 200"), first
        yield
    finally:
        sock.close()


async def time_until(check: Callable[[], object], timeout_s: float) -> float:
    """The seconds until the condition held. `AssertionError` after `timeout_s`."""
    clock = asyncio.get_running_loop().time
    began = clock()
    await eventually(check, timeout_s)
    return clock() - began
