"""Runs the handlers of requests, so many of one asker at a time. Rule: a handler that fails sends no answer, because the requester has a
timeout; the log has the cause, and a server that asks without end takes no answer away from another one.
"""

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
    """How many requests are answered. Those beyond it get no answer."""

    most: int = 1_000  # at a time
    most_of_one: int = 64  # of one asker at a time: most answers are there at once, and the others wait for a store
    per_s: int = 200  # of one asker: a question costs 0.2 to 0.3 ms, with its way through the broker


QUESTIONS = Bound(
    name="answering",
    holds="questions of other servers that are being answered",
    filled_by="servers that ask",
    past="a server with 64 of them, or with 200 a second, gets no answer; nobody does at all of them",
    within=("Answering._of",),
    entries=AnsweringConfig().most,
    each=132_000,  # the longest question
)


class Answering:
    """The requests that one process answers. `asker`: the server that the broker says it is."""

    def __init__(self, config: AnsweringConfig | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config or AnsweringConfig()
        self._running = 0
        self._of: dict[str, int] = {}
        self._lately = PerMinute("questions", self._config.per_s, clock, period_s=1.0)
        self.lines = PerMinute("log lines of questions", LINES_A_MINUTE, clock)
        self.left_out = 0

    def takes(self, asker: str, key: str) -> bool:
        """Whether a request can be answered now; then `done` must be called in the end. Otherwise it is counted."""
        if self._running < self._config.most and self._of.get(asker, 0) < self._config.most_of_one and self._lately.takes(asker):
            self._running += 1
            self._of[asker] = self._of.get(asker, 0) + 1
            return True
        self.left_out += 1
        if self.lines.takes(asker):
            log.warning("broker.request_dropped", key=key, asker=asker, left_out=self.lines.rest(asker))
        return False

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
        yield QUESTIONS.holding(self._running, refused=self.left_out)
        yield from self._lately.holdings()
        yield from self.lines.holdings()

    def done(self, asker: str) -> None:
        """A request that was taken is answered, or never will be."""
        self._running -= 1
        self._of[asker] -= 1
        if not self._of[asker]:
            del self._of[asker]
