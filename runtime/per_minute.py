"""At most so many a minute for each source. Rule: what is over the bound is counted, never forgotten.

Whoever sends false things by the thousand could otherwise fill a log, or the queue of dead letters.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from runtime.bounds import Bound, Holding

MINUTE_S = 60.0
LINES_A_MINUTE = 20  # of a log about one source: enough to see what is wrong
MOST_SOURCES = 1_000  # at a time; names may be invented where nothing proves them, and what came after so many is counted together
OTHERS = "others"
SOURCES = Bound(
    name="flood_sources",
    holds="sources whose log lines or dead letters are counted by the minute",
    filled_by="servers that send false things",
    past="all further sources are counted together",
    within=("PerMinute._minutes",),
    entries=MOST_SOURCES + 1,
    each=400,
    per="kind of line",
    cache=True,
)

log = structlog.get_logger()


@dataclass(slots=True)
class _Minute:
    began: float
    taken: int = 0
    size: int = 0
    left_out: int = 0


@dataclass(slots=True, eq=False)
class PerMinute:
    """`what` comes; `most`: of each source in a minute; `clock`: seconds since some moment; `most_size`: of each source in a minute, and
    one more; `period_s`: another time than a minute. `left_out`: how many were over the bound, ever. A source that was silent for that time
    makes room for another one."""

    what: str
    most: int
    clock: Callable[[], float] = time.monotonic
    most_size: float = float("inf")
    period_s: float = MINUTE_S
    left_out: int = field(default=0, init=False)
    _minutes: dict[str, _Minute] = field(default_factory=dict, init=False)  # the one that began first is the first

    def takes(self, source: str, size: int = 0) -> bool:
        """Whether one more of this source, of this size, is within the bound; otherwise it is counted."""
        now = self.clock()
        minute = self._minutes.get(source)
        if minute is None and len(self._minutes) >= MOST_SOURCES:
            oldest = next(iter(self._minutes))
            if now >= self._minutes[oldest].began + self.period_s:
                del self._minutes[oldest]
            else:
                source = OTHERS
                minute = self._minutes.get(source)
        if minute is None:
            minute = self._minutes[source] = _Minute(now)
        elif now >= minute.began + self.period_s:
            minute.began, minute.taken, minute.size = now, 0, 0
            self._minutes[source] = self._minutes.pop(source)
        if minute.taken < self.most and minute.size < self.most_size:
            minute.taken += 1
            minute.size += size
            return True
        if not minute.left_out:
            log.error("flood.begins", what=self.what, source=source, kept=self.most)
        minute.left_out += 1
        self.left_out += 1
        return False

    def holdings(self) -> Iterator[Holding]:
        """The sources."""
        yield SOURCES.holding(len(self._minutes), refused=self.left_out)

    def rest(self, source: str) -> int:
        """How many of this source were over the bound since this was asked last: for the next line that is written about it."""
        minute = self._minutes.get(source)
        if minute is None:
            return 0
        rest, minute.left_out = minute.left_out, 0
        return rest
