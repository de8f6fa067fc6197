"""What the Global Server counts, for Prometheus. Rule: names and meanings are those of `docs/metrics.md`."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.registry.registered_home import GLOBAL
from runtime.bounds import Holder, Holding
from servers.audit.audit import Audit
from servers.global_server.service import GlobalServer
from servers.metrics import belief, clock, heavy, history, life, mail, of_every_server, readiness, seals, trust, turns
from servers.queue_metrics import QueueMetrics, held_everywhere


class GlobalMetrics(Collector):
    """Gauges and counters of the Global Server."""

    def __init__(self, server: GlobalServer, audit: Audit) -> None:
        self._server = server
        self._audit = audit

    def collect(self) -> Iterator[Metric]:
        """The present values."""
        server, directory, view = self._server.lifecycle, self._server.directory, self._server.presence_view
        newest = max(directory.position, server.outbox.position)
        yield GaugeMetricFamily("flash_users_registered", "Users of this installation.", len(directory.users))
        yield GaugeMetricFamily("flash_homes_announced", "Homes of this installation.", len(directory.homes))
        yield GaugeMetricFamily("flash_homes_alive", "Homes heard of lately.", len(server.peers.alive() - {GLOBAL}))
        yield GaugeMetricFamily("flash_audit_events", "Events in the audit store.", self._audit.reached.entries)
        behind_s = self._audit.reached.behind_s or 0.0
        yield GaugeMetricFamily("flash_audit_behind_seconds", "Age of the newest audited event as it came.", behind_s)
        yield GaugeMetricFamily("flash_audit_behind_s", "The same under its old name, which the next version drops.", behind_s)
        refused = self._audit.refused
        yield CounterMetricFamily("flash_audit_not_believed", "Messages of the history that the audit read and did not believe.", refused)
        yield from of_every_server(newest, server.writer, server.outbox.lag, server.broker, server.projector.lag(newest))
        yield from turns(self._server.scheduler)
        yield from heavy(self._server.load, self._server.heavy.throttling)
        yield from mail(server.inbox, server.outbox.receivers, server.mail_check)
        yield from history(server.outbox.history_sender)
        yield from seals(server.sealer)
        yield from life(server.keeper)
        yield from trust(server.cards)
        yield from belief(server.inbox, server.answers, server.peers)
        yield CounterMetricFamily("flash_enrolments_refused", "Homes that asked to be enrolled in vain.", server.registrar.refused)
        yield from clock(server.clock_check)
        yield from readiness(server.outbox, self._server.ready() is None)
        waiting = GaugeMetricFamily("flash_hashes_waiting", "Passwords that wait to be hashed.", labels=["queue"])
        turned_away = CounterMetricFamily("flash_hashes_refused", "Passwords that were not hashed: too many waited.", labels=["queue"])
        hashing = server.passwords.hashing
        for name, queue in (("familiar", hashing.familiar), ("strangers", hashing.strangers)):
            waiting.add_metric([name], queue.waiting.size)
            turned_away.add_metric([name], queue.refused)
        yield waiting
        yield turned_away
        yield CounterMetricFamily("flash_hashes", "Passwords that were hashed, right or wrong.", hashing.hashes)
        yield GaugeMetricFamily("flash_familiar_handles", "Handles that signed in lately.", len(server.sign_in.familiar))
        reader = view.reader
        yield CounterMetricFamily("flash_feed_changes", "Presence changes read from the feed.", reader.changes)
        yield CounterMetricFamily("flash_feed_repeats", "Presence changes that came again and were dropped.", reader.feed.repeats)
        yield CounterMetricFamily("flash_feed_not_believed", "Presence changes that came from another home.", reader.not_believed)
        yield GaugeMetricFamily("flash_feed_delay_seconds", "From a home's commit to here, for the newest change.", reader.delay_s)
        yield GaugeMetricFamily("flash_feed_subscribers", "Open presence streams.", len(view.subscribers))


def global_queues(server: GlobalServer, *others: Callable[[], Iterable[Holding]]) -> QueueMetrics:
    """The queues and caches of the Global Server, and of `others`, such as its edge and its console."""
    queues = QueueMetrics(partial(_of, server), *others)
    server.scheduler.each_minute.append(queues)
    return queues


def _of(server: GlobalServer) -> Iterator[Holding]:
    parts, limits = server.lifecycle, server.limits
    owners: tuple[Holder, ...] = (
        server.verifier, server.console_verifier, limits.lookups, limits.profile_changes, *server.sign_in.limits.every,
        server.sign_in.familiar, server.passwords.hashing, server.searches, server.presence_view.feed, server.scheduler, server.load,
        server.heavy.throttling,
    )  # fmt: skip
    for owner in owners:
        yield from owner.holdings()
    yield from held_everywhere(parts, parts.trust, parts.cards, parts.answers, parts.mail_check)
