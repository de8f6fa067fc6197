"""One server's edge: its port, its routes, its limits. Rule: several may run in one process; they share nothing."""

import asyncio
import socket
from collections.abc import Callable, Sequence

import structlog
from prometheus_client import CollectorRegistry

from edge.api.global_server import global_routes
from edge.api.home import home_routes
from edge.api.presence import presence_routes
from edge.contracts.servers import Global, Home, Verifier
from edge.direct.routes import direct_route, ticket_route
from edge.http.auth import bearer_gate, home_gate
from edge.http.client_address import Network, TrustedProxies
from edge.http.connection import Connections
from edge.http.dispatch import Dispatcher
from edge.http.fast_path import WriteBuffer
from edge.http.limits import Limits
from edge.http.metrics import EdgeMetrics
from edge.http.ops_routes import ops_routes
from edge.http.route import Route
from edge.transports.back_connection import BackConnections
from edge.transports.long_poll import LongPolls

log = structlog.get_logger(__name__)

BACKLOG = 4_096  # a home that comes back is called by all its clients within a second
# Half a blank interval: with the blank itself, a silent peer is given up within 2.5 of them even if it never answers blanks.
DEAD_PEER_MS = 45_000
KEEPALIVE_IDLE_S, KEEPALIVE_EVERY_S, KEEPALIVE_PROBES = 60, 15, 3  # for connections on which nothing is written at all


class EdgeServer:
    """Serves `routes`, and `/healthz`, `/readyz`, `/metrics`, `/openapi.json` besides.

    `ready`: None, or why not. `metrics` holds the registry on which others may register their own collectors.
    """

    def __init__(
        self,
        title: str,
        routes: Sequence[Route],
        ready: Callable[[], str | None],
        metrics: EdgeMetrics,
        *,
        back_connections: BackConnections | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.title = title
        self.write_buffer = back_connections.write_buffer if back_connections is not None else WriteBuffer()
        self.limits = limits or Limits()
        self.metrics = metrics
        self.routes = [*routes, *ops_routes(title, routes, self._ready, metrics.registry)]
        self.http = Connections(Dispatcher(self.routes, metrics), metrics, self.write_buffer, self.limits)
        self.http.full = self._full
        self._server_ready = ready
        self._back_connections = back_connections
        self._stopping = False
        self._listener: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._tick: asyncio.TimerHandle | None = None
        metrics.routes = self.routes
        metrics.connections = self._open_connections

    async def start(self, host: str, port: int) -> None:
        """Listen. `port` 0 takes a free one; see `port`. Raises `OSError` when that cannot be."""
        loop = asyncio.get_running_loop()
        self._socket = listening_socket(host, port)
        self._listener = await loop.create_server(self.http, sock=self._socket, backlog=BACKLOG)
        self._tick = loop.call_later(self.limits.tick_s, self._sweep)
        log.info("edge.listening", server=self.title, host=host, port=self.port)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        assert self._socket is not None, "not started"
        return int(self._socket.getsockname()[1])

    async def stop(self, drain_s: float = 5.0) -> None:
        """Stop accepting, let running requests end and back connections flush, for `drain_s` each at most. The home says its
        goodbyes before."""
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
            await self.http.stop(drain_s)
            if self._back_connections is not None:
                await self._back_connections.wait_empty(drain_s)
            await self._listener.wait_closed()
        if self._tick is not None:
            self._tick.cancel()
        log.info("edge.stopped", server=self.title)

    def _full(self) -> bool:
        """Whether one more connection is too many."""
        return self._open_connections() > self.limits.max_connections

    def _ready(self) -> str | None:
        return "The server is shutting down." if self._stopping else self._server_ready()

    def _open_connections(self) -> int:
        return len(self.http.open) + self.metrics.back_connections

    def _sweep(self) -> None:
        """The one timer for all connections."""
        loop = asyncio.get_running_loop()
        self.http.sweep()
        self._tick = loop.call_later(self.limits.tick_s, self._sweep)


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


def home_edge(
    home: Home,
    verifier: Verifier,
    *,
    callable_networks: Sequence[Network] = (),
    proxies: TrustedProxies | None = None,
    registry: CollectorRegistry | None = None,
    limits: Limits | None = None,
) -> EdgeServer:
    """The edge of a Home Server. `callable_networks`: beyond the public ones, where clients may be called directly; `proxies`: those in
    front of it."""
    metrics = EdgeMetrics(registry or CollectorRegistry())
    back_connections = BackConnections(home, metrics, WriteBuffer())
    gate = home_gate(verifier, home)
    proxies = proxies or TrustedProxies()
    direct = [direct_route(home, gate, callable_networks, proxies, metrics), ticket_route(home, gate, proxies)]
    routes = [*home_routes(home, gate, back_connections, LongPolls(home, metrics)), *direct]
    return EdgeServer(f"Flash home {home.name}", routes, home.ready, metrics, back_connections=back_connections, limits=limits)


def global_edge(
    server: Global,
    verifier: Verifier,
    *,
    proxies: TrustedProxies | None = None,
    pages: Sequence[Route] = (),
    registry: CollectorRegistry | None = None,
    limits: Limits | None = None,
) -> EdgeServer:
    """The edge of the Global Server. `proxies`: those in front of it; `pages`: the ops console."""
    metrics = EdgeMetrics(registry or CollectorRegistry())
    streams, gate = BackConnections(server, metrics, WriteBuffer()), bearer_gate(verifier)
    routes = [*global_routes(server, gate, proxies or TrustedProxies()), *presence_routes(server, gate, streams), *pages]
    return EdgeServer("Flash Global Server", routes, server.ready, metrics, back_connections=streams, limits=limits)
