"""What the terminal's tests share: real processes, each with settings of its own, against the scripted peer of the SDK's tests."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clients.sdk.peer import PASSWORD, Peer

ROOT = Path(__file__).parents[3]


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Running:
    """A command that runs on, such as `listen`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """The next line it prints."""
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 20)).decode().rstrip("\n")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    async def end(self) -> Ended:
        """Wait until it ends by itself."""
        out, err = await asyncio.wait_for(self.process.communicate(), 20)
        return Ended(self.process.returncode or 0, out.decode(), err.decode())


class Terminal:
    """A person's terminal."""

    def __init__(self, config: Path, server: str) -> None:
        self.config = config
        self._env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self._env |= {"FLASH_CONFIG_DIR": str(config), "FLASH_SERVER": server, "FLASH_PASSWORD": PASSWORD, "TZ": "UTC"}
        self._running: list[Running] = []

    async def start(self, *args: str, stdout: int = asyncio.subprocess.PIPE, **env: str) -> Running:
        """Start a command. `stdout`: a descriptor of its own for its output."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "clients.terminal", *args, cwd=ROOT, env=self._env | env, stdin=pipe, stdout=stdout, stderr=pipe
        )
        self._running.append(Running(process))
        return self._running[-1]

    async def run(self, *args: str, **env: str) -> Ended:
        """Run a command to its end."""
        return await (await self.start(*args, **env)).end()

    async def close(self) -> None:
        """Leave no process behind."""
        for running in self._running:
            if running.process.returncode is None:
                running.process.kill()
            await running.process.communicate()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as peer:
        yield peer


@pytest.fixture
async def terminal(peer: Peer, tmp_path: Path) -> AsyncIterator[Terminal]:
    terminal = Terminal(tmp_path / "config", peer.url)
    yield terminal
    await terminal.close()
