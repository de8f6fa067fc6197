"""A directory in which two homes have lived for some minutes, and a terminal to ask about them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog

from clients.command_line.running import run
from flash.cli import people
from tests.servers.homes import START, Town
from tests.support.waiting import eventually

MINUTE = 60.0


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Ask = Callable[..., Answer]


async def story(directory: Path) -> None:
    """22:13:20 ann logs in, adds bob and writes to him; 22:14:20 bob reads it and is away for lunch; 22:15:20 ann logs off, bob writes
    back."""
    town = Town(directory)
    await town.start("h1", "h2")
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    session, at_ann = await ann.opens()
    await ann.adds(bob, alias="Bobby")
    await ann.sends(bob, "pop over?", id="first")
    await eventually(lambda: bob.uid in bob.home.projections.waiting.mailboxes)

    town.clock.now = START + MINUTE
    _, window = await bob.opens()
    theirs = bob.home.sessions.of(bob.uid)
    await eventually(window.texts)
    await bob.home.set_status(bob.who, "away", "at lunch", None)
    await bob.acks(next(iter(theirs)), window)
    await bob.adds(ann)
    await eventually(at_ann.states)

    town.clock.now = START + 2 * MINUTE
    await ann.home.log_off(ann.who, session.id)
    await bob.sends(ann, "on my way", id="second")
    await eventually(lambda: ann.uid in ann.home.projections.waiting.mailboxes)
    await town.settled()
    await town.stop()


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory; the servers have stopped."""
    directory = tmp_path_factory.mktemp("lived")
    asyncio.run(story(directory))
    return directory


@pytest.fixture
def ask(lived: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """`ask("log", "--user", "ann")`."""
    monkeypatch.delenv("FLASH_BROKER_URL", raising=False)
    monkeypatch.setenv("FLASH_DATA_DIR", str(lived))
    monkeypatch.setenv("NO_COLOR", "1")

    def answer(*line: str) -> Answer:
        with structlog.testing.capture_logs():
            code = run(people(), ["audit", *line])
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return answer
