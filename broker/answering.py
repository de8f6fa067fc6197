"""Runs the handlers of requests, so many a second of one asker. Rule: a handler that fails sends no answer, because the requester has a
timeout; the log has the cause, and a server that asks without end takes no answer away from another one.

Who asks faster waits for the answers, and who has too many waiting gets none to the rest.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import structlog

from domain.errors import Unavailable
from runtime.bounds import Bound, Holding
from runtime.per_minute import LINES_A_MINUTE, PerMinute

Handler = Callable[[bytes, str], Awaitable[bytes]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AnsweringConfig:
    """How many requests wait for their answers, and how fast they are answered."""

    most: int = 4_000  # at a time
    most_of_one: int = 1_000  # of one asker at a time: some hundred people who add contacts in one moment
    most_bytes_of_one: int = 8_000_000
    per_s: int = 200  # of one asker, lasting: a question costs 0.2 to 0.3 ms, with its way through the broker
    burst: int = 200  # which are answered at once


QUESTIONS = Bound(
    name="answering",
    holds="questions of other servers that are being answered",
    filled_by="servers that ask",
    past="a server with 1,000 of them or 8 MB gets no answer to the rest, and past 200 a second it waits",
    within=("Answering._of", "Answering._due"),
    entries=AnsweringConfig().most,
    bytes=8 * AnsweringConfig().most_bytes_of_one,
)


class Answering:
    """The requests that one process answers. `asker`: the server that the broker says it is."""

    def __init__(self, config: AnsweringConfig | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config or AnsweringConfig()
        self._clock = clock
        self._running = 0
        self._bytes = 0
        self._of: dict[str, list[int]] = {}  # of each asker: how many, and their bytes
        self._due: dict[str, float] = {}  # when the next one of an asker is in turn, were there no burst
        self.lines = PerMinute("log lines of questions", LINES_A_MINUTE, clock)
        self.left_out = 0

    def takes(self, asker: str, key: str, size: int = 0) -> bool:
        """Whether a request of so many bytes can be answered; then `done` must be called in the end. Otherwise it is counted."""
        config, (count, waiting) = self._config, self._of.get(asker, (0, 0))
        room = self._running < config.most and self._bytes < QUESTIONS.bytes
        if room and count < config.most_of_one and waiting < config.most_bytes_of_one:
            self._running += 1
            self._bytes += size
            self._of[asker] = [count + 1, waiting + size]
            return True
        self.left_out += 1
        if self.lines.takes(asker):
            log.warning("broker.request_dropped", key=key, asker=asker, left_out=self.lines.rest(asker))
        return False

    async def in_turn(self, asker: str) -> None:
        """Return when the next question of this asker is in turn: at once, unless it asks too fast."""
        now, each_s = self._clock(), 1 / self._config.per_s
        due = max(self._due.get(asker, 0.0), now)
        self._due[asker] = due + each_s
        wait_s = due - now - (self._config.burst - 1) * each_s
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def answer(self, asker: str, key: str, handler: Handler, body: bytes) -> bytes | None:
        """The answer of the handler, or None when the handler raised."""
        try:
            return await handler(body, asker)
        except Unavailable as error:  # for example, the home has just lost its lease, or its store is away
            if self.lines.takes(asker):
                log.info("broker.request_unanswered", key=key, error=error.detail)
        except Exception:
            if self.lines.takes(asker):
                log.exception("broker.request_failed", key=key)
        return None

    def holdings(self) -> Iterator[Holding]:
        """What is being answered, and who asks."""
        yield QUESTIONS.holding(self._running, self._bytes, refused=self.left_out)
        yield from self.lines.holdings()

    def done(self, asker: str, size: int = 0) -> None:
        """A request of so many bytes that was taken is answered, or never will be."""
        self._running -= 1
        self._bytes -= size
        counted = self._of[asker]
        counted[0] -= 1
        counted[1] -= size
        if not counted[0]:
            del self._of[asker]
            if self._due.get(asker, 0.0) <= self._clock():  # it has not asked too fast
                self._due.pop(asker, None)
