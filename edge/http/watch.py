"""What an edge notes of its requests, and which of them wait for a turn. Rule: a request that is neither sampled nor throttled pays for two
comparisons.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from edge.http.messages import Answer, Source
from edge.http.shares import Seat
from projections.server.throttles import Throttles
from runtime.brake import Turn
from runtime.deferred import Deferred
from runtime.metered import Metered
from runtime.scheduler import Job
from servers.fairness.load import ONE_IN, Load
from servers.fairness.throttling import Throttling

clock = time.perf_counter


class Answerable(Protocol):
    """Who waits for an answer."""

    seat: Seat

    def answered(self, answer: Answer) -> None:
        """Send this answer."""


class Watch:
    """One edge's. `left`: requests until the next one is sampled; `slow`: empty while nobody is throttled."""

    __slots__ = ("_throttling", "left", "load", "slow")

    def __init__(self, load: Load | None = None, throttling: Throttling | None = None) -> None:
        self.load = load or Load()
        self._throttling = throttling or Throttling(Throttles(), time.time)
        self.slow = self._throttling.callers
        self.left = 0
        self.next()

    def next(self) -> None:
        """Choose the next request that is sampled: one in `ONE_IN` on average, at random, so that no rhythm of somebody's escapes it."""
        self.left = random.randrange(2 * ONE_IN)  # noqa: S311 - a sample, no secret

    def holds(self, uid: int, seat: Seat, begin: Callable[[Turn[int | str]], object]) -> bool:
        """Whether the request waits for its turn: then `begin(turn)` is called when it comes, later or now."""
        key = self._throttling.caller(uid, seat.address)
        if key is not None:
            self._throttling.calls.take(key, begin)
        return key is not None

    async def turn(self, uid: int, seat: Seat) -> Turn[int | str] | None:
        """The turn of a request, when it has come; None when it need not wait for one. Who has it ends it."""
        key = self._throttling.caller(uid, seat.address)
        if key is None:
            return None
        come: asyncio.Future[Turn[int | str]] = asyncio.get_running_loop().create_future()
        self._throttling.calls.take(key, lambda turn: turn.end() if come.done() else come.set_result(turn))
        return await come


class Noted:
    """A long body whose bytes are noted as they are sent."""

    __slots__ = ("_load", "_seat", "_source")

    def __init__(self, load: Load, seat: Seat, source: Source) -> None:
        self._load = load
        self._seat = seat
        self._source = source

    def send(self, write: Callable[[bytes], object], drained: Callable[[], Deferred[None] | None]) -> Job[None]:
        """Begin to write."""
        uid, address = self._seat.uid, self._seat.address

        def count(data: bytes) -> None:
            self._load.note(uid=uid, address=address, size=len(data))
            write(data)

        return self._source.send(count, drained)


class InTurn:
    """Takes the answer to a request that had to wait for its turn, and ends the turn with it."""

    __slots__ = ("_asker", "_turn", "seat")

    def __init__(self, asker: Answerable, turn: Turn[int | str]) -> None:
        self._asker = asker
        self._turn = turn
        self.seat = asker.seat

    def answered(self, answer: Answer) -> None:
        """Send this answer."""
        self._turn.end()
        self._asker.answered(answer)


class Sample:
    """One request that is noted: how long the loop worked on it, how long it waited, and how much came and went."""

    __slots__ = ("_address", "_asker", "_began", "_cpu_s", "_load", "_size", "_uid", "seat")

    def __init__(self, watch: Watch, asker: Answerable, size: int) -> None:
        watch.next()
        self._load = watch.load
        self._asker = asker
        self._size = size
        self._uid, self._address = 0, ""
        self._cpu_s = 0.0
        self.seat = asker.seat
        self._began = clock()

    def handled(self) -> None:
        """What could be done at once is done. From now on it is known whose request it is, also when the connection is gone."""
        self._cpu_s += clock() - self._began
        self._uid, self._address = self.seat.uid, self.seat.address

    def answered(self, answer: Answer) -> None:
        """Send this answer."""
        self._uid, self._address = self._uid or self.seat.uid, self._address or self.seat.address
        now = clock()
        self._asker.answered(answer)
        ended = clock()
        self.note(answer, ended - now, ended)

    async def metered(self, work: Awaitable[Any], waits: bool) -> Any:
        """The result of `work`, noted. `waits`: it is expected to wait, so its waiting says nothing."""
        self.handled()
        metered = Metered(work)
        answer = await metered
        self.note(answer, metered.cpu_s, self._began if waits else clock())
        return answer

    def note(self, answer: Answer, cpu_s: float, ended: float) -> None:
        """It is answered."""
        cpu_s += self._cpu_s
        self._load.note(uid=self._uid, address=self._address, cpu_s=cpu_s, size=self._size + len(answer.body),
                        waited_s=max(ended - self._began - cpu_s, 0.0), times=ONE_IN)  # fmt: skip
