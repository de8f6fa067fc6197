"""Homes on one PostgreSQL: the rounds that break most, PostgreSQL itself among the victims, and then the replay law.

Rule: what holds on SQLite holds here; the tests are the same ones.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults import test_monkey, test_what_history_tells
from tests.faults.checker import Ledger, verify
from tests.faults.installation import Installation
from tests.faults.people import Crowd, Person, chatter
from tests.faults.test_store import refusal
from tests.support.postgres import AnyPostgres, PrivatePostgres
from tests.support.rabbitmq_choice import AnyRabbit

Tell = Callable[[object], None]
ROUNDS = int(os.environ.get("FLASH_TEST_DATABASE_KILLS") or 1)
REFUSED = 3  # sends while the database is away; each waits for the pool's patience


@pytest.fixture(scope="module")
def database(postgres: AnyPostgres) -> Iterator[AnyPostgres]:
    """A PostgreSQL that may be killed: the session's own, unless somebody else owns that one."""
    if postgres.can_be_controlled:
        yield postgres
        return
    own = PrivatePostgres()
    own.start()
    yield own
    own.close()


@pytest.fixture(scope="module")
def standing(rabbit: AnyRabbit, database: AnyPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """As the folder's, but all servers share one database."""
    environment = {"FLASH_STORE_URL": database.new_database()}
    installation = Installation(tmp_path_factory.mktemp("flash-postgresql"), rabbit.new_vhost(), environment)
    try:
        installation.start()
        yield installation
    finally:
        installation.kill()


async def test_the_database_is_killed_while_people_talk(
    installation: Installation, database: AnyPostgres, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Tell
) -> None:
    """`kill -9` of all its processes: sends get 503 while it is away, and each message that was accepted arrives once."""
    people = await crowd.settle_in(8)
    ann, bob = await crowd.pair("h1", "h2")
    took: list[float] = []
    refused = 0
    async with chatter(people, ledger, chance):
        for number in range(ROUNDS):
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
    tell(f"{ROUNDS} rounds, {refused} refused with 503, normal {max(took):.1f} s after the database's return: {verdict}")
    assert not shown_after_refusal(window.shown, ann), "a send that was refused was shown"


def shown_after_refusal(shown: list[tuple[int, str]], sender: Person) -> list[str]:
    """Messages that were never accepted, and shown all the same: half done."""
    return [id_ for uid, id_ in shown if uid == sender.uid and id_.startswith("away-")]


async def test_everything_breaks_at_random(
    installation: Installation, rabbit: AnyRabbit, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Tell
) -> None:
    """The monkey, on PostgreSQL."""
    await test_monkey.test_everything_breaks_at_random(installation, rabbit, crowd, ledger, chance, tell)


async def test_replaying_the_history_gives_the_live_state(
    installation: Installation, rabbit: AnyRabbit, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Tell
) -> None:
    """After all that."""
    await test_what_history_tells.test_replaying_the_history_gives_the_live_state(installation, rabbit, crowd, ledger, chance, tell)
