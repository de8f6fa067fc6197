"""The replay law over everything that the tests before have done to the installation. Rule: replaying the history gives the live state.

Run alone, it checks a short talk of its own; at the end of the folder, it checks all the crashes as well.
"""

import asyncio
import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence

import msgpack

from broker.envelope import EventRecord
from projections.by_server import HomeProjections, by_name
from servers.writing.projector import read_checkpoint
from tests.faults.checker import Ledger, verify
from tests.faults.history import close, first_difference, fold, open_store, read_history, stored_records
from tests.faults.installation import FLASH, Installation
from tests.faults.people import Crowd, chatter
from tests.support.rabbitmq_choice import AnyRabbit


async def test_replaying_the_history_gives_the_live_state(
    installation: Installation,
    rabbit: AnyRabbit,
    crowd: Crowd,
    ledger: Ledger,
    chance: random.Random,
    tell: Callable[[object], None],
) -> None:
    """The stream holds each server's events, same bytes, in order; folded, they are what the homes wrote down when they stopped."""
    people = await crowd.settle_in(6)
    async with chatter(people, ledger, chance):
        await ledger.grown(50)
        await asyncio.to_thread(rabbit.reset_connections)
        await ledger.grown(50)
    await verify(ledger, people)
    for server in installation.servers:
        await asyncio.to_thread(server.stop)  # a graceful stop publishes what is left, and writes the checkpoints of the live state

    history = await read_history(installation.amqp_url)
    assert not history.disorder, history.disorder[:5]
    lines: list[str] = []
    for server in installation.servers:
        store = open_store(installation.store_url(server.name), server.name)
        try:
            told, stored = history.records[server.name], await stored_records(store)
            assert first_difference(told, stored) is None, (server.name, first_difference(told, stored))
            if server.name in installation.homes:
                for name, index in fold(store, told).items():
                    live = by_name(HomeProjections())[name]
                    checkpoint = read_checkpoint(installation.data / server.name / f"{name}.projection", store.keys)
                    assert checkpoint is not None
                    assert live.from_checkpoint(checkpoint)
                    assert index.to_checkpoint() | {"position": 0} == live.to_checkpoint() | {"position": 0}, (server.name, name)
                assert_queued_once(told)
            lines.append(f"{server.name} {len(told)} events")
        finally:
            await close(store)

    for name in installation.homes:
        done = await asyncio.to_thread(rebuild, installation, name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert [line.rpartition(", ")[2] for line in done.stdout.splitlines()] == ["same as before"] * len(by_name(HomeProjections())), (
            done.stdout
        )
    for server in installation.servers:
        done = await asyncio.to_thread(verify_log, installation, server.name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "not asked" not in done.stdout
    tell(f"{', '.join(lines)}; {history.repeats} repeats in the stream; same bytes, order and indices, rebuilt the same; honest")


def assert_queued_once(records: Sequence[EventRecord]) -> None:
    """No store ever put one message into a mailbox twice, whatever a client would have hidden."""
    counts = Counter(
        (record.stream, message["uid"], message["id"])
        for record in records
        if record.topic == "mailbox.message_queued"
        for message in [msgpack.unpackb(record.data)]
    )
    twice = [key for key, count in counts.items() if count > 1]
    assert not twice, twice[:5]


def rebuild(installation: Installation, home: str) -> "subprocess.CompletedProcess[str]":
    """`flash projections rebuild`."""
    command = [FLASH, "projections", "rebuild", home, "--data", str(installation.data)]
    environment = {**os.environ, "FLASH_STORE_URL": installation.store_url(home)}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)


def verify_log(installation: Installation, server: str) -> "subprocess.CompletedProcess[str]":
    """`flash audit verify`: with its seals, the Global Server's copies and the history."""
    stores = ["--store", installation.store_url(server), "--global-store", installation.store_url("global")]
    environment = {**os.environ, "FLASH_BROKER_URL": installation.amqp_url}
    return subprocess.run(
        [FLASH, "audit", "verify", server, *stores], check=False, capture_output=True, text=True, timeout=60, env=environment
    )
