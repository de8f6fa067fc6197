"""Steers one listener by a `Course`: the clock, the network, and what this process already knows. Rule: decides nothing itself.

What was learnt is kept per home for as long as the process lives, so that a second login does not wait for a stream in vain again.
"""

import socket
import time
from collections.abc import Callable

from flash_sdk.transport_ladder import TOP, Course, Ending, Network, Patience, Transport

# Addresses of documentation networks, which are nobody's: to "connect" a datagram socket asks the routing table and sends nothing.
_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_learnt: dict[str, Course] = {}  # of this process, by the home's URL


def network_now() -> Network:
    """Our own addresses on the way out, None where there is no way."""
    return tuple(_own_address(family, address) for family, address in _ELSEWHERE)


def _own_address(family: socket.AddressFamily, elsewhere: str) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


class Helm:
    """Chooses each connection's transport."""

    def __init__(
        self,
        home_url: str,
        patience: Patience,
        *,
        only: Transport | None = None,
        learnt: dict[str, Course] = _learnt,
        clock: Callable[[], float] = time.monotonic,
        network: Callable[[], Network] = network_now,
    ) -> None:
        """`only`: this transport, whatever happens. `learnt`: where to keep what is learnt."""
        self._home_url = home_url
        self._patience = patience
        self._only = only
        self._learnt = learnt
        self._clock = clock
        self._network = network
        self._course = learnt.get(home_url) or Course(patience=patience)

    @property
    def transport(self) -> Transport:
        """Of the present or next connection."""
        return self._only or self._course.transport

    @property
    def welcome_s(self) -> float:
        """How long to wait for the first part."""
        return self._course.welcome_s if self._only is None else self._patience.welcome_s

    @property
    def due(self) -> bool:
        """Whether to leave a connection that works for a better one."""
        return self._only is None and self._course.transport != TOP and self._course.due(self._clock(), self._network())

    @property
    def climbing(self) -> bool:
        """Whether a better transport than the proven one is tried."""
        return self._only is None and self._course.climbing

    def setting_out(self) -> None:
        """A connection is about to be made."""
        self._steer(self._course.setting_out(self._clock(), self._network()))

    def flowed(self) -> None:
        """Parts come."""
        self._steer(self._course.flowed(self._clock()))

    def ended(self, how: Ending) -> None:
        """The connection has ended."""
        self._steer(self._course.ended(how, self._clock()))

    def _steer(self, course: Course) -> None:
        if self._only is None and course is not self._course:
            self._course = course
            if course.transport == course.firm:  # proven: so the next login, by whichever client, begins here
                self._learnt[self._home_url] = course
