"""The ticker: how late the loop is, and what was in its way. Rule: ticks come by hand."""

import asyncio

from structlog.testing import capture_logs

from runtime.scheduler import Scheduler
from runtime.ticker import LATE_S, MINUTE_S, Ticker
from tests.support.waiting import eventually


class Slow:
    """A scheduler with one job whose only step takes `took_s`, by a clock that only it moves."""

    def __init__(self):
        self.now = 0.0
        self.scheduler = Scheduler(clock=lambda: self.now)
        self.ticker = Ticker(self.scheduler)

    async def works(self, name, took_s):
        def steps():
            self.now += took_s
            yield None

        await self.scheduler.run("ann", name, steps())


async def test_a_late_tick_is_counted_and_named_after_what_explains_it():
    slow = Slow()
    await slow.works("welcome", 0.4)
    with capture_logs() as logged:
        slow.ticker.tick(100.0, 0.5)
    assert slow.scheduler.late.value == (0.5, "welcome")
    assert slow.scheduler.longest.value == (0.4, "welcome")
    assert slow.scheduler.late_ticks == 1
    assert [(each["event"], each["late_ms"], each["job"]) for each in logged] == [("loop.late", 500, "welcome")]


async def test_what_no_step_explains_has_no_name():
    slow = Slow()
    await slow.works("welcome", 0.001)
    slow.ticker.tick(100.0, 0.5)
    assert slow.scheduler.late.value == (0.5, "")


async def test_a_tick_in_time_is_nothing_to_speak_of():
    slow = Slow()
    with capture_logs() as logged:
        slow.ticker.tick(100.0, LATE_S)
    assert (slow.scheduler.late_ticks, logged) == (0, [])


async def test_the_log_says_it_once_a_minute_and_peaks_end_after_two():
    slow = Slow()
    with capture_logs() as logged:
        for second in range(60):
            slow.ticker.tick(100.0 + second, 0.5)
    assert len(logged) == 1
    slow.ticker.tick(100.0 + MINUTE_S, 0.001)
    assert slow.scheduler.late.value[0] == 0.5, "for one minute more"
    slow.ticker.tick(100.0 + 2 * MINUTE_S, 0.001)
    slow.ticker.tick(100.0 + 3 * MINUTE_S, 0.001)
    assert slow.scheduler.late.value[0] == 0.001


async def test_it_ticks_until_it_is_stopped():
    scheduler = Scheduler()
    ticker = Ticker(scheduler)
    ticker.start()
    await eventually(lambda: scheduler.late.value[0] > 0)
    await ticker.stop()
    assert len(asyncio.all_tasks()) == 1
