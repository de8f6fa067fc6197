"""Which transport to use: multipart, then server-sent events, then long polls. Rule: pure; one state and a few moves.

A client goes down one rung when a connection showed that a network holds its transport back, and up one rung after a while or when the
network has changed. An end that says nothing about the transport (the home is away) moves nobody, except that a transport that was never
proven is given up for the one that was.

    state = state.before_connect(now, network)     `state.transport` is the transport to open
    state = state.data_received(now)               parts came over it in time
    state = state.ended(Ending.HELD, now)          the connection ended like this
"""

from dataclasses import dataclass, field, replace
from enum import Enum

from flash_sdk.events import Transport

LADDER: tuple[Transport, ...] = ("multipart", "sse", "poll")  # the best comes first: it needs the fewest requests and bytes
TOP, BOTTOM = LADDER[0], LADDER[-1]
DOUBTS = 2  # a transport that has worked here is not given up because of one bad connection

Network = tuple[str | None, ...]  # our own addresses on the way to the world; they differ after a change of networks


@dataclass(frozen=True, slots=True)
class TransportTimeouts:
    """How long to wait, in seconds."""

    welcome_s: float = 10.0  # for the first part: a home answers a login in milliseconds, and two rungs may have to be tried
    trial_s: float = 5.0  # for the first part of a better transport that is being probed: popups wait meanwhile
    climb_s: float = 60.0  # until the next better transport is probed; doubled after each failure
    longest_climb_s: float = 3600.0  # a network that holds streams back mostly goes on doing so


Patience = TransportTimeouts  # the public name of this class since the first version


class Ending(Enum):
    """What the end of a connection says about its transport."""

    HELD = "held"  # the connection was made, and no first part came in time
    DOUBTFUL = "doubtful"  # some parts came and then nothing in time, or what came was garbled
    AWAY = "away"  # nothing: there was no home, the line was lost, the home said goodbye, or it was time to probe


@dataclass(frozen=True, slots=True)
class LadderState:
    """The rung on which a client stands. `transport` is that of this connection or the next, `proven` the last that brought parts."""

    transport: Transport = TOP
    proven: Transport | None = None
    doubts: int = 0  # how many connections over the proven transport went bad in a row
    failed_probes: int = 0  # in a row
    probe_at: float | None = None
    network: Network = ()
    timeouts: TransportTimeouts = field(default_factory=TransportTimeouts)

    @property
    def probing(self) -> bool:
        """Whether a better transport than the proven one is being tried."""
        return self.proven is not None and LADDER.index(self.transport) < LADDER.index(self.proven)

    @property
    def welcome_s(self) -> float:
        """How long to wait for the first part."""
        return self.timeouts.trial_s if self.probing else self.timeouts.welcome_s

    def upgrade_due(self, now: float, network: Network) -> bool:
        """Whether it is time to leave the present connection for a better one."""
        if self.transport == TOP:
            return False  # if this network is another one, the connection breaks by itself
        return network != self.network or (self.probe_at is not None and now >= self.probe_at and not self.probing)

    def before_connect(self, now: float, network: Network) -> "LadderState":
        """Choose the transport of the next connection. Another network makes everything that was learnt worthless."""
        if network != self.network:
            return LadderState(network=network, timeouts=self.timeouts)
        if self.proven is not None and self.proven != TOP and self.probe_at is not None and now >= self.probe_at:
            return replace(self, transport=LADDER[LADDER.index(self.proven) - 1])
        return self

    def data_received(self, now: float) -> "LadderState":
        """Parts come: this transport is proven, and in a while the next better one is probed."""
        if self.proven == self.transport:
            return replace(self, doubts=0) if self.doubts else self
        probe_at = None if self.transport == TOP else now + self.timeouts.climb_s
        return replace(self, proven=self.transport, doubts=0, failed_probes=0, probe_at=probe_at)

    def ended(self, how: Ending, now: float) -> "LadderState":
        """Choose what comes after a connection that ended in this way."""
        if how is Ending.DOUBTFUL and self.transport == self.proven and self.doubts + 1 < DOUBTS:
            return replace(self, doubts=self.doubts + 1)
        if how is not Ending.AWAY and self.probing:
            wait_s = min(self.timeouts.longest_climb_s, self.timeouts.climb_s * 2.0 ** min(self.failed_probes + 1, 30))
            return self._back_to_proven(failed_probes=self.failed_probes + 1, probe_at=now + wait_s)
        if how is not Ending.AWAY and self.transport != BOTTOM:
            return replace(self, transport=LADDER[LADDER.index(self.transport) + 1], doubts=0)
        if self.probing:
            return self._back_to_proven(failed_probes=self.failed_probes, probe_at=now + self.timeouts.climb_s)
        return self._back_to_proven(failed_probes=self.failed_probes, probe_at=self.probe_at)

    def _back_to_proven(self, failed_probes: int, probe_at: float | None) -> "LadderState":
        return replace(self, transport=self.proven or TOP, doubts=0, failed_probes=failed_probes, probe_at=probe_at)
