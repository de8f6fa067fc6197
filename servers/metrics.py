"""What a server counts. Rule: nothing is counted twice: the numbers are read from the parts when Prometheus asks."""

import time
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.registry.registered_home import GLOBAL
from servers.audit.audit import Audit
from servers.global_server.assembly import GlobalParts
from servers.home.assembly import HomeParts
from servers.home.health import home_figures
from servers.integrity.sealer import Sealer
from servers.writing.writer import Writer

STARTED = time.time()  # of this process, give or take the second in which it imports


class HomeMetrics(Collector):
    """Gauges and counters of one home."""

    def __init__(self, parts: HomeParts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """The present values."""
        parts, now = self._parts, home_figures(self._parts)
        yield GaugeMetricFamily("flash_sessions", "Live sessions.", now["sessions"])
        yield GaugeMetricFamily("flash_users_seen", "Users who were ever online here.", now["users"])
        yield GaugeMetricFamily("flash_messages_waiting", "Messages no client has acknowledged.", now["waiting"])
        lease = parts.lease
        yield GaugeMetricFamily("flash_lease_held", "1 while this process may serve.", int(lease is None or lease.held))
        yield GaugeMetricFamily("flash_lease_epoch", "The lease's number.", 0 if lease is None else lease.epoch)
        yield CounterMetricFamily("flash_inbox_repeats", "Events that came again and were dropped.", now["repeats"])
        yield CounterMetricFamily("flash_inbox_dead", "Messages that could not be handled.", now["dead"])
        yield from _of_every_server(now["position"], parts.writer, now["relay_lag"], parts.broker.connected, now["projections"])
        yield from _seals(parts.sealer)


class GlobalMetrics(Collector):
    """Gauges and counters of the Global Server."""

    def __init__(self, parts: GlobalParts, audit: Audit) -> None:
        self._parts = parts
        self._audit = audit

    def collect(self) -> Iterator[Metric]:
        """The present values."""
        parts = self._parts
        newest = max(parts.directory.position, parts.relay.position)
        yield GaugeMetricFamily("flash_users_registered", "Users of this installation.", len(parts.directory.users))
        yield GaugeMetricFamily("flash_homes_announced", "Homes of this installation.", len(parts.directory.homes))
        yield GaugeMetricFamily("flash_homes_alive", "Homes heard of lately.", len(parts.neighbours.alive() - {GLOBAL}))
        yield GaugeMetricFamily("flash_audit_events", "Events in the audit store.", self._audit.reached.entries)
        yield GaugeMetricFamily("flash_audit_behind_s", "Age of the newest audited event as it came.", self._audit.reached.behind_s or 0.0)
        yield from _of_every_server(newest, parts.writer, parts.relay.lag, parts.broker.connected, parts.projector.lag(newest))
        yield from _seals(parts.sealer)
        reader = parts.presence.reader
        yield CounterMetricFamily("flash_feed_changes", "Presence changes read from the feed.", reader.changes)
        yield CounterMetricFamily("flash_feed_repeats", "Presence changes that came again and were dropped.", reader.feed.repeats)
        yield GaugeMetricFamily("flash_feed_delay_seconds", "From a home's commit to here, for the newest change.", reader.delay_s)
        yield GaugeMetricFamily("flash_feed_subscribers", "Open presence streams.", len(parts.presence.subscribers))


def _of_every_server(newest: int, writer: Writer, relay_lag: int, connected: bool, lags: Mapping[str, int]) -> Iterator[Metric]:
    yield GaugeMetricFamily("flash_started_seconds", "When this process began, in seconds since 1970.", STARTED)
    yield GaugeMetricFamily("flash_log_position", "Position of the newest event.", newest)
    yield GaugeMetricFamily("flash_writer_waiting", "Commands waiting for a commit.", writer.depth)
    yield CounterMetricFamily("flash_commits", "Transactions committed.", writer.commits)
    yield GaugeMetricFamily("flash_relay_lag", "Events committed but not yet published.", relay_lag)
    yield GaugeMetricFamily("flash_broker_connected", "1 while the broker answers.", int(connected))
    lag = GaugeMetricFamily("flash_projection_lag", "Events a projection has not folded yet.", labels=["projection"])
    for name, behind in lags.items():
        lag.add_metric([name], behind)
    yield lag


def _seals(sealer: Sealer) -> Iterator[Metric]:
    yield GaugeMetricFamily("flash_log_unsealed", "Positions committed but not yet sealed.", sealer.unsealed)
    yield CounterMetricFamily("flash_seals", "Seals written since the start.", sealer.seals)
