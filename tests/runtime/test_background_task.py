"""Background tasks: what starts can be stopped, what fails is known, and nobody's cancellation gets lost."""

import asyncio

import pytest
from structlog.testing import capture_logs

from runtime.background_task import BackgroundTask, BackgroundTasks


async def for_ever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise ValueError("broken")


async def stubborn(left_to_ignore: list[str], stopping: asyncio.Event) -> None:
    """Like a library that raises its own error in place of a cancellation."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopping.set()
            if not left_to_ignore:
                raise
            left_to_ignore.pop()


async def test_a_task_runs_until_it_is_stopped() -> None:
    task = BackgroundTask("sweeper")
    assert not task.alive
    task.start(for_ever())
    assert task.alive
    await task.stop()
    assert not task.alive
    assert task.error is None


async def test_stopping_what_never_started_or_has_stopped_changes_nothing() -> None:
    task = BackgroundTask("sweeper")
    await task.stop()
    task.start(for_ever())
    await task.stop()
    await task.stop()
    task.start(for_ever())
    assert task.alive
    await task.stop()


async def test_a_task_that_fails_is_logged_by_name_and_its_error_is_kept() -> None:
    task = BackgroundTask("sweeper")
    with capture_logs() as logs:
        task.start(fails())
        await task.wait()
        await task.stop()  # raises nothing: the failure is known already
    assert not task.alive
    assert isinstance(task.error, ValueError)
    assert [(line["event"], line["task"]) for line in logs] == [("task.failed", "sweeper")]


async def test_whoever_is_cancelled_while_it_stops_a_task_is_cancelled() -> None:
    task, stopping = BackgroundTask("sweeper"), asyncio.Event()
    task.start(stubborn(["once"], stopping))
    await asyncio.sleep(0)
    stopper = asyncio.create_task(task.stop())
    await stopping.wait()
    stopper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopper
    await task.stop()
    assert not task.alive


async def test_a_cancellation_that_gets_lost_is_repeated() -> None:
    task = BackgroundTask("sweeper", cancel_again_s=0.01)
    task.start(stubborn(["once", "twice"], asyncio.Event()))
    await asyncio.sleep(0)
    await task.stop()
    assert not task.alive


async def test_short_tasks_are_forgotten_when_they_end_and_stopped_together() -> None:
    tasks, go = BackgroundTasks("answers"), asyncio.Event()
    tasks.start(go.wait())
    tasks.start(for_ever())
    assert len(tasks) == 2
    go.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(tasks) == 1
    await tasks.stop()
    assert len(tasks) == 0


async def test_a_short_task_that_fails_is_logged_and_the_others_run_on() -> None:
    tasks = BackgroundTasks("answers")
    with capture_logs() as logs:
        tasks.start(for_ever())
        tasks.start(fails())
        while len(tasks) > 1:
            await asyncio.sleep(0)
    assert [(line["event"], line["task"]) for line in logs] == [("task.failed", "answers")]
    tasks.cancel()
    while tasks:
        await asyncio.sleep(0)
