"""Waiting for a condition. Rule: time passes by itself only here; a test says what it waits for, never how long."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.01  # short against any deadline, long against a check


async def eventually(check: Callable[[], object | Awaitable[object]], timeout_s: float = 10) -> object:
    """The first true answer of `check`, which may be a coroutine function. `AssertionError` with its last answer after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = check()
        value: object = await answer if isinstance(answer, Awaitable) else answer
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s; the last answer was {value!r}")
        await asyncio.sleep(POLL_S)


def wait_until(check: Callable[[], T], timeout_s: float = 10, what: str = "the condition") -> T:
    """As `eventually`, for code that has no event loop, such as the start of a server process."""
    deadline = time.monotonic() + timeout_s
    nobody = threading.Event()
    while not (value := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s; the last answer was {value!r}")
        nobody.wait(POLL_S)
    return value
