"""A wrong clock stops a start, never a server at work, and lets nothing expire. On 79ccbf3 a boot 40 days ahead bounced all that waited."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from domain.errors import Unavailable
from servers.messaging.clock_check import ClockConfig
from tests.servers.homes import START, Clock, Town
from tests.support.waiting import eventually

DAY_S = 86_400.0
CHECKED = ClockConfig(every_s=0.02, first_answer_s=5.0)


@pytest.fixture
async def town(tmp_path) -> AsyncIterator[Town]:
    """Ann and Bob live at h1; a popup waits for Bob. The Global Server has a clock of its own."""
    town = Town(tmp_path)
    town.global_clock = Clock()
    town.clock_config = CHECKED
    town.housekeeping = replace(town.housekeeping, expire_every_s=0.0)
    await town.start("h1")
    ann, bob = town.person("ann", "h1"), town.person("bob", "h1")
    await ann.adds(bob)
    await ann.sends(bob, "pop over?")
    yield town
    await town.stop()


def passes(town: Town, seconds: float) -> None:
    for clock in {town.clock, town.global_clock, town.monotonic}:
        clock.now += seconds


def waiting(town: Town) -> int:
    return len(town.homes["h1"].projections.waiting.mailboxes)


@pytest.mark.parametrize(("off_s", "says"), [(31.0, "31 s ahead of"), (-31.0, "31 s behind")])
async def test_a_home_does_not_start_with_another_clock_than_the_global_servers(town, off_s, says):
    await town.closes("h1")
    town.clock.now = town.global_clock.now + off_s
    with pytest.raises(Unavailable, match=f"{says} that of the Global Server. Put it right"):
        await town.opens("h1")
    await town.closes("h1")
    town.clock.now = town.global_clock.now + off_s * 29 / 31
    await town.opens("h1")


async def test_a_home_starts_while_the_global_server_is_away(town):
    await town.closes("h1")
    town.clock.now += 3600
    town.global_is_away = True
    town.clock_config = replace(CHECKED, first_answer_s=0.01, answer_s=0.01)
    await town.opens("h1")
    assert town.homes["h1"].lifecycle.clock_check.wrong() is None


async def test_a_home_that_runs_only_says_so_and_lets_nothing_expire(town):
    check = town.homes["h1"].lifecycle.clock_check
    with capture_logs() as logged:
        town.clock.now += 40 * DAY_S
        await eventually(lambda: check.wrong() is not None)
        await eventually(lambda: any(entry["event"] == "clock.wrong" for entry in logged))
    await look_around(town)
    assert check.wrong() == "The clock of this machine is 3456000 s ahead of that of the Global Server."
    assert check.ahead_s == {"the Global Server": 40 * DAY_S}
    assert waiting(town) == 1
    assert [entry["seconds"] for entry in logged if entry["event"] == "clock.jumped"] == [40 * DAY_S]
    town.global_clock.now = town.clock.now  # this one was right
    await look_around(town)
    assert waiting(town) == 1
    passes(town, 3_600)
    await eventually(lambda: waiting(town) == 0)


async def test_a_jump_counts_before_anybody_has_looked(town):
    """Mail that comes in between must not bounce as too late."""
    check = town.homes["h1"].lifecycle.clock_check
    await check.stop()
    await eventually(lambda: check.seems_right)
    town.clock.now += 40 * DAY_S
    assert not check.seems_right
    town.clock.now -= 40 * DAY_S
    assert check.seems_right


async def test_nothing_expires_in_the_first_hour_after_a_long_silence(town):
    """As after a boot 40 days ahead with `flash serve`, where all clocks are one."""
    await town.closes("h1")
    town.clock.now += 40 * DAY_S
    town.global_clock = town.clock
    home = await town.opens("h1")
    passes(town, 3_599)
    await look_around(town)
    assert waiting(town) == 1
    passes(town, 1)
    await eventually(lambda: waiting(town) == 0)
    assert home.lifecycle.clock_check.wrong() is None


async def test_after_a_short_silence_a_message_expires_when_it_is_due(town):
    town.clock.now = town.global_clock.now = START + 30 * DAY_S - 3600
    await town.people[1].home.set_status(town.people[1].who, "away", "", None)
    await town.closes("h1")
    town.clock.now = town.global_clock.now = START + 30 * DAY_S + 1
    await town.opens("h1")
    await eventually(lambda: waiting(town) == 0)


async def test_a_log_that_ends_in_the_future_is_told(town):
    await town.closes("h1")
    town.clock.now -= 3600
    town.global_clock.now = town.clock.now
    with capture_logs() as logged:
        await town.opens("h1")
    assert [entry["seconds"] for entry in logged if entry["event"] == "clock.log_ahead"] == [3600]


async def look_around(town: Town) -> None:
    """The home's housekeeping has looked at least once more, from beginning to end."""
    house = town.homes["h1"].housekeeping
    before = house.turns
    await eventually(lambda: house.turns > before + 1)


async def test_the_clock_of_the_database_counts_too(tmp_path, postgres):
    url = postgres.new_database()
    town = Town(tmp_path, lambda home: url)
    town.clock.now = time.time() + 60
    town.global_clock = Clock(time.time())
    await town.broker.start()
    await town.broker.wait_connected(5)
    town.clock_config = ClockConfig()
    with pytest.raises(Unavailable, match="s ahead of that of the database"):
        await town.opens("h1")
    await town.closes("h1")
    town.clock.now = time.time()
    await town.opens("h1")
    check = town.homes["h1"].lifecycle.clock_check
    assert (check.wrong(), set(check.ahead_s)) == (None, {"the database"})
    await town.stop()
