"""What a Home Server counts. Rule: nothing is counted twice: the numbers are read from the parts when Prometheus asks."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from servers.home_parts import HomeParts


class HomeMetrics(Collector):
    """Gauges and counters of one home."""

    def __init__(self, parts: HomeParts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """The present values."""
        parts = self._parts
        newest = max(parts.presence.position, parts.relay.position)
        yield GaugeMetricFamily("flash_sessions", "Live sessions.", len(parts.sessions))
        yield GaugeMetricFamily("flash_users_seen", "Users who were ever online here.", len(parts.presence.users))
        waiting = sum(count for count, _ in parts.waiting.mailboxes.values())
        yield GaugeMetricFamily("flash_messages_waiting", "Messages no client has acknowledged.", waiting)
        yield GaugeMetricFamily("flash_log_position", "Position of the newest event.", newest)
        yield GaugeMetricFamily("flash_writer_waiting", "Commands waiting for a commit.", parts.writer.depth)
        yield CounterMetricFamily("flash_commits", "Transactions committed.", parts.writer.commits)
        yield GaugeMetricFamily("flash_relay_lag", "Events committed but not yet published.", parts.relay.lag)
        yield CounterMetricFamily("flash_inbox_repeats", "Events that came again and were dropped.", parts.inbox.repeats)
        yield CounterMetricFamily("flash_inbox_dead", "Messages that could not be handled.", parts.inbox.dead)
        yield GaugeMetricFamily("flash_broker_connected", "1 while the broker answers.", int(parts.broker.connected))
        lag = GaugeMetricFamily("flash_projection_lag", "Events a projection has not folded yet.", labels=["projection"])
        for name, behind in parts.projector.lag(newest).items():
            lag.add_metric([name], behind)
        yield lag
