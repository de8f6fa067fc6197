"""A broker that is killed, restarted, reset, or away for long. Rule: sends are accepted all the while, and everything arrives afterwards.

`FLASH_TEST_BROKER_AWAY_S=60` makes the long absence longer than the default.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable

import pytest

from tests.faults.checker import Ledger, lost, verify
from tests.faults.installation import Installation
from tests.faults.people import Crowd, Person, chatter
from tests.support import alarms
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

Tell = Callable[[object], None]
AWAY_S = float(os.environ.get("FLASH_TEST_BROKER_AWAY_S") or 5)
RESETS = 3
MEANWHILE = 120  # accepted during an alarm; half of them are for the other home
EACH = 500  # messages to one recipient meanwhile: a mailbox holds 1,000, and none of these is to bounce
MAX_GROWTH_BYTES = 60 * 2**20  # of a home's memory, while it keeps all that for later


async def test_connections_to_the_broker_are_reset_while_people_talk(
    rabbit: AnyRabbit, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Tell
) -> None:
    """The broker is killed again and again while messages are published."""
    people = await crowd.settle_in(8)
    async with chatter(people, ledger, chance):
        for _ in range(RESETS):
            await ledger.grown(chance.randint(10, 80))
            await asyncio.to_thread(rabbit.reset_connections)
    tell(await verify(ledger, people))


async def test_the_broker_is_low_on_memory_while_people_talk(
    installation: Installation, rabbit: AnyRabbit, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Tell
) -> None:
    """During an alarm the broker takes nothing from publishers; homes accept sends, and popups arrive after it."""
    people = await crowd.settle_in(8)
    async with chatter(people, ledger, chance):
        await ledger.grown(chance.randint(20, 100))
        try:
            await asyncio.to_thread(alarms.low_on_memory, rabbit)
            await eventually(lambda: not installation.published())
            began = len(ledger.accepted)
            await ledger.grown(MEANWHILE)
            waiting = lost(ledger, {person.uid: person for person in people}).look()
            assert len(waiting) > MEANWHILE // 4, "nothing waited: there was no alarm"
            assert installation.connected(), "an alarm was taken for a loss"
        finally:
            await asyncio.to_thread(alarms.end, rabbit)
        await ledger.grown(50)
    tell(f"{len(ledger.accepted) - began} accepted from the alarm on; {await verify(ledger, people)}")


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_the_broker_goes_away_and_comes_back_while_people_talk(
    how: str, rabbit: AnyRabbit, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Tell
) -> None:
    """The broker is killed once and stopped in order once."""
    people = await crowd.settle_in(8)
    async with chatter(people, ledger, chance):
        await ledger.grown(chance.randint(20, 150))
        await asyncio.to_thread(rabbit.kill if how == "kill" else rabbit.stop)
        await ledger.grown(chance.randint(20, 150))  # accepted without a broker
        await asyncio.to_thread(rabbit.start)
        await ledger.grown(50)
    tell(await verify(ledger, people))


async def test_the_broker_is_away_for_long_under_load(
    installation: Installation, rabbit: AnyRabbit, crowd: Crowd, ledger: Ledger, tell: Tell
) -> None:
    """Thousands of sends for the other home are accepted, cost the home little memory, and all arrive."""
    people = await crowd.settle_in(16)
    senders = [person for person in people if person.home == "h1"]
    recipients = [person for person in people if person.home == "h2"]
    home = installation.homes["h1"]
    await asyncio.gather(*(sender.insists(to, ledger) for sender in senders for to in recipients))
    before = home.rss_bytes()
    await asyncio.to_thread(rabbit.kill)
    back_at = time.monotonic() + AWAY_S
    began = len(ledger.accepted)

    async def send_all(sender: Person) -> None:
        for number in range(EACH * len(recipients) // len(senders)):
            if time.monotonic() > back_at and number > 100:
                return
            await sender.insists(recipients[number % len(recipients)], ledger)

    await asyncio.gather(*map(send_all, senders))
    accepted = len(ledger.accepted) - began
    grown = home.rss_bytes() - before
    await eventually(lambda: time.monotonic() > back_at, AWAY_S + 1)
    await asyncio.to_thread(rabbit.start)
    verdict = await verify(ledger, people)
    assert grown < MAX_GROWTH_BYTES, f"{grown / 2**20:.0f} MiB for {accepted} messages"
    assert verdict.bounced == 0
    tell(f"away {AWAY_S:g} s, {accepted} accepted meanwhile, home grew by {grown / 2**20:.1f} MiB; {verdict}")
