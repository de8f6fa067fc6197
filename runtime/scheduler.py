"""Work that grows with somebody's data, a little of it in each pass of the event loop. Rule: everybody has turns, whoever has most to do.

A job is a generator that yields after each small step. In one pass of the loop the scheduler makes steps until `BUDGET_S` is used up, one
of each key in turn; a key is a user, an address or a server, and has one job at a time. So the jobs of a process take no more of a pass
together than one of them would alone. What is small by its nature, such as a popup, is never a job.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Hashable, Iterator
from typing import Any, Protocol, TypeVar, cast

from runtime.bounds import Bound, Holding
from runtime.deferred import Deferred
from runtime.lanes import Lanes
from runtime.peak import Peak, Turning

BUDGET_S = 0.002  # in each pass: a popup takes about six passes, so the jobs delay it by 12 ms at most
JOBS = Bound(
    name="jobs",
    holds="long pieces of work that wait for their next step",
    filled_by="users, addresses and servers",
    past="connections and mail in hand are bounded, and each of them begins one at a time",
    within=("Scheduler._lanes",),
    entries=100_000,
    each=2_000,
)
T = TypeVar("T")
Spent = Callable[[Hashable, float], object]  # whose job, and for how many seconds it was worked on
Steps = Generator[Deferred[Any] | None, None, T]  # yields None to go on at its next turn, or what it waits for


def at_once(steps: Steps[T]) -> T:
    """The result of steps that wait for nothing, without a scheduler."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast(T, end.value)


class Job(Deferred[T]):
    """One piece of work and its result."""

    __slots__ = ("cancelled", "key", "name", "spent", "steps")

    def __init__(self, key: Hashable, name: str, steps: Steps[T], spent: Spent | None = None) -> None:
        super().__init__()
        self.spent = spent
        self.key = key
        self.name = name
        self.steps: Steps[T] | None = steps
        self.cancelled = False

    def cancel(self) -> None:
        """Nobody wants the result any more: no further step is made, and nobody is told."""
        self.cancelled = True


class Jobs(Protocol):
    """Who begins jobs: the scheduler of the process, or one of its servers with it."""

    def start(self, key: Hashable, name: str, steps: Steps[T]) -> Job[T]:
        """Begin a job of `key`, behind those that the key has already. `name`: what people see who ask what took long."""

    async def run(self, key: Hashable, name: str, steps: Steps[T]) -> T:
        """The result of a job. When the caller is cancelled, the job is too."""


class OwnJobs:
    """The jobs of one of several servers that share a scheduler. `spent` is called after each step."""

    def __init__(self, scheduler: "Scheduler", spent: Spent) -> None:
        self._scheduler = scheduler
        self._spent = spent

    def start(self, key: Hashable, name: str, steps: Steps[T]) -> Job[T]:
        """As `Jobs` says."""
        return self._scheduler.start(key, name, steps, self._spent)

    async def run(self, key: Hashable, name: str, steps: Steps[T]) -> T:
        """As `Jobs` says."""
        return await to_its_end(self.start(key, name, steps))


async def to_its_end(job: Job[T]) -> T:
    """The result of a job. When the caller is cancelled, the job is too."""
    try:
        return await job
    finally:
        job.cancel()


class Scheduler:
    """The jobs of one process."""

    def __init__(
        self,
        budget_s: float = BUDGET_S,
        clock: Callable[[], float] = time.perf_counter,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """`call_soon`: calls what it is given in the next pass of the loop, unless told otherwise."""
        self._budget_s = budget_s
        self._clock = clock
        self._call_soon = call_soon or (lambda call: asyncio.get_running_loop().call_soon(call))
        self._lanes: Lanes[Hashable, Job[Any]] = Lanes()
        self._due = False
        self.passes = 0  # passes of the loop in which it worked
        self.steps = 0
        self.longest = Peak()  # step of a job, in seconds
        self.late = Peak()  # tick of the loop, in seconds: `runtime/ticker.py`
        self.late_ticks = 0
        self.each_minute: list[Turning] = [self.longest, self.late]  # what is told when a minute of this process has ended
        self._longest_s, self._longest_name = 0.0, ""  # since the last tick

    @property
    def waiting(self) -> int:
        """How many jobs wait for their next step."""
        return self._lanes.size

    def holdings(self) -> Iterator[Holding]:
        """The jobs that wait for their next step."""
        yield JOBS.holding(self._lanes.size)

    def start(self, key: Hashable, name: str, steps: Steps[T], spent: Spent | None = None) -> Job[T]:
        """Begin a job of `key`, behind those that the key has already. `name`: what people see who ask what took long; `spent` is called
        after each step."""
        job = Job(key, name, steps, spent)
        self._lanes.put(key, job)
        self._go_on()
        return job

    async def run(self, key: Hashable, name: str, steps: Steps[T]) -> T:
        """As `Jobs` says."""
        return await to_its_end(self.start(key, name, steps))

    def take_longest(self) -> tuple[float, str]:
        """The longest step since this was asked last, and the name of its job."""
        longest, self._longest_s = (self._longest_s, self._longest_name), 0.0
        self.longest.note(*longest)
        return longest

    def _go_on(self) -> None:
        if not self._due:
            self._due = True
            self._call_soon(self._pass)

    def _pass(self) -> None:
        self._due = False
        self.passes += 1
        lanes, clock = self._lanes, self._clock
        now = began = clock()
        while lanes and now - began < self._budget_s:
            job = lanes.take()
            self._step(job)
            self.steps += 1
            now, before = clock(), now
            if job.spent is not None:
                job.spent(job.key, now - before)
            if now - before > self._longest_s:
                self._longest_s, self._longest_name = now - before, job.name
        if lanes:
            self._go_on()

    def _step(self, job: Job[Any]) -> None:
        steps = job.steps
        assert steps is not None
        if job.cancelled:
            job.steps = None
            steps.close()
            return
        try:
            awaited = next(steps)
        except StopIteration as end:
            job.steps = None
            job.set_result(end.value)
        except Exception as error:
            job.steps = None
            job.set_exception(error)
        else:
            if awaited is None:
                self._lanes.go_on(job.key, job)
            else:  # another job of this key may go on meanwhile
                awaited.add_done_callback(lambda _: self._resume(job))

    def _resume(self, job: Job[Any]) -> None:
        self._lanes.put(job.key, job)
        self._go_on()
