"""Searches wait in a thread, and nobody else waits for them."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from domain.errors import TooManyRequests
from projections.directory.directory import Question
from projections.directory.word_index import WordIndex
from servers.global_server.searches import SEARCHES, Searches
from tests.support.waiting import eventually


class SlowIndex(WordIndex):
    """One whose searches begin, and end only while `go_on` is set."""

    def __init__(self) -> None:
        super().__init__(("name",))
        self.begun: list[str] = []
        self.go_on = threading.Event()

    def find(self, anywhere, narrowed, after, count):
        self.begun.append(anywhere)
        self.go_on.wait()
        return super().find(anywhere, narrowed, after, count)


@pytest.fixture
def index() -> SlowIndex:
    return SlowIndex()


@pytest.fixture
def searches(index: SlowIndex) -> Iterator[Searches]:
    searches = Searches(index, replace(SEARCHES, entries=4))
    yield searches
    index.go_on.set()
    searches.close()


def asks(searches: Searches, uid: int, words: str) -> "asyncio.Task[list[int]]":
    return asyncio.create_task(searches.find(uid, Question(words, {}, 0, 21)))


async def test_the_loop_goes_on_and_what_changes_meanwhile_is_found_by_the_next_search(index, searches):
    """On 79ccbf3 the loop stood still for a second."""
    index.put(1, {"name": "Ann Lee"})
    first = asks(searches, 7, "ann")
    await eventually(lambda: index.begun == ["ann"])
    index.put(2, {"name": "Ann Smith"})
    index.drop(1)
    index.put(3, {"name": "Anna"})
    second = asks(searches, 7, "an")
    index.go_on.set()
    assert await first == [1]
    assert await second == [2, 3]
    index.drop(2)
    assert index.find("an", {}, 0, 21) == [3], "it is nobody's again"


async def test_users_have_turns(index, searches):
    first = asks(searches, 1, "a1")
    await eventually(lambda: index.begun == ["a1"])
    others = [asks(searches, uid, words) for uid, words in ((1, "a2"), (1, "a3"), (2, "b1"))]
    await eventually(lambda: next(searches.holdings()).entries == 3)
    index.go_on.set()
    await asyncio.gather(first, *others)
    assert index.begun == ["a1", "a2", "b1", "a3"]


async def test_whoever_fills_it_is_refused_first(index, searches):
    first = asks(searches, 1, "a0")
    await eventually(lambda: index.begun == ["a0"])
    flood = [asks(searches, 1, f"a{n}") for n in range(1, 6)]
    other = asks(searches, 2, "b")
    await eventually(lambda: flood[4].done() and flood[3].done())
    index.go_on.set()
    results = await asyncio.gather(first, *flood, other, return_exceptions=True)
    assert [isinstance(result, TooManyRequests) for result in results] == [False] * 4 + [True, True] + [False]
    assert next(searches.holdings()).refused == 2


async def test_a_caller_who_has_gone_costs_no_search(index, searches):
    first = asks(searches, 1, "a1")
    await eventually(lambda: index.begun == ["a1"])
    gone, last = asks(searches, 1, "a2"), asks(searches, 2, "b1")
    await eventually(lambda: next(searches.holdings()).entries == 2)
    gone.cancel()
    first.cancel()
    index.go_on.set()
    assert await last == []
    assert index.begun == ["a1", "b1"]


async def test_a_search_that_fails_fails_its_caller_only(index, searches):
    index.go_on.set()
    with pytest.raises(Exception, match="no such column"):
        await searches.find(1, Question("", {"none": "x"}, 0, 21))
    assert await searches.find(1, Question("x", {}, 0, 21)) == []
