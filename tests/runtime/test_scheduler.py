"""The scheduler: how many steps are made in a pass of the loop, and whose. Rule: steps are counted, and the clock is the test's."""

import asyncio

import pytest

from runtime.deferred import Deferred, succeeded
from runtime.scheduler import Scheduler
from tests.support.waiting import eventually


class Steps:
    """Jobs whose steps take a second each, by a clock that only they move; two of them fill a pass. `made`: who made one, in which pass."""

    def __init__(self, budget_s=2.0):
        self.now = 0.0
        self.scheduler = Scheduler(budget_s, lambda: self.now)
        self.made = []

    def job(self, name, steps, took_s=1.0, then=None):
        for number in range(steps):
            self.now += took_s
            self.made.append((self.scheduler.passes, name))
            if number < steps - 1:
                yield then
        return name

    def in_pass(self, number):
        return [name for passed, name in self.made if passed == number]


async def test_one_pass_has_so_much_work_in_all_however_many_have_work():
    """128 users want ten steps each: two steps are made in each pass, of two users, and everybody's turn comes."""
    steps = Steps()
    jobs = [steps.scheduler.start(user, "contacts", steps.job(user, 10)) for user in range(128)]
    await eventually(lambda: all(job.done for job in jobs))
    assert steps.scheduler.passes == 64 * 10
    assert {len(steps.in_pass(number)) for number in range(1, steps.scheduler.passes + 1)} == {2}
    assert [name for _, name in steps.made[:256]] == [*range(128)] * 2


async def test_between_two_passes_the_loop_does_other_work():
    steps, others = Steps(), []

    def other():
        others.append(steps.scheduler.passes)
        if not job.done:
            asyncio.get_running_loop().call_soon(other)

    job = steps.scheduler.start(1, "contacts", steps.job(1, 50))
    other()
    await job
    assert others[:20] == [*range(20)], "once in each pass"


async def test_one_who_has_many_jobs_has_no_more_turns_than_others():
    """A thousand jobs of one user; one of another is through after as many passes as it has steps."""
    steps = Steps()
    for _ in range(1_000):
        steps.scheduler.start("many", "export", steps.job("many", 10))
    await steps.scheduler.run("one", "welcome", steps.job("one", 5))
    assert steps.scheduler.passes == 5


async def test_a_key_has_one_job_at_a_time():
    steps = Steps()
    jobs = [steps.scheduler.start("ann", "welcome", steps.job(name, 3)) for name in "ab"]
    await eventually(lambda: all(job.done for job in jobs))
    assert "".join(name for _, name in steps.made) == "aaabbb"


async def test_a_job_that_waits_holds_nobody_up():
    steps, drained = Steps(), Deferred()
    slow = steps.scheduler.start("ann", "contacts", steps.job("slow", 2, then=drained))
    assert await steps.scheduler.run("ann", "contacts", steps.job("quick", 3)) == "quick"
    assert (slow.done, steps.scheduler.waiting) == (False, 0)
    drained.set_result(None)
    assert await slow == "slow"


async def test_what_is_there_already_is_not_waited_for():
    steps = Steps()
    assert await steps.scheduler.run("ann", "contacts", steps.job("ann", 3, then=succeeded(None))) == "ann"


async def test_a_job_that_fails_fails_its_caller_only():
    def failing():
        yield
        raise ZeroDivisionError

    steps = Steps()
    other = steps.scheduler.start(2, "export", steps.job(2, 5))
    with pytest.raises(ZeroDivisionError):
        await steps.scheduler.run(1, "export", failing())
    assert await other == 2


async def test_a_job_whose_caller_has_gone_ends():
    steps, ended = Steps(), []

    def endless():
        try:
            while True:
                steps.now += 1.0
                yield
        finally:
            ended.append(True)

    caller = asyncio.create_task(steps.scheduler.run(1, "contacts", endless()))
    await eventually(lambda: steps.scheduler.steps)
    caller.cancel()
    await eventually(lambda: ended)
    assert steps.scheduler.waiting == 0


async def test_the_longest_step_has_a_name():
    steps = Steps()
    await steps.scheduler.run(1, "welcome", steps.job(1, 3))
    await steps.scheduler.run(1, "envelope", steps.job(1, 2, took_s=25.0))
    assert steps.scheduler.take_longest() == (25.0, "envelope")
    assert steps.scheduler.take_longest()[0] == 0.0
