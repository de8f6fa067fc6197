"""A home's database is emptied, or an older copy takes its place, and the home is simply started. Rule: nobody need know that it was."""

import asyncio
import random
import shutil
from collections.abc import Callable

import pytest

from tests.faults.checker import Ledger, verify
from tests.faults.databases import on_postgresql
from tests.faults.installation import END_S, Installation, Server
from tests.faults.people import Crowd, chatter
from tests.support.ports import free_ports
from tests.support.waiting import eventually


def files(installation: Installation, home: str) -> list[str]:
    """The files of a home's log."""
    return [path.name for path in installation.data.glob(f"{home}.db*")]


@pytest.mark.parametrize("how", ["emptied", "an older copy"])
async def test_a_home_whose_database_was_set_back_loses_no_popup(
    how: str, installation: Installation, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Callable[[object], None]
) -> None:
    """On 79ccbf3 the home started, answered 202, and all its mail was dropped as repeats: 20 of 20 were lost."""
    if on_postgresql(installation):
        pytest.skip("the file of a SQLite store is copied here; a replica without its tail is played by bench.forgetting")
    people = await crowd.settle_in(6)
    home, older = installation.homes["h1"], installation.directory / f"older-{chance.random()}"
    async with chatter(people, ledger, chance):
        await ledger.grown(40)
    await asyncio.to_thread(home.stop)
    older.mkdir()
    for name in files(installation, "h1"):
        shutil.copy(installation.data / name, older / name)
    await asyncio.to_thread(home.start)
    async with chatter(people, ledger, chance):
        await ledger.grown(60)
    await eventually(lambda: home.metric("flash_relay_lag") == 0)
    await asyncio.to_thread(home.kill)
    for name in files(installation, "h1"):
        (installation.data / name).unlink()
    if how != "emptied":
        for path in older.iterdir():
            shutil.copy(path, installation.data / path.name)
    await asyncio.to_thread(home.start)
    put_back = home.metric("flash_log_put_back")
    assert put_back > 0
    async with chatter(people, ledger, chance):
        await ledger.grown(60)
    tell(f"{how}: {put_back:.0f} events put back; {await verify(ledger, people)}")


async def test_a_copied_directory_is_not_at_work_twice(
    installation: Installation, crowd: Crowd, ledger: Ledger, chance: random.Random
) -> None:
    """On 79ccbf3 the second process took the home over, and 10 of 10 popups were lost."""
    if on_postgresql(installation):
        pytest.skip("on PostgreSQL the lease decides: tests/faults/test_standby.py")
    people = await crowd.settle_in(4)
    async with chatter(people, ledger, chance):
        await ledger.grown(10)
    copy = installation.directory / f"copy-{chance.random()}"
    shutil.copytree(installation.data, copy)
    environment = {**installation.environment, "FLASH_DATA_DIR": str(copy)}
    second = Server("second", ["home", "h1"], free_ports(1)[0], environment, copy / "second.log")
    async with chatter(people, ledger, chance):
        second.spawn()
        await eventually(lambda: second.ended() is not None, END_S)
        await ledger.grown(20)
    assert second.ended() == 1
    assert "Another process serves h1 already" in second.log_tail()
    await verify(ledger, people)
