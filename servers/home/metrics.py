"""What a home counts, for Prometheus. Rule: names and meanings are those of `docs/metrics.md`."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.bounds import Holder, Holding
from servers.home.service import HomeServer
from servers.metrics import belief, clock, heavy, history, life, mail, of_every_server, readiness, seals, trust, turns
from servers.queue_metrics import QueueMetrics, held_everywhere


class HomeMetrics(Collector):
    """Gauges and counters of one home."""

    def __init__(self, home: HomeServer) -> None:
        self._home = home

    def collect(self) -> Iterator[Metric]:
        """The present values."""
        home, now, lease = self._home.lifecycle, self._home.health.figures(), self._home.lifecycle.lease
        yield GaugeMetricFamily("flash_sessions", "Live sessions.", now.sessions)
        yield GaugeMetricFamily("flash_users_seen", "Users who were ever online here.", now.users)
        yield GaugeMetricFamily("flash_messages_waiting", "Messages no client has acknowledged.", now.waiting)
        yield GaugeMetricFamily("flash_lease_held", "1 while this process may serve.", int(lease is None or lease.held))
        yield GaugeMetricFamily("flash_lease_epoch", "The lease's number.", 0 if lease is None else lease.epoch)
        yield CounterMetricFamily("flash_inbox_repeats", "Events that came again and were dropped.", now.repeats)
        yield CounterMetricFamily("flash_inbox_dead", "Messages that could not be handled.", now.dead)
        yield from of_every_server(now.position, home.writer, now.relay_lag, home.broker, now.projections)
        yield from turns(self._home.scheduler)
        yield from heavy(self._home.load, self._home.throttling)
        yield from mail(home.inbox, home.outbox.receivers, home.mail_check)
        yield from history(home.outbox.history_sender)
        yield CounterMetricFamily("flash_uids_given_twice", "Users refused as somebody else.", self._home.given_twice)
        yield from seals(home.sealer)
        yield from life(home.keeper)
        yield from trust(home.cards)
        yield from belief(home.inbox, home.answers, home.peers)
        yield GaugeMetricFamily("flash_home_refused", "1 while the Global Server does not take it.", int(bool(home.global_client.refused)))
        yield from clock(home.clock_check)
        yield from readiness(home.outbox, self._home.ready() is None)


def home_queues(home: HomeServer, *others: Callable[[], Iterable[Holding]]) -> QueueMetrics:
    """The queues and caches of a home, and of `others`, such as its edge."""
    queues = QueueMetrics(partial(_of, home), *others)
    home.scheduler.each_minute.append(queues)
    return queues


def _of(home: HomeServer) -> Iterator[Holding]:
    parts = home.lifecycle
    owners: tuple[Holder, ...] = (
        home.verifier, home.sends, home.changes, home.statuses, home.tickets, home.sessions, home.scheduler, parts.global_client,
        parts.words, parts.word_asking, home.load, home.throttling,
    )  # fmt: skip
    for owner in owners:
        yield from owner.holdings()
    yield from held_everywhere(parts, parts.trust, parts.cards, parts.answers, parts.mail_check)
