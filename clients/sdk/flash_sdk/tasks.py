"""Ending tasks. Rule: the function that cancels a task waits for its end, and its own cancellation is never swallowed meanwhile."""

import asyncio
from typing import Any


async def end(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel these tasks and return when all have ended. What they raise is dropped; a cancellation of the caller is raised as usual."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
        drop_error(*running)


def drop_error(*tasks: asyncio.Task[Any]) -> None:
    """Take note of what ended tasks have raised, so that asyncio does not report it as forgotten."""
    for task in tasks:
        if not task.cancelled():
            task.exception()
