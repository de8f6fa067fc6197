"""Outcomes: told in the same turn, awaited like a future, shaped for the one who asked."""

import asyncio

import pytest

from runtime.deferred import Deferred, failed, settled


def test_whoever_asked_is_told_at_once():
    outcome: Deferred[int] = Deferred()
    told: list[int] = []
    outcome.then(lambda known: told.append(known.result()))
    assert told == []
    outcome.settle(1)
    assert (told, outcome.settled, outcome.failure) == ([1], True, None)


def test_what_is_known_already_is_told_without_waiting():
    told: list[object] = []
    settled(2).then(lambda known: told.append(known.result()))
    failed(KeyError("x")).then(lambda known: told.append(known.failure is not None))
    assert told == [2, True]
    with pytest.raises(KeyError):
        failed(KeyError("x")).result()


@pytest.mark.parametrize("known", [True, False])
def test_a_result_is_shaped_and_a_failure_is_not(known: bool):
    outcomes: list[Deferred[int]] = [Deferred(), Deferred()]
    ends = [(20, None), (None, KeyError("x"))]
    if known:
        for outcome, end in zip(outcomes, ends, strict=True):
            outcome.settle(*end)
    shaped = [outcome.shaped(lambda number: f"{number + 1}") for outcome in outcomes]
    if not known:
        for outcome, end in zip(outcomes, ends, strict=True):
            outcome.settle(*end)
    assert shaped[0].result() == "21"
    assert isinstance(shaped[1].failure, KeyError)


def test_a_shape_that_fails_fails_the_outcome():
    outcome: Deferred[int] = Deferred()
    shaped = outcome.shaped(lambda number: 1 // number)
    outcome.settle(0)
    with pytest.raises(ZeroDivisionError):
        shaped.result()


async def test_it_can_be_awaited_before_and_after():
    outcome: Deferred[int] = Deferred()
    asyncio.get_running_loop().call_soon(outcome.settle, 3)
    assert [await outcome, await outcome] == [3, 3]
    with pytest.raises(KeyError):
        await failed(KeyError("x"))


async def test_it_knows_when_nobody_waits_any_more():
    outcome: Deferred[int] = Deferred()

    async def wait() -> int:
        return await outcome

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    assert not outcome.given_up
    waiting.cancel()
    assert outcome.given_up
    outcome.settle(4)
    with pytest.raises(asyncio.CancelledError):
        await waiting
