"""RabbitMQ forgets the history and the presence log while people talk. Rule: both end up whole, and nobody is told that all is well before.

`forgotten` deletes both streams while every server runs; `wiped` empties the broker.
"""

import asyncio
import json
import os
import random
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

import flash_sdk
from tests.faults.checker import Ledger
from tests.faults.checker import verify as verify_ledger
from tests.faults.history import is_whole
from tests.faults.installation import FLASH, Installation
from tests.faults.people import PACE, PASSWORD, Crowd, Person, chatter
from tests.faults.test_presence_feed import Integrator
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

REFILLED_S = 60.0
STREAMS = ("flash.history", "flash.presence.log")


@pytest.fixture
def town(rabbit: AnyRabbit, tmp_path: Path) -> Iterator[Installation]:
    """An installation of its own, because its streams are lost."""
    installation = Installation(tmp_path, rabbit.new_vhost())
    try:
        installation.start()
        yield installation
    finally:
        installation.kill()


@pytest.fixture
async def people(town: Installation) -> AsyncIterator[list[Person]]:
    """Two people at each home, with everybody on their lists."""
    async with Crowd(town.global_server.url, "lost") as crowd:
        yield await crowd.settle_in(4)


def vhost(town: Installation) -> str:
    """The name of the installation's virtual host."""
    return town.amqp_url.rpartition("/")[2]


def audit(town: Installation, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command about the history."""
    environment = {**os.environ, **town.environment}
    return subprocess.run([FLASH, "audit", *words], check=False, capture_output=True, text=True, timeout=60, env=environment)


def knows(integrator: Integrator) -> dict[int, str]:
    """How users stand, by what the integrator was told: its last snapshot, and the changes since."""
    assert integrator.snapshot is not None
    return {user.uid: user.status for user in integrator.snapshot.users} | {change.uid: change.status for change in integrator.since}


async def test_a_history_that_was_deleted_under_load_ends_up_whole(
    town: Installation, rabbit: AnyRabbit, people: list[Person], ledger: Ledger, chance: random.Random, tell: Callable[[object], None]
) -> None:
    """The ops delete both streams by mistake; nobody restarts anything."""
    async with chatter(people, ledger, chance):
        await ledger.grown(30)
        before = audit(town, "export")
        for stream in STREAMS:
            await asyncio.to_thread(rabbit.ctl, "delete_queue", stream, "-p", vhost(town))
        await ledger.grown(30)
    await verify_ledger(ledger, people)
    await eventually(lambda: is_whole(town), REFILLED_S)
    await eventually(town.published, REFILLED_S)

    verified = audit(town, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "the history lacks" not in verified.stdout
    after = audit(town, "export")
    assert after.returncode == 0, after.stderr
    known = [json.loads(line) for line in before.stdout.splitlines()]
    lines = [json.loads(line) for line in after.stdout.splitlines()]
    places = [(line["source"], line["position"]) for line in lines]
    assert len(places) == len(set(places)), "the audit goes on over an era, and doubles nothing"
    assert lines[: len(known)] == known, "what was exported keeps its place"
    eras = {line["era"] for line in lines}
    assert len(eras) == 2
    refused = audit(town, "export", "--from", "1")
    assert "name the era" in refused.stderr
    tell(f"{len(lines)} events in {len(eras)} eras, each once")


async def test_integrators_hear_of_a_gap_and_then_of_everybody(town: Installation, rabbit: AnyRabbit, people: list[Person]) -> None:
    """Both streams are lost. The integrator takes a new snapshot, which knows those who did not move, and hears what comes."""
    async with flash_sdk.FlashClient(town.global_server.url) as client:
        await client.register("crm", PASSWORD)
    still, mover = people[0], people[1]
    integrator = Integrator(town.global_server.url)
    await integrator.start()
    await mover.client.set_status("away")
    await eventually(lambda: integrator.changes, 30)
    cursor = integrator.changes[-1].cursor
    for stream in STREAMS:
        await asyncio.to_thread(rabbit.ctl, "delete_queue", stream, "-p", vhost(town))

    await eventually(lambda: integrator.gaps, REFILLED_S)
    await mover.client.set_status("dnd")
    await eventually(lambda: knows(integrator)[mover.uid] == "dnd", REFILLED_S)
    await eventually(lambda: knows(integrator)[still.uid] == "online", REFILLED_S)
    await integrator.stop()

    async def stands() -> bool:
        snapshots = flash_sdk.presence(town.global_server.url, "crm", PASSWORD, after=cursor, pace=PACE)
        async for item in snapshots:
            assert isinstance(item, flash_sdk.Snapshot), "a cursor of another era must be refused"
            return {user.uid: user.status for user in item.users}.get(still.uid) == "online"
        return False

    await eventually(stands, REFILLED_S)


async def test_a_broker_that_was_wiped_gets_its_history_back(
    town: Installation, rabbit: AnyRabbit, people: list[Person], ledger: Ledger, chance: random.Random
) -> None:
    """The virtual host is deleted and made again, as when its disk was lost."""
    async with chatter(people, ledger, chance):
        await ledger.grown(30)
    name = vhost(town)
    await asyncio.to_thread(rabbit.ctl, "delete_vhost", name)
    await asyncio.to_thread(rabbit.ctl, "add_vhost", name)
    await asyncio.to_thread(rabbit.ctl, "set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    async with chatter(people, ledger, chance):
        await ledger.grown(30)
    await verify_ledger(ledger, people)
    await eventually(lambda: is_whole(town), REFILLED_S)
    verified = audit(town, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "the history lacks" not in verified.stdout
