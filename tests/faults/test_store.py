"""A store that is away: locked, on a full disk, or killed. Rule: sends get 503, nothing is half done, and later all is well.

`FLASH_TEST_DATABASE_KILLS=20` kills PostgreSQL more often than once.
"""

import asyncio
import os
import random
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import flash_sdk
from tests.faults.checker import Ledger, verify
from tests.faults.databases import locked, stored
from tests.faults.installation import Installation, Server
from tests.faults.people import Crowd, Person, chatter
from tests.support.postgres import AnyPostgres
from tests.support.waiting import eventually

Tell = Callable[[object], None]
REFUSED_S = 20.0  # a commit waits for a lock for 5 s before it gives up
KILLS = int(os.environ.get("FLASH_TEST_DATABASE_KILLS") or 1)
REFUSED = 3  # sends while the database is away; each waits for the pool's patience


async def test_the_store_is_locked_by_another_process(installation: Installation, crowd: Crowd, ledger: Ledger, tell: Tell) -> None:
    """An exclusive lock outlasts the home's patience."""
    ann, bob, carl = await crowd.pair("h1", "h2", "h2")
    await ann.opens()
    await bob.opens()
    await ann.insists(bob, ledger)
    with locked(installation, "h1"):
        refused = await asyncio.gather(*(refusal(ann, bob, f"locked-{number}") for number in range(5)))
        assert refused == [(503, "unavailable")] * 5
        await carl.insists(bob, ledger)  # the other home goes on
        patient = asyncio.create_task(ann.insists(bob, ledger))
    await patient
    assert await stored(installation, "locked-0") == 0
    for number in range(5):
        ledger.record(await ann.tries(bob, f"locked-{number}"))
    assert await stored(installation, "locked-0") == 1
    tell(await verify(ledger, [ann, bob, carl]))


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # PostgreSQL's own answer to a full disk is to end
async def test_the_disk_is_full(installation: Installation, crowd: Crowd, ledger: Ledger, tell: Tell) -> None:
    """No byte more may be written to the home's files; then there is room again."""
    ann, bob = await crowd.pair("h1", "h2")
    await ann.opens()
    window = await bob.opens()
    home = installation.homes["h1"]
    await ann.insists(bob, ledger)
    await eventually(lambda: window.shown)
    with full_disk(home):
        refused = await asyncio.gather(*(refusal(ann, bob, f"full-{number}") for number in range(5)))
        assert refused == [(503, "unavailable")] * 5
        assert await stored(installation, "full-0") == 0
        await bob.insists(ann, ledger)  # accepted by the other home; ours cannot take it in yet
        assert home.running
        await eventually(lambda: not home.ready())
    await eventually(home.ready)  # although nobody tries
    for number in range(5):
        ledger.record(await ann.tries(bob, f"full-{number}"))
    assert await stored(installation, "full-0") == 1
    verdict = await verify(ledger, [ann, bob])
    await asyncio.to_thread(home.restart)  # what is on the disk is whole
    await ann.insists(bob, ledger)
    tell(await verify(ledger, [ann, bob]))
    assert verdict.messages == 7


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
async def test_the_database_is_killed_while_people_talk(
    installation: Installation, database: AnyPostgres, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Tell
) -> None:
    """`kill -9` of all its processes: sends get 503 while it is away, and each message that was accepted arrives once."""
    people = await crowd.settle_in(8)
    ann, bob = await crowd.pair("h1", "h2")
    took: list[float] = []
    refused = 0
    async with chatter(people, ledger, chance):
        for number in range(KILLS):
            await ledger.grown(chance.randint(20, 150))
            await asyncio.to_thread(database.kill)
            answers = await asyncio.gather(*(refusal(ann, bob, f"away-{number}-{each}") for each in range(REFUSED)))
            assert answers == [(503, "unavailable")] * REFUSED
            refused += len(answers)
            await asyncio.to_thread(database.start)
            back = time.monotonic()
            await asyncio.gather(ann.insists(bob, ledger), bob.insists(ann, ledger))
            took.append(time.monotonic() - back)
        await ledger.grown(50)
    await ann.opens()
    window = await bob.opens()
    verdict = await verify(ledger, [*people, ann, bob])
    tell(f"{KILLS} rounds, {refused} refused with 503, normal {max(took):.1f} s after the database's return: {verdict}")
    assert not shown_after_refusal(window.shown, ann), "a send that was refused was shown"


def shown_after_refusal(shown: list[tuple[int, str]], sender: Person) -> list[str]:
    """Messages that were never accepted, and shown all the same: half done."""
    return [id_ for uid, id_ in shown if uid == sender.uid and id_.startswith("away-")]


async def refusal(sender: Person, to: Person, id_: str) -> tuple[int, str]:
    """How a send is refused: status and code."""
    with pytest.raises(flash_sdk.TryLater) as caught:
        await asyncio.wait_for(sender.tries(to, id_), REFUSED_S)
    return caught.value.status, caught.value.code


@contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """The kernel lets the process write no file beyond its first byte: to SQLite that is a disk without room."""
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)
