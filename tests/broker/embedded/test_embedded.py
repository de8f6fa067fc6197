"""What only the embedded broker can get wrong: its file, its one thread, its memory."""

import asyncio
import sqlite3
import sys
from pathlib import Path

import pytest

from broker.embedded.broker import EmbeddedBroker
from broker.embedded.queue import MAX_READY
from broker.port import Outgoing
from broker.topology import HISTORY, HOMES
from domain.errors import Unavailable
from tests.broker.storages import Recorder
from tests.support.waiting import eventually

PUBLISHER = """
import asyncio, sys
from broker.embedded import EmbeddedBroker
from broker.port import Outgoing

async def main():
    broker = EmbeddedBroker(sys.argv[1])
    await broker.start()
    await broker.wait_connected(10)
    await broker.declare_inbox("h1")
    for number in range(1_000_000):
        await broker.publish([Outgoing("flash.homes", "h1", b"%d" % number), Outgoing("flash.events", "h1.1", b"%d" % number)])
        print(number, flush=True)

asyncio.run(main())
"""


async def opened(path: Path) -> EmbeddedBroker:
    broker = EmbeddedBroker(path)
    await broker.start()
    await broker.wait_connected(10)
    await broker.declare_inbox("h1")
    return broker


async def test_what_was_confirmed_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "broker.sqlite"
    publisher = await asyncio.create_subprocess_exec(sys.executable, "-c", PUBLISHER, str(path), stdout=asyncio.subprocess.PIPE)
    assert publisher.stdout is not None
    confirmed = -1
    async for line in publisher.stdout:
        if line.endswith(b"\n"):
            confirmed = int(line)
        if confirmed == 200:
            publisher.kill()
    await publisher.wait()

    broker, recorder = await opened(path), Recorder()
    await broker.consume("h1", recorder)
    await eventually(lambda: len(recorder.deliveries) > confirmed)
    history = [item.body async for item in broker.read_stream(HISTORY, follow=False)]
    assert recorder.bodies[: confirmed + 1] == history[: confirmed + 1] == [b"%d" % number for number in range(confirmed + 1)]
    assert len(history) <= confirmed + 2  # the one that was on its way
    await broker.close()


async def test_what_comes_together_is_committed_together(tmp_path: Path) -> None:
    broker = await opened(tmp_path / "broker.sqlite")
    before = _changes(tmp_path / "broker.sqlite")
    await asyncio.gather(*(broker.publish([Outgoing(HOMES, "h1", b"%d" % number)]) for number in range(500)))
    assert _changes(tmp_path / "broker.sqlite") - before <= 3
    await broker.close()


async def test_memory_holds_only_the_head_of_a_queue(tmp_path: Path) -> None:
    broker, recorder = await opened(tmp_path / "broker.sqlite"), Recorder(ack=False)
    await broker.consume("h1", recorder, prefetch=1)
    bodies = [b"%d" % number for number in range(MAX_READY * 2)]
    for start in range(0, len(bodies), 256):
        await broker.publish([Outgoing(HOMES, "h1", body) for body in bodies[start : start + 256]])
    assert broker.in_memory <= MAX_READY + 256
    recorder.acks = True
    recorder.deliveries[0].ack()
    await recorder.receives(*bodies)
    await broker.close()


async def test_a_file_that_cannot_be_opened_is_said_clearly(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "no such folder" / "broker.sqlite")
    await broker.start()
    with pytest.raises(Unavailable):
        await broker.wait_connected(10)
    with pytest.raises(Unavailable):
        await broker.publish([])
    await broker.close()


async def test_when_the_disk_fails_publishing_fails_and_afterwards_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "broker.sqlite"
    broker, recorder = await opened(path), Recorder(ack=False)
    await broker.consume("h1", recorder)
    await broker.publish([Outgoing(HOMES, "h1", b"before"), Outgoing(HOMES, "h1", b"junk")])
    await eventually(lambda: len(recorder.deliveries) == 2)

    saboteur = sqlite3.connect(path)
    saboteur.execute("CREATE TRIGGER full BEFORE INSERT ON messages BEGIN SELECT RAISE(FAIL, 'disk full'); END")
    saboteur.commit()
    recorder.deliveries[0].ack()
    recorder.deliveries[1].dead("junk")
    with pytest.raises(Unavailable):
        await broker.publish([Outgoing(HOMES, "h1", b"lost")])
    saboteur.execute("DROP TRIGGER full")
    saboteur.commit()
    saboteur.close()

    await broker.publish([Outgoing(HOMES, "h1", b"after")])
    await recorder.receives(b"before", b"junk", b"after")
    assert await broker.depths() == {"flash.home.h1": 1, "flash.dead": 1}
    await broker.close()
    again, later = await opened(path), Recorder()
    await again.consume("h1", later)
    await later.receives(b"after")
    await again.close()


async def test_when_the_disk_fails_a_dead_letter_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "broker.sqlite"
    broker, recorder = await opened(path), Recorder(ack=False)
    await broker.consume("h1", recorder)
    await broker.publish([Outgoing(HOMES, "h1", b"junk")])
    await eventually(lambda: len(recorder.deliveries) == 1)
    recorder.deliveries[0].dead("junk")
    [letter] = await broker.dead_letters()

    saboteur = sqlite3.connect(path)
    saboteur.execute("CREATE TRIGGER full BEFORE INSERT ON messages BEGIN SELECT RAISE(FAIL, 'disk full'); END")
    saboteur.commit()
    with pytest.raises(Unavailable):
        await broker.requeue_dead()
    saboteur.execute("DROP TRIGGER full")
    saboteur.commit()
    saboteur.close()

    assert await broker.dead_letters() == [letter]
    assert await broker.depths() == {"flash.home.h1": 0, "flash.dead": 1}
    assert await broker.requeue_dead([letter.id]) == 1
    await recorder.receives(b"junk", b"junk")
    assert await broker.depths() == {"flash.home.h1": 1, "flash.dead": 0}
    await broker.close()


def _changes(path: Path) -> int:
    """Transactions in the write-ahead log so far: each ends with a frame that says how large the file is then."""
    log = path.with_name(path.name + "-wal").read_bytes()
    page = int.from_bytes(log[8:12], "big")
    frames = range(32, len(log), 24 + page)
    return sum(1 for at in frames if int.from_bytes(log[at + 4 : at + 8], "big"))
