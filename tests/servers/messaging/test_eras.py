"""When the Global Server begins an era. Rule: a stream that lacks what it held is in another era, and every other one stays in its own."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker import topology
from broker.embedded.broker import EmbeddedBroker
from broker.port import Outgoing
from broker.topology import HISTORY
from domain.registry.registered_home import GLOBAL
from servers.messaging.eras import NOTE_S, EraKeeper, Eras
from servers.trust.publications import HistoryJudge, HistorySigner
from servers.trust.trust import Trust
from tests.servers.homes import Clock
from tests.servers.strangers import RecordsInMemory


class Watched:
    """A history on a broker whose disk may be replaced by an older copy, and the Global Server's watch over it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.clock, self.eras = directory, Clock(), Eras()
        self.trust = Trust(GLOBAL, RecordsInMemory(), self.clock)
        self.trust.certify_itself()

    async def start(self) -> None:
        self.broker = EmbeddedBroker(self.directory / "broker.db")
        await self.broker.start()
        await self.broker.wait_connected(5)
        self.keeper = EraKeeper(self.broker, self.trust, self.eras, self.clock, monotonic=self.clock)

    async def looks(self) -> int:
        """The era, a minute later."""
        self.clock.now += NOTE_S
        await self.keeper.look(HISTORY)
        return self.eras.known[HISTORY].number

    async def publishes(self, messages: int) -> None:
        signer = HistorySigner(self.trust, self.clock)
        for _ in range(messages):
            self.clock.now += 0.001
            await self.broker.publish([Outgoing(topology.EVENTS, f"{GLOBAL}.0", signer.publication(1, (1, 0, 0), 1, 1, ()))])

    async def copies(self) -> None:
        await self.broker.close()
        shutil.copy(self.directory / "broker.db", self.directory / "older.db")
        await self.start()

    async def puts_the_copy_back(self) -> None:
        await self.broker.close()
        for file in self.directory.glob("broker.db*"):
            file.unlink()
        shutil.copy(self.directory / "older.db", self.directory / "broker.db")
        await self.start()

    async def told(self) -> list[int]:
        """The eras that publications name, in the order of the stream."""
        judge = HistoryJudge(self.trust.identity.public)
        return [judge.read(item).head.era async for item in self.broker.read_stream(HISTORY, follow=False)]  # type: ignore[union-attr]


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path)
    await watched.start()
    yield watched
    await watched.broker.close()


async def test_a_stream_that_only_grows_stays_in_its_era(watched: Watched) -> None:
    eras = set()
    for _ in range(3):
        eras.add(await watched.looks())
        await watched.publishes(2)
        await watched.copies()  # a restart
    assert eras == {await watched.looks()}


@pytest.mark.parametrize("published_since", [0, 3, 10])
async def test_a_broker_with_an_older_disk_is_noticed_whatever_was_published_since(watched: Watched, published_since: int) -> None:
    before = await watched.looks()
    await watched.publishes(2)
    await watched.copies()
    await watched.publishes(3)
    assert await watched.looks() == before
    await watched.puts_the_copy_back()
    await watched.publishes(published_since)
    after = await watched.looks()
    assert after > before
    assert (await watched.told())[-1] == after, "the era begins in the stream itself"
    assert await watched.looks() == after
    await watched.publishes(2)
    await watched.copies()
    assert await watched.looks() == after


async def test_a_copy_of_an_era_before_is_another_era_too(watched: Watched) -> None:
    """The first message of the copy begins an era that is over."""
    first = await watched.looks()
    await watched.copies()
    await watched.broker.close()
    for file in watched.directory.glob("broker.db*"):
        file.unlink()
    await watched.start()
    second = await watched.looks()
    await watched.publishes(1)
    assert await watched.looks() == second > first
    await watched.puts_the_copy_back()
    assert await watched.looks() > second
