"""The threads that hash passwords, and the two queues before them. Rule: a storm of strangers costs those who are familiar nothing, and the
event loop comes before every hash.

Familiar callers have a worker that serves nobody else; the other workers serve strangers first. In each queue addresses have turns.
"""

import asyncio
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from domain.errors import TooManyRequests
from runtime.bounds import Bound, Holding
from runtime.lanes import Lanes
from servers.fairness.load import Load

NICENESS = 5  # below the loop: where both want one core, the loop has three quarters of it
HASH_S = 0.03  # about what one hash takes: with it a refused caller is told when to come again
JOB_BYTES = 4_000  # a call that waits, with a password of at most 256 letters
NEWEST = "the newest call of the address that has most in it gets `429`"
FAMILIAR = Bound(
    name="hashes_familiar",
    holds="passwords of handles that are familiar at their address",
    filled_by="addresses",
    past=NEWEST,
    within=("Hashing.familiar", "Queue.waiting"),
    entries=1_000,  # about thirty seconds of work: a city's people come back from their own addresses at once
    each=JOB_BYTES,
)
STRANGERS = Bound(
    name="hashes_strangers",
    holds="passwords of everybody else",
    filled_by="addresses",
    past=NEWEST,
    within=("Hashing.strangers", "Queue.waiting"),
    entries=400,  # about twelve seconds of work; whoever waits longer has given up
    each=JOB_BYTES,
)


@dataclass(frozen=True, slots=True)
class HashingConfig:
    """The bounds of hashing. `workers`: so many hashes at once, one of them for familiar callers only; with 19 MiB each, a storm of logins
    takes 57 MiB."""

    workers: int = 3
    most_familiar: int = FAMILIAR.entries
    most_strangers: int = STRANGERS.entries


@dataclass(slots=True, eq=False)
class Queue:
    """One queue before the workers, in lanes of addresses."""

    bound: Bound
    waiting: Lanes[Hashable, "Job"] = field(default_factory=Lanes, init=False)
    refused: int = field(default=0, init=False)


@dataclass(slots=True, eq=False)
class Job:
    """One hash that somebody waits for."""

    work: Callable[..., Any]
    args: tuple[Any, ...]
    done: "asyncio.Future[Any]"
    address: Hashable
    since: float
    cpu_s: float = 0.0

    def run(self) -> Any:
        """What the work returns. In a thread, which says how much of its time it took."""
        began = time.thread_time()
        try:
            return self.work(*self.args)
        finally:
            self.cpu_s = time.thread_time() - began


class Hashing:
    """Runs costly work in threads of low priority, in turn by address."""

    def __init__(self, config: HashingConfig, load: Load | None = None) -> None:
        self._load = load or Load()
        self.familiar = Queue(replace(FAMILIAR, entries=config.most_familiar))
        self.strangers = Queue(replace(STRANGERS, entries=config.most_strangers))
        self.hashes = 0
        self._closed = False
        self._idle = [ThreadPoolExecutor(1, "passwords", initializer=below_the_loop) for _ in range(max(config.workers, 2))]
        self._threads = tuple(self._idle)

    async def run(self, familiar: bool, address: Hashable, work: Callable[..., Any], *args: Any) -> Any:
        """What `work(*args)` returns. Raises `TooManyRequests` when too much waits, and most of it comes from this address."""
        queue = self.familiar if familiar else self.strangers
        loop = asyncio.get_running_loop()
        job = Job(work, args, loop.create_future(), address, loop.time())
        dropped = queue.waiting.put_within(queue.bound.entries, address, job)
        if dropped is not None:
            queue.refused += 1
            wait_s = math.ceil(queue.waiting.size * HASH_S)
            if not dropped.done.done():
                dropped.done.set_exception(TooManyRequests("Too many people are signing in at once; wait a little.", retry_after_s=wait_s))
        self._go_on()
        return await job.done

    def holdings(self) -> Iterator[Holding]:
        """The passwords that wait."""
        for queue in (self.familiar, self.strangers):
            oldest = min((job.since for job in queue.waiting.firsts()), default=None)
            waited_s = None if oldest is None else asyncio.get_running_loop().time() - oldest
            yield queue.bound.holding(queue.waiting.size, refused=queue.refused, oldest_s=waited_s)

    def close(self) -> None:
        """End the threads; whoever waits is cancelled. Blocks while a hash is being made, so it may run in a thread of its own."""
        self._closed = True
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)

    def _go_on(self) -> None:
        """Give each idle worker its next job; at the end, nobody waits for one any more."""
        if self._closed:
            for queue in (self.familiar, self.strangers):
                while queue.waiting:
                    queue.waiting.take().done.cancel()
            return
        for thread in list(self._idle):
            job = self._next(thread)
            if job is not None:
                self._idle.remove(thread)
                self.hashes += 1
                asyncio.get_running_loop().run_in_executor(thread, job.run).add_done_callback(
                    lambda made, job=job, thread=thread: self._made(made, job, thread)  # type: ignore[misc]
                )

    def _next(self, thread: ThreadPoolExecutor) -> Job | None:
        mine = (self.familiar,) if thread is self._threads[0] else (self.strangers, self.familiar)
        for queue in mine:
            while queue.waiting:
                job = queue.waiting.take()
                if not job.done.done():  # nobody waits any more for one that was cancelled
                    return job
        return None

    def _made(self, made: "asyncio.Future[Any]", job: Job, thread: ThreadPoolExecutor) -> None:
        self._idle.append(thread)
        waited_s = max(asyncio.get_running_loop().time() - job.since - job.cpu_s, 0.0)
        self._load.note(address=str(job.address), cpu_s=job.cpu_s, waited_s=waited_s)
        if job.done.done() or made.cancelled():
            job.done.cancel()
        elif (error := made.exception()) is not None:
            job.done.set_exception(error)
        else:
            job.done.set_result(made.result())
        self._go_on()


def below_the_loop() -> None:
    """Lower the priority of the calling thread. Only Linux has one for each thread; elsewhere this does nothing, because it would lower
    that of the whole process."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + NICENESS, 19))
