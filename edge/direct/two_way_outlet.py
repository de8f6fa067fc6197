"""An outlet with two ways: a direct line, and the back connection behind it. Rule: what the client has not confirmed is sent again.

A `direct` part on the back connection says where the client must begin to read the line; the next part there that is neither blank nor
goodbye says that the line is given up. So the back connection alone decides the order, and nothing is shown early, late or never:
clients recognise by their ids the messages that come twice after a line broke. Presence may come twice; the last one is right.

Memory: at most `MAX_UNCONFIRMED` parts and one write more; a timer only while something is unconfirmed; no task.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

from edge.contracts.servers import HomeSession
from edge.direct.line import DirectLine
from edge.http.metrics import EdgeMetrics
from edge.transports.framing import GOODBYE, MULTIPART
from runtime.bounds import Bound, Holding
from servers.security.rate_limit import RateLimit
from servers.sessions.parts import BLANK, Outlet, Part

MAX_UNCONFIRMED = 64  # as a session's window: with the longest texts 1 MB, and only while the line is busy
MAX_UNCONFIRMED_BYTES = 1_048_576
UNCONFIRMED = Bound(
    name="direct_lines",
    holds="parts on direct lines that the client has not confirmed",
    filled_by="whoever writes to a user whose client confirms nothing",
    past="the rest waits in the session, which is limited itself",
    within=("TwoWayOutlet._unconfirmed",),
    entries=2 * MAX_UNCONFIRMED,  # one write may pass the bound
    bytes=2 * MAX_UNCONFIRMED_BYTES,
    per="direct line",
)
BEGIN = Part("direct", b'{"active":true}')


class DirectLines:
    """What all direct lines of one server hold. `probes`: how often each user may offer one."""

    def __init__(self, probes: RateLimit) -> None:
        self.probes = probes
        self.parts = 0
        self.bytes = 0

    def holdings(self) -> Iterator[Holding]:
        """The parts that no client has confirmed."""
        yield UNCONFIRMED.holding(self.parts, self.bytes)
        yield from self.probes.holdings()


class TwoWayOutlet:
    """The outlet of a session while its direct line holds. Afterwards the session gets the outlet of its back connection again."""

    def __init__(self, session: HomeSession, line: DirectLine, metrics: EdgeMetrics, stall_s: float, lines: DirectLines) -> None:
        self._session = session
        self._back: Outlet = session.outlet
        self._line: DirectLine | None = line
        self._metrics = metrics
        self._stall_s = stall_s
        self._lines = lines
        self._unconfirmed: deque[Part] = deque()
        self._bytes = 0  # of them
        self.confirmed_count = 0  # parts that the client took from this line
        self._looked_at = 0
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def begin(cls, session: HomeSession, line: DirectLine, metrics: EdgeMetrics, stall_s: float, lines: DirectLines) -> None:
        """From now on this session's parts take the line, until the client confirms nothing of them for `stall_s`."""
        if isinstance(session.outlet, cls):
            session.outlet.retreat()
        if line.gone:
            return
        ways = cls(session, line, metrics, stall_s, lines)
        ways._back.write((BEGIN,))
        session.outlet = line.owner = ways
        line.send(b"--flash\r\n")

    # -- the outlet ------------------------------------------------------------------------------------------------------

    def write(self, parts: Sequence[Part]) -> None:
        """Parts go over the line, blanks and goodbyes over the back connection."""
        if parts[-1].name == GOODBYE:
            self._give_up()
        line = self._line
        if line is None or (len(parts) == 1 and parts[0] is BLANK):
            self._back.write(parts)
            return
        self._unconfirmed.extend(parts)
        self._count(len(parts), sum([len(part.body) for part in parts]))
        if self._timer is None:
            self._look_later()
        data = MULTIPART.frame(parts)
        self._metrics.pushed(parts, len(data))
        line.send(data)

    def begin_part(self, name: str, size: int) -> None:
        """A part in pieces takes the back connection. Only a welcome is one, and no line begins before it is written."""
        self._back.begin_part(name, size)

    def write_body(self, data: bytes) -> None:
        """The next bytes of such a part."""
        self._back.write_body(data)

    @property
    def writable(self) -> bool:
        """Whether the way in use takes more right now."""
        line = self._line
        if line is None:
            return self._back.writable
        return not line.paused and len(self._unconfirmed) < MAX_UNCONFIRMED and self._bytes < MAX_UNCONFIRMED_BYTES

    def close(self) -> None:
        """End both ways after everything that was written is sent."""
        self._give_up()
        self._back.close()

    def abort(self) -> None:
        """Drop both ways at once."""
        self._drop_line()
        self._back.abort()

    # -- the line's side -------------------------------------------------------------------------------------------------

    def confirmed(self, count: int) -> None:
        """The client has taken so many parts from the line. A peer that confirms more than it was sent loses the line."""
        fresh = count - self.confirmed_count
        if not 0 <= fresh <= len(self._unconfirmed):
            self.retreat()
            return
        full = not self.writable
        for _ in range(fresh):
            self._count(-1, -len(self._unconfirmed.popleft().body))
        self.confirmed_count = count
        if full and self.writable:
            self._session.resume()

    def line_writable(self) -> None:
        """The line's transport takes more again."""
        self._session.resume()

    def retreat(self) -> None:
        """Go on over the back connection, beginning with what the client has not confirmed."""
        if self._line is not None:
            self._give_up()
            self._session.resume()

    def _give_up(self) -> None:
        if self._line is None:
            return
        waiting = list(self._unconfirmed)
        self._drop_line()
        if waiting:
            self._back.write(waiting)

    def _drop_line(self) -> None:
        line, self._line = self._line, None
        self._count(-len(self._unconfirmed), -self._bytes)
        self._unconfirmed.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if line is not None:
            line.abort()
            self._session.outlet = self._back

    def _count(self, parts: int, size: int) -> None:
        self._bytes += size
        self._lines.parts += parts
        self._lines.bytes += size

    def _look_later(self) -> None:
        self._looked_at = self.confirmed_count
        self._timer = asyncio.get_running_loop().call_later(self._stall_s, self._look)

    def _look(self) -> None:
        """Give the line up when the client has confirmed nothing since the timer was set."""
        self._timer = None
        if not self._unconfirmed:
            return
        if self.confirmed_count == self._looked_at:
            self.retreat()
        else:
            self._look_later()
