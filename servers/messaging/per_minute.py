"""At most so many a minute for each source. Rule: what is over the bound is counted, never forgotten.

Whoever sends false things by the thousand could otherwise fill a log, or the queue of dead letters.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

MINUTE_S = 60.0
LINES_A_MINUTE = 20  # of a log about one source: enough to see what is wrong
MOST_SOURCES = 1_000  # names may be invented where nothing proves them; what they send is counted together then
OTHERS = "others"

log = structlog.get_logger()


@dataclass(slots=True)
class _Minute:
    began: float
    taken: int = 0
    left_out: int = 0


@dataclass(slots=True, eq=False)
class PerMinute:
    """`what` comes; `most`: of each source in a minute; `clock`: seconds since some moment. `left_out`: how many were over the bound,
    ever."""

    what: str
    most: int
    clock: Callable[[], float] = time.monotonic
    left_out: int = field(default=0, init=False)
    _minutes: dict[str, _Minute] = field(default_factory=dict, init=False)

    def takes(self, source: str) -> bool:
        """Whether one more of this source is within the bound; otherwise it is counted."""
        now = self.clock()
        if source not in self._minutes and len(self._minutes) >= MOST_SOURCES:
            source = OTHERS
        minute = self._minutes.get(source)
        if minute is None:
            minute = self._minutes[source] = _Minute(now)
        elif now >= minute.began + MINUTE_S:
            minute.began, minute.taken = now, 0
        if minute.taken < self.most:
            minute.taken += 1
            return True
        if not minute.left_out:
            log.error("flood.begins", what=self.what, source=source, kept_a_minute=self.most)
        minute.left_out += 1
        self.left_out += 1
        return False

    def rest(self, source: str) -> int:
        """How many of this source were over the bound since this was asked last: for the next line that is written about it."""
        minute = self._minutes.get(source)
        if minute is None:
            return 0
        rest, minute.left_out = minute.left_out, 0
        return rest
