"""Every queue and cache of one server, for Prometheus. Rule: what they hold is read when it asks, and labels are names of bounds."""

from collections.abc import Callable, Iterable, Iterator

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.bounds import Bound, Holder, Holding
from servers.components import Components
from servers.messaging.cards import Cards
from servers.messaging.mail_check import MailCheck
from servers.messaging.private_questions import PrivateAnswers
from servers.trust.trust import Trust

log = structlog.get_logger()


def held_everywhere(parts: Components, trust: Trust, cards: Cards, answers: PrivateAnswers, check: MailCheck) -> Iterator[Holding]:
    """What both kinds of server hold."""
    owners: tuple[Holder, ...] = (
        parts.writer, parts.writer.states, parts.store.keys, parts.outbox, parts.broker, trust.boxes, cards, answers, parts.inbox,
        parts.peers.lines, check.lines,
    )  # fmt: skip
    for owner in owners:
        yield from owner.holdings()


class QueueMetrics(Collector):
    """What the owners hold that `sources` ask. Several queues of one kind are shown as one."""

    def __init__(self, *sources: Callable[[], Iterable[Holding]]) -> None:
        self._sources = sources
        self._said: dict[str, int] = {}  # how much each queue had refused when the log spoke of it last

    def turn(self) -> None:
        """A minute is over: say which queues have refused something in it, one line each."""
        for name, each in self._by_name().items():
            refused = each.refused - self._said.get(name, 0)
            if refused > 0 and not each.bound.cache:
                log.warning("queue.refused", queue=name, refused=refused, entries=each.entries, bytes=each.size)
            self._said[name] = each.refused

    def collect(self) -> Iterator[Metric]:
        """The present values."""
        entries = GaugeMetricFamily("flash_queue_entries", "What waits in a queue, or is kept in a cache.", labels=["queue"])
        size = GaugeMetricFamily("flash_queue_bytes", "How many bytes that is.", labels=["queue"])
        most_entries = GaugeMetricFamily("flash_queue_most_entries", "How many entries it holds at most.", labels=["queue"])
        most_bytes = GaugeMetricFamily("flash_queue_most_bytes", "How many bytes it holds at most.", labels=["queue"])
        oldest = GaugeMetricFamily("flash_queue_oldest_seconds", "How long the first entry has waited.", labels=["queue"])
        refused = CounterMetricFamily("flash_queue_refused", "Entries that found no place, or made room.", labels=["queue"])
        for each in self._by_name().values():
            bound, label = each.bound, [each.bound.name]
            entries.add_metric(label, each.entries)
            size.add_metric(label, each.size)
            refused.add_metric(label, each.refused)
            if each.oldest_s is not None:
                oldest.add_metric(label, each.oldest_s)
            if not bound.per:  # of several queues only the sum is known, which no single bound limits
                most_entries.add_metric(label, bound.entries)
                most_bytes.add_metric(label, bound.most_bytes)
        yield from (entries, size, most_entries, most_bytes, oldest, refused)

    def _by_name(self) -> dict[str, Holding]:
        found: dict[str, Holding] = {}
        for source in self._sources:
            for each in source():
                known = found.get(each.bound.name)
                found[each.bound.name] = each if known is None else _sum(each.bound, known, each)
        return found


def _sum(bound: Bound, one: Holding, other: Holding) -> Holding:
    oldest = max((each.oldest_s for each in (one, other) if each.oldest_s is not None), default=None)
    return Holding(bound, one.entries + other.entries, one.size + other.size, one.refused + other.refused, oldest)
