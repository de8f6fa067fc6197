"""The edges of the two kinds of server, put together. Rule: this is the only place that knows every kind of route."""

import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from edge.api.global_server import global_routes
from edge.api.heavy_use import heavy_use_routes
from edge.api.home import home_routes
from edge.api.presence import presence_routes
from edge.contracts.servers import Global, Home, Verifier
from edge.direct.config import DirectConfig
from edge.direct.routes import direct_route, ticket_route
from edge.direct.two_way_outlet import DirectLines
from edge.http.client_address import TrustedProxies
from edge.http.closing import refusing_while
from edge.http.dispatch import bearer_gate, home_gate
from edge.http.fast_path import WriteBuffer
from edge.http.limits import Limits
from edge.http.metrics import EdgeMetrics
from edge.http.route import Route
from edge.http.server import EdgeServer
from edge.http.watch import Watch
from edge.transports.back_connection import BackConnections
from edge.transports.long_poll import LongPolls
from servers.security.rate_limit import RateLimit

TOO_MANY = "Too many offers; go on over the back connection."


def home_edge(
    home: Home,
    verifier: Verifier,
    *,
    direct: DirectConfig | None = None,
    proxies: TrustedProxies | None = None,
    registry: CollectorRegistry | None = None,
    limits: Limits | None = None,
    watch: Watch | None = None,
) -> EdgeServer:
    """The edge of a Home Server. `direct`: how it calls its clients; `proxies`: those in front of it; `watch`: what is noted of
    requests."""
    watch = watch or Watch()
    metrics, write_buffer = EdgeMetrics(registry or CollectorRegistry()), WriteBuffer()
    back_connections = BackConnections(home, metrics, write_buffer, watch.load)
    gate = home_gate(verifier, home)
    proxies = proxies or TrustedProxies()
    direct = direct or DirectConfig()
    probes = RateLimit(direct.probes_per_s, direct.probes_burst, time.monotonic, TOO_MANY)
    lines, polls = DirectLines(probes), LongPolls(home, metrics)
    calls = [direct_route(home, gate, direct, proxies, metrics, lines), ticket_route(home, gate, proxies)]
    routes = [*home_routes(home, gate, back_connections, polls), *calls]
    drain = back_connections.wait_empty
    return EdgeServer(f"Flash home {home.name}", routes, home.ready, home.warnings, metrics, write_buffer, limits or Limits(), drain,
                      proxies, (lines, polls), watch)  # fmt: skip


def global_edge(
    server: Global,
    verifier: Verifier,
    *,
    proxies: TrustedProxies | None = None,
    pages: Sequence[Route] = (),
    registry: CollectorRegistry | None = None,
    limits: Limits | None = None,
    watch: Watch | None = None,
) -> EdgeServer:
    """The edge of the Global Server. `proxies`: those in front of it; `pages`: the ops console; `watch`: what
    is noted of requests."""
    watch = watch or Watch()
    metrics, write_buffer = EdgeMetrics(registry or CollectorRegistry()), WriteBuffer()
    streams, gate = BackConnections(server, metrics, write_buffer, watch.load), bearer_gate(verifier)
    proxies = proxies or TrustedProxies()
    served = [*global_routes(server, gate, proxies), *presence_routes(server, gate, streams),
              *heavy_use_routes(server.heavy, gate), *pages]  # fmt: skip
    routes = refusing_while(server.closed, served)
    return EdgeServer("Flash Global Server", routes, server.ready, server.warnings, metrics, write_buffer, limits or Limits(),
                      streams.wait_empty, proxies, watch=watch)  # fmt: skip
