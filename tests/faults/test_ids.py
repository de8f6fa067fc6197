"""The same message id sent many times, at once and over a crash. Rule: one popup, one answer."""

import asyncio
import random
from collections.abc import Callable

import pytest

import flash_sdk
from tests.faults.checker import Accepted, Ledger, verify
from tests.faults.installation import Installation
from tests.faults.people import Crowd, Person

ANSWERED_S = 0.1  # fifty sends at once are answered within this time; the home dies at some moment of it


@pytest.mark.parametrize("times", [1, 2, 50])
@pytest.mark.parametrize("homes", [("h1", "h1"), ("h1", "h2")], ids="-".join)
async def test_one_id_sent_many_times_at_once(times: int, homes: tuple[str, str], crowd: Crowd, ledger: Ledger) -> None:
    """At one home and between two."""
    ann, bob = await crowd.pair(*homes)
    await ann.opens()
    await bob.opens()
    answers = await asyncio.gather(*(ann.tries(bob, "the-one") for _ in range(times)))
    assert len(set(answers)) == 1
    await only(answers[0], ann, bob, ledger)


async def test_one_id_sent_again_after_a_crash_of_the_home(installation: Installation, crowd: Crowd, ledger: Ledger) -> None:
    """The first answer is remembered on disk."""
    ann, bob = await crowd.pair("h1", "h2")
    await ann.opens()
    await bob.opens()
    first = await ann.tries(bob, "the-one")
    await asyncio.to_thread(installation.homes["h1"].restart)
    again = await asyncio.gather(*(ann.tries(bob, "the-one") for _ in range(10)))
    assert set(again) == {first}
    await only(first, ann, bob, ledger)


async def test_one_id_sent_fifty_times_into_a_crash(
    installation: Installation, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Callable[[object], None]
) -> None:
    """Some senders get their answer before the home dies, others do not; a sender who asks again gets the same answer."""
    ann, bob = await crowd.pair("h1", "h2")
    await ann.opens()
    await bob.opens()

    async def until_answered(number: int) -> Accepted:
        while True:
            try:
                return await ann.tries(bob, f"the-{number % 5}")
            except (flash_sdk.Unreachable, flash_sdk.TryLater):
                continue

    sends = [asyncio.create_task(until_answered(number)) for number in range(50)]
    await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED, timeout=chance.uniform(0, ANSWERED_S))
    early = sum(send.done() for send in sends)
    await asyncio.to_thread(installation.homes["h1"].restart)
    answers = set(await asyncio.gather(*sends))
    assert len(answers) == 5
    for answer in sorted(answers, key=lambda answer: answer.at):
        ledger.record(answer)
    tell(f"{early} of 50 answered before the crash; {await verify(ledger, [ann, bob])}")


async def only(answer: Accepted, ann: Person, bob: Person, ledger: Ledger) -> None:
    """Bob sees that message once: a later one comes right after it."""
    ledger.record(answer)
    await ann.insists(bob, ledger)
    await verify(ledger, [ann, bob])
    assert [id_ for _, id_ in bob.windows[0].shown] == [a.id for a in ledger.accepted]
