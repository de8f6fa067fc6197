"""Workload `takeover`: how long a home is away when its process dies or hangs and its standby takes over, with default settings.

Rule: with every figure come the account of all popups, and the proof of the database which process wrote. Between two rounds the
connections of clients are steady for a while, as they are where homes die seldom; without that, each client would wait longer each time
before it tries again.
"""

import asyncio
import random
import shutil
import statistics

from bench.installation import REGISTRATIONS_PER_S
from bench.report import Run, Target
from bench.rig import Rig
from flash_sdk import Pace
from flash_sdk.listener import STEADY_S
from tests.faults.checker import Ledger, doubled, lost, out_of_order, verify
from tests.faults.people import Crowd, Person, chatter
from tests.faults.standby import Pair, standing_by
from tests.faults.takeovers import Fault, Takeover, killed, logoffs, stopped, take_over, two_writers
from tests.support.missing import Missing
from tests.support.postgres import PrivatePostgres

ROUNDS, QUICK_ROUNDS = 20, 2  # half of them `kill -9`, half `kill -STOP`, with `-CONT` once the standby serves
PEOPLE = 8  # half of them on the home that is taken over; they send all the time
BETWEEN = (20, 100)  # popups from the end of one round to the next fault
PATIENCE_S = 60.0  # long enough to measure a takeover that misses its target
TAKEOVER = {"ready longest s": Target(10), "popups longest s": Target(10)}


async def takeover(rig: Rig, run_s: float) -> Run:
    """20 takeovers of h1. `run_s` has no meaning here, because a round takes its own time."""
    if shutil.which("haproxy") is None:
        raise Missing("no haproxy here: apt-get install haproxy")
    rig.leave()
    rounds = QUICK_ROUNDS if rig.quick else ROUNDS
    postgres = PrivatePostgres()
    try:
        postgres.start()
        pace = {"FLASH_REGISTRATIONS_PER_S": REGISTRATIONS_PER_S}
        async with (
            standing_by(rig.fresh_directory(), rig.rabbit().new_vhost(), postgres.new_database(), pace) as (installation, both),
            Crowd(installation.global_server.url, "bench", Pace()) as crowd,
        ):
            people = await crowd.settle_in(PEOPLE)
            ann, bob = await crowd.pair("h1", "h2")
            await asyncio.gather(ann.opens(), bob.opens())
            return await _play(rounds, both, people, ann, bob)
    finally:
        postgres.close()


async def _play(rounds: int, both: Pair, people: list[Person], ann: Person, bob: Person) -> Run:
    ledger, chance = Ledger(), random.Random()
    everybody = [*people, ann, bob]
    faults: list[Fault] = [killed, stopped]
    both.call_witness()
    for window in (window for person in everybody for window in person.windows):
        window.changes.clear()  # the changes while all users logged in do not count
    taken: list[Takeover] = []
    wrong: list[str] = []
    try:
        async with chatter(people, ledger, chance):
            for number in range(rounds):
                await asyncio.sleep(STEADY_S)
                await ledger.grown(chance.randint(*BETWEEN))
                taken.append(await take_over(both, faults[number % len(faults)], ann, bob, ledger, PATIENCE_S))
        await verify(ledger, everybody)
    except AssertionError as error:
        wrong.append(f"after {len(taken)} rounds: {error}")
    testimony = both.testimony()
    wrong += [*two_writers(testimony, rounds), *logoffs(people, everybody)]
    figures = {**_times("ready", [each.ready_s for each in taken]), **_times("popups", [each.normal_s for each in taken])}
    figures |= {
        "accepted": len(ledger.accepted),
        "lost": len(lost(ledger, {person.uid: person for person in everybody}).look()),
        "doubled": sum(len(doubled(person)) for person in everybody),
        "out of order": sum(len(out_of_order(ledger, person)) for person in everybody),
        "commits": len(testimony),
        "leases": len({epoch for _, epoch, _ in testimony}),
    }
    return Run(figures, wrong, [_told(fault.__name__, taken) for fault in faults])


def _times(what: str, seconds: list[float]) -> dict[str, float]:
    slow = statistics.quantiles(seconds, n=100, method="inclusive")[98]
    return {f"{what} p50 s": statistics.median(seconds), f"{what} p99 s": slow, f"{what} longest s": max(seconds)}


def _told(fault: str, taken: list[Takeover]) -> str:
    mine = [each for each in taken if each.fault == fault]
    told = ", ".join(f"{each.ready_s:.1f} ({each.normal_s:.1f})" for each in mine)
    return f"{fault}, seconds until ready (until popups flow): {told}"
