"""What the connections of one server share, and which of them are open. Rule: two servers in one process share nothing."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from domain.errors import Unavailable
from edge.http.dispatch import Dispatcher
from edge.http.fast_path import WriteBuffer
from edge.http.limits import Limits
from edge.http.metrics import EdgeMetrics
from edge.http.shares import Seat, Shares
from runtime.bounds import Bound, Holding

FULL = "Too many connections; try again later."
CONNECTIONS = Bound(
    name="connections",
    holds="connections, back connections included",
    filled_by="addresses and users",
    past="an address at a quarter of them and a user at 64 read `429`, everybody at all of them `503`",
    within=("OpenConnections.all",),
    entries=Limits().max_connections,
    each=6_000,
)


class Abortable(Protocol):
    """A connection that can be dropped."""

    def abort(self) -> None:
        """Drop it now, and what was not sent."""


C = TypeVar("C", bound=Abortable)


class OpenConnections(Generic[C]):
    """The open connections of one kind. `all`: a dictionary, because a set takes twice the room."""

    def __init__(self) -> None:
        self.all: dict[C, None] = {}
        self._emptied: asyncio.Event | None = None

    def add(self, connection: C) -> None:
        """A connection has opened."""
        self.all[connection] = None

    def remove(self, connection: C) -> None:
        """A connection is gone. Idempotent."""
        self.all.pop(connection, None)
        if not self.all and self._emptied is not None:
            self._emptied.set()

    async def wait_empty(self, timeout_s: float) -> None:
        """Return when the last one is gone; drop those that are left after `timeout_s`."""
        if self.all:
            self._emptied = asyncio.Event()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._emptied.wait()
            except TimeoutError:
                for connection in list(self.all):
                    connection.abort()


@dataclass(slots=True, eq=False)
class Shared(Generic[C]):
    """Handed to each HTTP connection. `open` holds those too that are gone while their request is still being answered."""

    dispatcher: Dispatcher
    metrics: EdgeMetrics
    write_buffer: WriteBuffer
    limits: Limits
    full: Callable[[], bool]  # whether one more connection is too many
    calls_only: Callable[[], bool]  # whether the last places are left, which no connection may keep
    shares: Shares
    open: OpenConnections[C] = field(default_factory=OpenConnections)

    def holdings(self, open_now: int) -> Iterator[Holding]:
        """The connections, and what has come of their requests."""
        refused = self.metrics.connections_refused + self.shares.refused["address"] + self.shares.refused["user"]
        yield replace(CONNECTIONS, entries=self.limits.max_connections).holding(open_now, refused=refused)
        yield from self.shares.holdings()

    def admit(self, seat: Seat, peer: str) -> bool:
        """A connection is made. Returns whether it must close behind its first answer. Raises `Unavailable`, `TooManyRequests`."""
        if self.full():
            self.metrics.connections_refused += 1
            raise Unavailable(FULL)
        seat.arrive(peer)
        return self.calls_only()
