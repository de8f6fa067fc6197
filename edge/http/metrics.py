"""What one server's edge counts. Rule: counting costs an addition; shapes for Prometheus are made only when it asks."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from servers.sessions.parts import Part


class EdgeMetrics(Collector):
    """Counters of one edge, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.answered: Counter[tuple[str, int]] = Counter()  # requests by route and status
        self.connections: Callable[[], int] = int  # how many are open, back connections included
        self.back_connections = 0
        self.bytes_pushed = 0
        self.connections_refused = 0
        self.over_share: Counter[str] = Counter()  # connections that an address or a user had too many of
        self.parts: Counter[str] = Counter()  # written, by name
        self._refused: Counter[str] = Counter()
        registry.register(self)

    def pushed(self, parts: Sequence[Part], size: int) -> None:
        """Parts were written to a back connection, or answered to a poll: so many bytes."""
        for part in parts:
            self.parts[part.name] += 1
        self.bytes_pushed += size

    def refused(self, code: str) -> None:
        """A request was refused with this code."""
        self._refused[code] += 1

    def collect(self) -> Iterator[Metric]:
        """The counters as Prometheus reads them."""
        requests = CounterMetricFamily("flash_http_requests", "Requests answered.", labels=["route", "status"])
        for (route, status), count in self.answered.items():
            requests.add_metric([route, str(status)], count)
        yield requests
        yield _by("flash_http_refused", "Requests refused.", "code", self._refused)
        yield _by("flash_parts_written", "Parts written to back connections and polls.", "part", self.parts)
        yield CounterMetricFamily("flash_parts_bytes", "Bytes written to back connections and polls.", self.bytes_pushed)
        yield CounterMetricFamily("flash_connections_refused", "Connections over the limit.", self.connections_refused)
        yield _by("flash_connections_over_share", "Connections over the limit of an address or a user.", "whose", self.over_share)
        yield GaugeMetricFamily("flash_connections_open", "Connections, back connections included.", self.connections())
        yield GaugeMetricFamily("flash_back_connections_open", "Back connections.", self.back_connections)


def _by(name: str, documentation: str, label: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
