"""Hashes wait in two queues, in turn by address, below the loop's priority."""

import asyncio
import os
import sys
import threading

import pytest

from domain.errors import TooManyRequests
from servers.security.hashing import NICENESS, Hashing, HashingConfig

NOBODY_ELSE = HashingConfig(workers=2, most_familiar=4, most_strangers=4)


class Work:
    """Stands in for hashes; each waits until it is let through."""

    def __init__(self):
        self.begun = []
        self.go = threading.Event()

    def __call__(self, name):
        self.begun.append(name)
        assert self.go.wait(10)
        return name


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def hashing(work):
    hashing = Hashing(NOBODY_ELSE)
    yield hashing
    work.go.set()
    hashing.close()


async def begin(hashing, work, *names, familiar=False, address=None):
    tasks = [asyncio.create_task(hashing.run(familiar, address or name, work, name)) for name in names]
    await asyncio.sleep(0)
    return tasks


async def test_familiar_callers_have_a_worker_that_strangers_never_hold(hashing, work):
    strangers = await begin(hashing, work, "s1", "s2", "s3")
    familiar = await begin(hashing, work, "f1", "f2", familiar=True)
    assert hashing.strangers.waiting.size == 2
    assert len(hashing.familiar.waiting) == 1
    work.go.set()
    assert await asyncio.gather(*strangers, *familiar) == ["s1", "s2", "s3", "f1", "f2"]
    assert work.begun.index("f1") < 2
    assert hashing.hashes == 5


async def test_in_a_storm_whoever_makes_it_is_told_to_come_again(hashing, work):
    storm = await begin(hashing, work, *"abcdefg", address="the storm's")
    await asyncio.sleep(0)
    refused = [task for task in storm if task.done()]
    assert len(refused) == 2
    ann = await begin(hashing, work, "ann")
    work.go.set()
    results = await asyncio.gather(*storm, *ann, return_exceptions=True)
    assert [isinstance(result, TooManyRequests) for result in results] == [False] * 4 + [True] * 3 + [False]
    assert results[-2].extra["retry_after_s"] == 1
    assert hashing.strangers.refused == 3
    assert work.begun.index("ann") <= 2


async def test_who_has_gone_needs_no_hash(hashing, work):
    first, gone, last = await begin(hashing, work, "first", "gone", "last", address="one")
    gone.cancel()
    work.go.set()
    assert await asyncio.gather(first, last) == ["first", "last"]
    assert work.begun == ["first", "last"]


async def test_a_failure_is_the_callers():
    hashing = Hashing(NOBODY_ELSE)
    with pytest.raises(ZeroDivisionError):
        await hashing.run(True, "ann", lambda: 1 / 0)
    assert await hashing.run(True, "ann", lambda: 1) == 1
    hashing.close()


async def test_what_waits_at_the_end_is_cancelled(work):
    hashing = Hashing(NOBODY_ELSE)
    tasks = await begin(hashing, work, "begun", "waiting")
    work.go.set()
    hashing.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] == "begun"
    assert isinstance(results[1], asyncio.CancelledError)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
async def test_hashes_are_made_below_the_priority_of_the_loop():
    hashing = Hashing(HashingConfig())
    loop = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    for familiar in True, False:
        niceness = await hashing.run(familiar, "ann", lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        assert niceness == min(loop + NICENESS, 19)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == loop
    hashing.close()
