"""Chooses the transport of each connection of one listener. Rule: it decides nothing itself, it gives `LadderState` clock and network.

What was learnt is kept for each home for as long as the process lives, so that a second login does not wait for a held-back stream again.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flash_sdk.events import Transport
from flash_sdk.transport_ladder import TOP, Ending, LadderState, Network, TransportTimeouts

# Addresses of documentation networks, which belong to nobody: to "connect" a datagram socket asks the routing table and sends nothing.
_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_learnt: dict[str, LadderState] = {}  # by this process, for each URL of a home


def network_now() -> Network:
    """Our own addresses on the way to the world, None for an address family that has no way."""
    return tuple(_own_address(family, address) for family, address in _ELSEWHERE)


def _own_address(family: socket.AddressFamily, elsewhere: str) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


@dataclass(slots=True)
class TransportSelector:
    """Holds the state of the ladder for one listener. `only`: always this transport. `learnt`: where to keep what is learnt."""

    home_url: str
    timeouts: TransportTimeouts
    only: Transport | None = None
    learnt: dict[str, LadderState] = field(default_factory=lambda: _learnt)
    clock: Callable[[], float] = time.monotonic
    network: Callable[[], Network] = network_now
    _state: LadderState = field(init=False)

    def __post_init__(self) -> None:
        self._state = self.learnt.get(self.home_url) or LadderState(timeouts=self.timeouts)

    @property
    def transport(self) -> Transport:
        """The transport of the present or next connection."""
        return self.only or self._state.transport

    @property
    def welcome_s(self) -> float:
        """How long to wait for the first part."""
        return self._state.welcome_s if self.only is None else self.timeouts.welcome_s

    @property
    def upgrade_due(self) -> bool:
        """Whether to leave a connection that works for a better one."""
        return self.only is None and self._state.transport != TOP and self._state.upgrade_due(self.clock(), self.network())

    @property
    def probing(self) -> bool:
        """Whether a better transport than the proven one is being tried."""
        return self.only is None and self._state.probing

    def before_connect(self) -> None:
        """Choose the transport of a connection that is about to be made."""
        self._move_to(self._state.before_connect(self.clock(), self.network()))

    def data_received(self) -> None:
        """Parts come over the present transport."""
        self._move_to(self._state.data_received(self.clock()))

    def ended(self, how: Ending) -> None:
        """The connection has ended in this way."""
        self._move_to(self._state.ended(how, self.clock()))

    def _move_to(self, state: LadderState) -> None:
        if self.only is None and state is not self._state:
            self._state = state
            if state.transport == state.proven:  # so the next login at this home begins here, whichever client makes it
                self.learnt[self.home_url] = state
