"""The edge of one server: its port, its routes, its limits. Rule: several edges may run in one process, and they share nothing."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

import structlog

from edge.http.client_address import TrustedProxies
from edge.http.connection import Connection
from edge.http.dispatch import Dispatcher
from edge.http.fast_path import WriteBuffer
from edge.http.limits import Limits
from edge.http.metrics import EdgeMetrics
from edge.http.ops_routes import ops_routes
from edge.http.route import Route
from edge.http.shared import Shared
from edge.http.shares import Shares
from edge.http.watch import Watch
from runtime.bounds import Holder, Holding

log = structlog.get_logger(__name__)

BACKLOG = 4_096  # all clients of a home connect within a second after it comes back
# Half a blank interval: with the blank itself, a silent peer is given up within 2.5 of them even if it never answers blanks.
DEAD_PEER_MS = 45_000
KEEPALIVE_IDLE_S, KEEPALIVE_EVERY_S, KEEPALIVE_PROBES = 60, 15, 3  # for connections on which nothing is written at all


class EdgeServer:
    """Serves `routes`, and `/healthz`, `/readyz`, `/metrics`, `/openapi.json` besides.

    `ready`: None, or the reason why the server is not ready; `warnings`: what is wrong elsewhere. `drain` waits, so many seconds at
    most, until the detached connections are gone too. `watch`: what is noted of requests, and who has turns at a tenth.
    """

    def __init__(
        self,
        title: str,
        routes: Sequence[Route],
        ready: Callable[[], str | None],
        warnings: Callable[[], list[str]],
        metrics: EdgeMetrics,
        write_buffer: WriteBuffer,
        limits: Limits,
        drain: Callable[[float], Awaitable[None]],
        proxies: TrustedProxies,
        holders: Iterable[Holder] = (),
        watch: Watch | None = None,
    ) -> None:
        self.title = title
        self.metrics = metrics
        self.routes = [*routes, *ops_routes(title, routes, self._ready, warnings, metrics.registry)]
        self.http: Shared[Connection] = Shared(Dispatcher(self.routes, metrics, watch), metrics, write_buffer, limits, self._full,
                                               self._calls_only, Shares(limits, proxies))  # fmt: skip
        self._server_ready = ready
        self._drain = drain
        self._holders = tuple(holders)
        self._stopping = False
        self._listener: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._tick: asyncio.TimerHandle | None = None
        metrics.connections = self._open_connections
        metrics.over_share = self.http.shares.refused

    async def start(self, host: str, port: int) -> None:
        """Listen. `port` 0 takes a free one; see `port`. Raises `OSError` when that cannot be."""
        loop = asyncio.get_running_loop()
        self._socket = listening_socket(host, port)
        self._listener = await loop.create_server(lambda: Connection(self.http), sock=self._socket, backlog=BACKLOG)
        self._tick = loop.call_later(self.http.limits.tick_s, self._sweep)
        log.info("edge.listening", server=self.title, host=host, port=self.port)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        assert self._socket is not None, "not started"
        return int(self._socket.getsockname()[1])

    async def stop(self, drain_s: float = 5.0) -> None:
        """Stop accepting connections, then let running requests end and back connections flush, for `drain_s` each at most. The home
        sends its goodbyes before."""
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
            for connection in list(self.http.open.all):
                connection.finish()
            await self.http.open.wait_empty(drain_s)
            await self._drain(drain_s)
            await self._listener.wait_closed()
        if self._tick is not None:
            self._tick.cancel()
        log.info("edge.stopped", server=self.title)

    def holdings(self) -> Iterator[Holding]:
        """What its queues hold."""
        yield from self.http.holdings(self._open_connections())
        for holder in self._holders:
            yield from holder.holdings()

    def _full(self) -> bool:
        """Whether one more connection is too many."""
        return self._open_connections() > self.http.limits.max_connections

    def _calls_only(self) -> bool:
        """Whether so many are open that none more may stay."""
        return self._open_connections() > self.http.limits.most_that_stay

    def _ready(self) -> str | None:
        return "The server is shutting down." if self._stopping else self._server_ready()

    def _open_connections(self) -> int:
        return len(self.http.open.all) + self.metrics.back_connections

    def _sweep(self) -> None:
        """The one timer for all connections."""
        loop = asyncio.get_running_loop()
        for connection in list(self.http.open.all):
            connection.sweep()
        self._tick = loop.call_later(self.http.limits.tick_s, self._sweep)


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket whose options every accepted connection inherits, so that none has to be set again for each."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option, value in (
            ("TCP_USER_TIMEOUT", DEAD_PEER_MS),
            ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
            ("TCP_KEEPINTVL", KEEPALIVE_EVERY_S),
            ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ):
            if hasattr(socket, option):  # Linux has them all, others some
                listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        listener.setblocking(False)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
