"""A home's lifecycle: it says whether calls may come in, whether users can be served, and whether anything is under way."""

import asyncio
from pathlib import Path

import pytest

from domain.errors import Unavailable
from servers.home.assembly import assemble
from servers.home.config import HomeConfig
from tests.servers.homes import Town
from tests.support.waiting import eventually


async def test_a_home_is_closed_until_it_has_started(tmp_path: Path) -> None:
    town = Town(tmp_path)
    await town.start()
    home = assemble(HomeConfig("h1", "http://h1", f"sqlite:///{tmp_path}/h1.db", tmp_path / "h1"), town.broker, clock=town.clock)
    assert home.closed() == "This home is starting."
    await home.start()
    assert home.closed() is None
    await home.stop()
    assert home.ready() == "This home is shutting down."
    await town.stop()


async def test_a_home_whose_writer_has_ended_stops_in_time(tmp_path: Path) -> None:
    town = Town(tmp_path)
    await town.start("h1")
    home, ann = town.homes["h1"], town.person("ann", "h1")
    await ann.opens()
    await home.writer.task.stop()  # as if it had failed
    with pytest.raises(Unavailable, match="restart this server"):
        await asyncio.wait_for(ann.opens(), 5)
    await asyncio.wait_for(town.stop(), 20)


async def test_a_component_that_does_not_stop_keeps_no_other_from_it(tmp_path: Path) -> None:
    town = Town(tmp_path)
    await town.start()
    home = assemble(HomeConfig("h1", "http://h1", f"sqlite:///{tmp_path}/h1.db", tmp_path / "h1"), town.broker, clock=town.clock)
    stopped: list[object] = []

    class Stops:
        async def stop(self) -> None:
            stopped.append(self)

    class Fails:
        async def stop(self) -> None:
            raise ZeroDivisionError

    first, last = Stops(), Stops()
    with pytest.raises(ZeroDivisionError):
        await home.lifecycle.stop_in_order(first, Fails(), last)
    assert stopped == [first, last]
    with pytest.raises(Unavailable):
        home.lifecycle.store.keys.table.records()  # the store is closed
    await town.stop()


async def test_a_home_is_idle_again_when_all_that_was_asked_is_done_and_told(tmp_path: Path) -> None:
    town = Town(tmp_path)
    await town.start("h1")
    home, ann = town.homes["h1"], town.person("ann", "h1")
    await eventually(lambda: home.idle)
    sent = home.set_status(ann.who, "away", "", None)
    accepted = home.writer.submit(())
    assert not home.idle
    await accepted
    await sent
    await eventually(lambda: home.idle)
    assert home.lifecycle.outbox.lag == 0
    await town.stop()
