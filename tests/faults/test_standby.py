"""The process that serves a home dies, hangs, or loses its database, and the standby takes over.

Rule: never two writers, whichever process wakes up.

`FLASH_TEST_TAKEOVERS=20` plays more rounds than the suite has time for; `make bench ARGS=takeover` plays them with default settings.
"""

import asyncio
import os
import random
import statistics
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.faults.checker import Ledger, verify
from tests.faults.installation import PACE, Installation
from tests.faults.people import Crowd, chatter
from tests.faults.standby import Pair, standing_by
from tests.faults.takeovers import ENDED_S, Fault, Takeover, cut_off, killed, logoffs, stopped, take_over, two_writers, unheard
from tests.support.postgres import AnyPostgres
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

ROUNDS = int(os.environ.get("FLASH_TEST_TAKEOVERS") or 3)
LEASE_S = 2.5  # four renewals fit on a machine that others keep busy


@pytest.fixture
async def pair(rabbit: AnyRabbit, postgres: AnyPostgres, tmp_path: Path) -> AsyncIterator[tuple[Installation, Pair]]:
    """The installation with two processes for h1."""
    rabbit.start()
    pace = {**PACE, "FLASH_LEASE_S": str(LEASE_S)}
    async with standing_by(tmp_path / "flash", rabbit.new_vhost(), postgres.new_database(), pace) as both:
        yield both


async def test_the_standby_takes_over(
    pair: tuple[Installation, Pair], ledger: Ledger, chance: random.Random, tell: Callable[[object], None]
) -> None:
    """Under load, again and again; the one that was away comes back as the standby of the next round."""
    installation, both = pair
    faults: list[Fault] = [stopped, killed, cut_off, unheard] * (ROUNDS // 4 + 1)
    rounds: list[Takeover] = []
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
                rounds.append(await take_over(both, fault, ann, bob, ledger))
        verdict = await verify(ledger, [*people, ann, bob])
        assert not logoffs(people, [*people, ann, bob])
    testimony = both.testimony()
    assert testimony
    assert not two_writers(testimony, ROUNDS)
    both.standby.server.terminate()  # a standby waits for months, and still ends when it is told to
    await eventually(lambda: both.standby.server.ended() is not None, ENDED_S)
    assert both.standby.server.ended() == 0, both.standby.server.log_tail()
    for name in sorted({each.fault for each in rounds}):
        seconds = [each.normal_s for each in rounds if each.fault == name]
        tell(f"{name}: {len(seconds)} rounds, normal after {', '.join(f'{each:.1f}' for each in seconds)} s")
    served = [each.ready_s for each in rounds]
    slow = statistics.quantiles([*served, *served], n=100, method="inclusive")[98]
    tell(f"{ROUNDS} takeovers (lease {LEASE_S} s): ready after p50 {statistics.median(served):.1f} s, p99 {slow:.1f} s")
    tell(f"{len(testimony)} commits under {ROUNDS + 1} leases, one writer at a time: {verdict}")
