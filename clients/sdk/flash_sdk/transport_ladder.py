"""Which transport to use: multipart, where that is held back SSE, where that is held back long polls. Rule: pure; one state, few moves.

A client falls one rung at a time, when a connection showed that it is held back, and climbs one rung at a time, when it is time to try or
the network has changed. What says nothing about the transport (a home that is away) moves nobody: a rung that was never proven is then
given up for the one that was.

    course = course.setting_out(now, network)      before each connection: `course.transport` is the one to open
    course = course.flowed(now)                     parts came over it in time
    course = course.ended(Ending.HELD, now)         and so it ended
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Literal

Transport = Literal["multipart", "sse", "poll"]
LADDER: tuple[Transport, ...] = ("multipart", "sse", "poll")  # best first: fewest requests, fewest bytes
TOP, BOTTOM = LADDER[0], LADDER[-1]
DOUBTS = 2  # a transport that has worked here is not given up for one connection that went bad

Network = tuple[str | None, ...]  # by which addresses of ours the world is reached: differs after a change of networks


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds."""

    welcome_s: float = 10.0  # for the first part: a home answers a login in milliseconds, and two rungs may have to be tried
    trial_s: float = 5.0  # for the same when climbing: popups wait meanwhile
    climb_s: float = 60.0  # until the next rung is tried; doubled after each failure
    longest_climb_s: float = 3600.0  # a network that holds streams back mostly goes on doing so


class Ending(Enum):
    """What the end of a connection says about its transport."""

    HELD = "held"  # connected, and no first part in time
    DOUBTFUL = "doubtful"  # something of ours came, and then nothing in time; or what came was garbled
    AWAY = "away"  # nothing: no home, a lost line, a goodbye, the time to climb


@dataclass(frozen=True, slots=True)
class Course:
    """Where on the ladder a client stands. `transport`: of this connection or the next; `firm`: the last on which parts flowed."""

    transport: Transport = TOP
    firm: Transport | None = None
    doubts: int = 0  # connections over the firm transport that went bad in a row
    failed_climbs: int = 0  # in a row
    climb_at: float | None = None
    network: Network = ()
    patience: Patience = field(default_factory=Patience)

    @property
    def climbing(self) -> bool:
        """Whether a better transport than the proven one is being tried."""
        return self.firm is not None and LADDER.index(self.transport) < LADDER.index(self.firm)

    @property
    def welcome_s(self) -> float:
        """How long to wait for the first part."""
        return self.patience.trial_s if self.climbing else self.patience.welcome_s

    def due(self, now: float, network: Network) -> bool:
        """Whether the present connection should be left for a better one."""
        if self.transport == TOP:
            return False  # if this network is another one, the connection breaks by itself
        return network != self.network or (self.climb_at is not None and now >= self.climb_at and not self.climbing)

    def setting_out(self, now: float, network: Network) -> "Course":
        """Choose for the next connection. What was learnt in another network counts for nothing."""
        if network != self.network:
            return Course(network=network, patience=self.patience)
        if self.firm is not None and self.firm != TOP and self.climb_at is not None and now >= self.climb_at:
            return replace(self, transport=LADDER[LADDER.index(self.firm) - 1])
        return self

    def flowed(self, now: float) -> "Course":
        """Parts come: this rung is proven, and in a while the next better one is tried."""
        if self.firm == self.transport:
            return replace(self, doubts=0) if self.doubts else self
        climb_at = None if self.transport == TOP else now + self.patience.climb_s
        return replace(self, firm=self.transport, doubts=0, failed_climbs=0, climb_at=climb_at)

    def ended(self, how: Ending, now: float) -> "Course":
        """Choose what comes after a connection that ended in this way."""
        if how is Ending.DOUBTFUL and self.transport == self.firm and self.doubts + 1 < DOUBTS:
            return replace(self, doubts=self.doubts + 1)
        if how is not Ending.AWAY and self.climbing:
            wait_s = min(self.patience.longest_climb_s, self.patience.climb_s * 2.0 ** min(self.failed_climbs + 1, 30))
            return self._back(failed_climbs=self.failed_climbs + 1, climb_at=now + wait_s)
        if how is not Ending.AWAY and self.transport != BOTTOM:
            return replace(self, transport=LADDER[LADDER.index(self.transport) + 1], doubts=0)
        if self.climbing:
            return self._back(failed_climbs=self.failed_climbs, climb_at=now + self.patience.climb_s)
        return self._back(failed_climbs=self.failed_climbs, climb_at=self.climb_at)

    def _back(self, failed_climbs: int, climb_at: float | None) -> "Course":
        return replace(self, transport=self.firm or TOP, doubts=0, failed_climbs=failed_climbs, climb_at=climb_at)
