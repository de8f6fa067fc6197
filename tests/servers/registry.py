"""Global Servers on one store over a real embedded broker. Rule: the clocks stand still until a test moves them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from broker.embedded.broker import EmbeddedBroker
from servers.global_server.assembly import assemble
from servers.global_server.config import GlobalConfig
from servers.global_server.service import GlobalServer
from servers.messaging.heartbeats import HeartbeatConfig
from servers.security.passwords import CHEAP
from servers.trust.trust import Trust
from tests.servers.homes import STANDS_STILL
from tests.servers.strangers import beats, enrols
from tests.support.waiting import eventually

NOW = 1_700_000_000.0
HERE = "192.0.2.1"
PASSWORD = "correct horse"


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


class House:
    """Global Servers on one store, and homes that send heartbeats when told to."""

    def __init__(self, directory: Path, store_url: Callable[[str], str]) -> None:
        self.directory = directory
        self.store_url = store_url("global")
        self.clock = Clock()
        self.monotonic = Clock()
        self.broker = EmbeddedBroker(directory / "broker.db")
        self.running: list[GlobalServer] = []
        self.trusts: dict[str, Trust] = {}  # of the homes

    @classmethod
    @asynccontextmanager
    async def open(cls, directory: Path, store_url: Callable[[str], str]) -> "AsyncIterator[House]":
        """A broker is there; whatever is opened is closed at the end."""
        house = cls(directory, store_url)
        await house.broker.start()
        await house.broker.wait_connected(5)
        yield house
        for server in list(house.running):
            await house.closes(server)
        await house.broker.close()

    async def opens(self, **config: Any) -> GlobalServer:
        settings = {
            "store_url": self.store_url,
            "directory": self.directory,
            "password_cost": CHEAP,
            "heartbeats": HeartbeatConfig(beat_s=0.02),
            "clock": STANDS_STILL,
            **config,
        }
        server = assemble(GlobalConfig(**settings), self.broker, clock=self.clock, monotonic=self.monotonic)
        await server.start()
        self.running.append(server)
        return server

    async def closes(self, server: GlobalServer) -> None:
        self.running.remove(server)
        await server.stop()

    async def home(self, name: str) -> None:
        """A home announces itself and sends heartbeats until it is heard; the clock stands still, so it stays alive."""
        records = self.running[0].lifecycle.trust.records
        trust = self.trusts[name] = await enrols(self.broker, records, name, f"http://{name}.example", self.clock)

        async def heard() -> bool:
            await beats(self.broker, trust)
            return all(server.lifecycle.peers.is_up(name) for server in self.running)

        await eventually(heard)  # another Global Server learns the card meanwhile
