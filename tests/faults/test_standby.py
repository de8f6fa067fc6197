"""The process that serves a home dies, hangs, or loses its database, and the standby takes over. Rule: never two writers, whoever wakes up.

`FLASH_TEST_TAKEOVERS=20` plays more rounds than the suite has time for.
"""

import asyncio
import os
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.checker import Ledger, verify
from tests.faults.installation import Installation
from tests.faults.people import Crowd, Person, chatter
from tests.faults.standby import LEASE_S, Node, Pair, standing_by
from tests.support.postgres import AnyPostgres
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

ROUNDS = int(os.environ.get("FLASH_TEST_TAKEOVERS") or 3)
TAKEN_OVER_S = 10.0  # what is promised
NORMAL_S = 30.0  # messages flow in all directions; the queue of a home that hangs is free after two heartbeats
ENDED_S = 20.0
Fault = Callable[[Node], Awaitable[None]]


@pytest.fixture
async def pair(rabbit: AnyRabbit, postgres: AnyPostgres, tmp_path: Path) -> AsyncIterator[tuple[Installation, Pair]]:
    """The installation with two processes for h1."""
    rabbit.start()
    async with standing_by(tmp_path / "flash", rabbit.new_vhost(), postgres.new_database()) as both:
        yield both


async def killed(node: Node) -> None:
    """`kill -9`."""
    await asyncio.to_thread(node.server.kill)


async def stopped(node: Node) -> None:
    """`kill -STOP`: its connections stay open."""
    node.server.pause()


async def cut_off(node: Node) -> None:
    """Its connections to the database break, and no new one is let through."""
    node.line.cut()


async def unheard(node: Node) -> None:
    """Its connections to the database stay open, and no byte passes."""
    node.line.freeze()


async def woken(node: Node) -> None:
    """Whatever was done to it is over: it goes on where it was, finds that it may not, and ends by itself."""
    if node.server.running:
        node.line.mend()
        node.line.thaw()
        node.server.resume()
        await eventually(lambda: node.server.ended() is not None, ENDED_S)
        assert node.server.ended() == 1, node.server.log_tail()
        assert "another process serves this home" in node.server.log_tail().lower()
    node.line.mend()
    node.line.thaw()


async def test_the_standby_takes_over(
    pair: tuple[Installation, Pair], ledger: Ledger, chance: random.Random, tell: Callable[[object], None]
) -> None:
    """Under load, again and again; the one that was away comes back as the standby of the next round."""
    installation, both = pair
    faults: list[Fault] = [stopped, killed, cut_off, unheard] * (ROUNDS // 4 + 1)
    served: list[float] = []
    normal: dict[str, list[float]] = {}
    async with Crowd(installation.global_server.url, f"{chance.randrange(16**6):06x}") as crowd:
        people = await crowd.settle_in(8)
        ann, bob = await crowd.pair("h1", "h2")
        await asyncio.gather(ann.opens(), bob.opens())
        both.call_witness()
        for window in (window for person in [*people, ann, bob] for window in person.windows):
            window.changes.clear()  # what everybody was told while all moved in
        async with chatter(people, ledger, chance):
            for fault in faults[:ROUNDS]:
                await ledger.grown(chance.randint(20, 100))
                began = time.monotonic()
                await fault(both.serving)
                await eventually(both.standby.serves, TAKEN_OVER_S)
                served.append(time.monotonic() - began)
                await says_hello(ann, bob, ledger)
                normal.setdefault(fault.__name__, []).append(time.monotonic() - began)
                both.swap()
                await woken(both.standby)
                await both.standby.stands_by()
        verdict = await verify(ledger, [*people, ann, bob])
        assert not logoffs(people, [*people, ann, bob])
    judge(both.testimony(), ROUNDS)
    both.standby.server.terminate()  # a standby waits for months, and still ends when it is told to
    await eventually(lambda: both.standby.server.ended() is not None, ENDED_S)
    assert both.standby.server.ended() == 0, both.standby.server.log_tail()
    for name, seconds in normal.items():
        tell(f"{name}: {len(seconds)} rounds, normal after {', '.join(f'{each:.1f}' for each in seconds)} s")
    slow = statistics.quantiles([*served, *served], n=100, method="inclusive")[98]
    tell(f"{ROUNDS} takeovers (lease {LEASE_S} s): ready after p50 {statistics.median(served):.1f} s, p99 {slow:.1f} s")
    tell(f"{len(both.testimony())} commits under {ROUNDS + 1} leases, one writer at a time: {verdict}")


async def says_hello(ann: Person, bob: Person, ledger: Ledger) -> None:
    """Ann at h1 and Bob at h2 reach each other."""
    there, here = await asyncio.gather(ann.insists(bob, ledger), bob.insists(ann, ledger))
    await eventually(lambda: (ann.uid, there.id) in bob.windows[0].shown_once, NORMAL_S)
    await eventually(lambda: (bob.uid, here.id) in ann.windows[0].shown_once, NORMAL_S)


def logoffs(people: list[Person], watchers: list[Person]) -> list[str]:
    """What any window was told of somebody's going, although nobody went."""
    uids = {person.uid for person in people}
    return [
        f"{watcher.handle} saw {change.uid} {change.presence.status} ({change.reason})"
        for watcher in watchers
        for window in watcher.windows
        for change in window.changes
        if change.uid in uids and change.presence.status == "offline"
    ]


def judge(testimony: list[tuple[str, int, str]], takeovers: int) -> None:
    """No two writers: each commit was made by who held the lease in that moment, and the numbers never go back."""
    assert testimony
    assert not [(process, holder) for process, _, holder in testimony if process != holder]
    assert all(before <= after for (_, before, _), (_, after, _) in pairwise(testimony))
    assert len({epoch for _, epoch, _ in testimony}) == takeovers + 1
