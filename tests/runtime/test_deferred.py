"""Deferred results: callbacks run in the same turn, they can be awaited like a future, and their result can be mapped."""

import asyncio

import pytest

from runtime.deferred import Deferred, failed, succeeded


def test_the_callback_runs_at_once():
    deferred: Deferred[int] = Deferred()
    results: list[int] = []
    deferred.add_done_callback(lambda done: results.append(done.result()))
    assert results == []
    deferred.set_result(1)
    assert (results, deferred.done, deferred.exception) == ([1], True, None)


def test_the_callback_of_a_deferred_that_is_done_runs_without_waiting():
    results: list[object] = []
    succeeded(2).add_done_callback(lambda done: results.append(done.result()))
    failed(KeyError("x")).add_done_callback(lambda done: results.append(done.exception is not None))
    assert results == [2, True]
    with pytest.raises(KeyError):
        failed(KeyError("x")).result()


@pytest.mark.parametrize("done_before", [True, False])
def test_a_result_is_mapped_and_an_exception_is_not(done_before: bool):
    good: Deferred[int] = Deferred()
    bad: Deferred[int] = Deferred()
    if done_before:
        good.set_result(20)
        bad.set_exception(KeyError("x"))
    mapped = [deferred.map(lambda number: f"{number + 1}") for deferred in (good, bad)]
    if not done_before:
        good.set_result(20)
        bad.set_exception(KeyError("x"))
    assert mapped[0].result() == "21"
    assert isinstance(mapped[1].exception, KeyError)


@pytest.mark.parametrize("done_before", [True, False])
def test_the_deferred_fails_with_the_function_that_maps_it(done_before: bool):
    deferred: Deferred[int] = Deferred()
    if done_before:
        deferred.set_result(0)
    mapped = deferred.map(lambda number: 1 // number)
    if not done_before:
        deferred.set_result(0)
    with pytest.raises(ZeroDivisionError):
        mapped.result()


async def test_it_can_be_awaited_before_and_after():
    deferred: Deferred[int] = Deferred()
    asyncio.get_running_loop().call_soon(deferred.set_result, 3)
    assert [await deferred, await deferred] == [3, 3]
    with pytest.raises(KeyError):
        await failed(KeyError("x"))


async def test_nothing_is_mapped_for_a_task_that_was_cancelled():
    mapped: list[int] = []
    deferred: Deferred[None] = Deferred(mapped.append)

    async def wait() -> None:
        await deferred

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    deferred.set_result(4)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not mapped


def test_functions_are_applied_one_after_another():
    deferred: Deferred[str] = Deferred(lambda number: number + 1).map(lambda number: number * 2).map(str)
    deferred.set_result(20)
    assert deferred.result() == "42"
