"""Searches of the directory, in a thread. Rule: one search at a time, in turn by user, and the loop waits for none of them.

The thread's priority is below the loop's, and SQLite gives up the interpreter lock while it searches.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from domain.errors import TooManyRequests
from projections.directory.directory import Question
from projections.directory.word_index import WordIndex
from runtime.bounds import Bound, Holding
from runtime.lanes import Lanes
from runtime.worker import Worker
from servers.security.hashing import below_the_loop

SEARCHES = Bound(
    name="searches",
    holds="searches of the directory that wait for their turn",
    filled_by="users",
    past="the newest search of the user who has most in it gets `429`",
    within=("Searches._waiting",),
    entries=400,
    each=2_000,
)


@dataclass(slots=True, eq=False)
class Search:
    """One question that somebody waits for."""

    question: Question
    found: "asyncio.Future[list[int]]"
    since: float


class Searches:
    """Searches of one index, which is lent to the thread for each of them."""

    def __init__(self, index: WordIndex, bound: Bound = SEARCHES) -> None:
        self._index = index
        self._bound = bound
        self._waiting: Lanes[int, Search] = Lanes()
        self._thread = Worker("search")
        self._begun = False
        self._refused = 0

    async def find(self, uid: int, question: Question) -> list[int]:
        """What the index finds for this user. Raises `TooManyRequests` when too many searches wait, and most of them are this user's."""
        loop = asyncio.get_running_loop()
        if not self._begun:
            self._begun = True
            await self._thread.run(below_the_loop)
        search = Search(question, loop.create_future(), loop.time())
        dropped = self._waiting.put_within(self._bound.entries, uid, search)
        if dropped is not None:
            self._refused += 1
            if not dropped.found.done():
                dropped.found.set_exception(TooManyRequests("Too many searches at once; wait a little.", retry_after_s=1))
        self._go_on()
        return await search.found

    def holdings(self) -> Iterator[Holding]:
        """The searches that wait."""
        oldest = min((search.since for search in self._waiting.firsts()), default=None)
        waited_s = None if oldest is None else asyncio.get_running_loop().time() - oldest
        yield self._bound.holding(self._waiting.size, refused=self._refused, oldest_s=waited_s)

    def close(self) -> None:
        """End the thread. Blocks while it searches."""
        self._thread.stop()

    def _go_on(self) -> None:
        while self._waiting and not self._index.lent:
            search = self._waiting.take()
            if not search.found.done():  # nobody waits any more for one that was cancelled
                self._index.lent = True
                self._thread.run(self._index.find, *search.question).add_done_callback(partial(self._made, search))

    def _made(self, search: Search, made: "asyncio.Future[list[int]]") -> None:
        self._index.lent = False
        self._index.catch_up()
        if not search.found.done():
            if (error := made.exception()) is not None:
                search.found.set_exception(error)
            else:
                search.found.set_result(made.result())
        self._go_on()
