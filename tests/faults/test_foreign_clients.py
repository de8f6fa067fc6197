"""The examples in other people's libraries, against real logins and a RabbitMQ that restarts. Rule: they are run as they stand."""

import asyncio
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from broker.rabbitmq.broker import RabbitBroker
from broker.topology import PRESENCE_LOG
from tests.faults.installation import Installation
from tests.faults.people import Crowd, Person
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

EXAMPLES = Path(__file__).parents[2] / "examples"
AMQPLIB = "amqplib@0.10.9"
MAX_LINES = 40
BACK_S = 60.0


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with amqplib and the example."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.fail("these tests need Node.js: apt-get install nodejs npm", pytrace=False)
    folder = tmp_path_factory.mktemp("node")
    subprocess.run(["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", AMQPLIB], check=True, timeout=100)
    return Path(shutil.copy(EXAMPLES / "presence_amqplib.mjs", folder))


class Program:
    """A running example, and what it has printed."""

    def __init__(self, command: Sequence[str], output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=file, stdin=subprocess.DEVNULL)

    def ids(self) -> list[str]:
        """The changes printed so far, in order."""
        assert self._process.poll() is None, "the example ended"
        return [json.loads(line)["id"] for line in self._output.read_text().splitlines()]

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()


def test_each_example_has_less_than_forty_lines() -> None:
    assert {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.iterdir() if path.is_file()}.keys() == {
        "presence_pika.py",
        "presence_amqplib.mjs",
    }
    assert all(len(path.read_text().splitlines()) < MAX_LINES for path in EXAMPLES.iterdir() if path.is_file())


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # what RabbitMQ tells does not depend on the database
async def test_other_peoples_libraries_miss_nothing_over_a_restart_of_rabbitmq(
    installation: Installation,
    rabbit: AnyRabbit,
    crowd: Crowd,
    chance: random.Random,
    tell: Callable[[object], None],
    node_modules: Path,
    tmp_path: Path,
) -> None:
    programs = {
        "pika": Program([sys.executable, str(EXAMPLES / "presence_pika.py"), installation.amqp_url], tmp_path / "pika"),
        "amqplib": Program(["node", str(node_modules), installation.amqp_url], tmp_path / "amqplib"),
    }
    try:
        people = [*await crowd.lives_at("h1", 2), *await crowd.lives_at("h2", 2)]
        await come_and_go(people, chance, 3)
        await agree(programs, await said(installation))
        away = asyncio.create_task(come_and_go(people, chance, 3))  # changes while RabbitMQ is away wait at the homes
        await asyncio.to_thread(rabbit.restart)
        await away
        await come_and_go(people, chance, 3)
        await eventually(lambda: asyncio.to_thread(installation.published), BACK_S)
        truth = await said(installation)
        await agree(programs, truth)
        tell(f"{len(truth)} changes, RabbitMQ restarted once: pika and amqplib each printed every one once and in order")
    finally:
        for program in programs.values():
            program.end()


async def come_and_go(people: Sequence[Person], chance: random.Random, times: int) -> None:
    """Real logins and logoffs, in any order."""

    async def one(person: Person) -> None:
        for _ in range(times):
            window = await person.opens()
            await window.die()

    await asyncio.gather(*(one(person) for person in chance.sample(people, len(people))))


async def said(installation: Installation) -> list[str]:
    """Each change in the log, once, in order."""
    broker = RabbitBroker(installation.amqp_url, "test")
    await broker.start()
    try:
        await broker.wait_connected(BACK_S)
        events = [json.loads(item.body) async for item in broker.read_stream(PRESENCE_LOG, follow=False)]
        ids = [event["id"] for event in events if event["type"] == "flash.presence.changed.v1"]
    finally:
        await broker.close()
    newest: dict[str, int] = {}
    fresh = []
    for each in ids:
        user, _, version = each.rpartition("/")
        if int(version) > newest.get(user, 0):
            newest[user] = int(version)
            fresh.append(each)
    return fresh


async def agree(programs: dict[str, Program], truth: list[str]) -> None:
    """Return when each has printed exactly what was said until then."""
    assert truth
    for name, program in programs.items():
        await eventually(lambda program=program: len(program.ids()) >= len(truth), BACK_S)
        assert program.ids()[: len(truth)] == truth, name
