"""A server that cannot start, or is told to stop before it has started, leaves nothing open."""

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from broker.embedded.broker import EmbeddedBroker
from domain.errors import Unavailable
from flash.process.compose import running_global, running_home
from flash.process.settings import Settings
from servers.encryption.key_tables import SqliteKeys
from servers.trust.records import IDENTITY, Records


class GivesNoQueues(EmbeddedBroker):
    """A broker that lets nobody begin."""

    async def declare_inbox(self, server: str) -> None:
        raise Unavailable("there is no queue for you")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    broker = GivesNoQueues(tmp_path / "broker.db")
    await broker.start()
    await broker.wait_connected(5)
    yield broker
    await broker.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return dataclasses.replace(Settings.read({}), data=tmp_path / "data", ops=frozenset({"olga"}))


def still_open(data: Path) -> list[str]:
    """The files of `data` that this process has open."""
    links = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return sorted({str(link.readlink()) for link in links if link.is_symlink() and str(link.readlink()).startswith(f"{data}/")})


async def test_a_global_server_that_cannot_start_is_stopped(settings: Settings, broker: EmbeddedBroker) -> None:
    with pytest.raises(Unavailable, match="no queue") as failure:
        async with running_global(settings, 0, broker):
            pass
    assert still_open(settings.data) == [], failure
    with pytest.raises(Unavailable, match="no queue"):  # nothing keeps it from trying again
        async with running_global(settings, 0, broker):
            pass


async def test_a_server_that_must_stop_while_it_is_put_together_leaves_nothing_open(settings: Settings, broker: EmbeddedBroker) -> None:
    async def start() -> None:
        async with running_home(settings, "h1", 0, broker):
            pass

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    begun = asyncio.create_task(start())
    await asyncio.sleep(0)  # now a thread puts it together
    begun.cancel()
    with pytest.raises(asyncio.CancelledError):
        await begun
    await asyncio.to_thread(int)  # the only thread has put the server together
    assert still_open(settings.data) == []


async def test_a_server_that_cannot_be_put_together_leaves_nothing_open(settings: Settings, broker: EmbeddedBroker) -> None:
    table = SqliteKeys(settings.data / "keys" / "h1.db")
    Records(table).put(IDENTITY, b"no key at all")
    table.close()
    with pytest.raises(ValueError, match="key") as failure:
        async with running_home(settings, "h1", 0, broker):
            pass
    assert still_open(settings.data) == [], failure
