"""The metrics that every server has. Rule: nothing is counted for metrics alone; numbers are read when Prometheus asks."""

import time
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from broker.port import Broker
from runtime.scheduler import Scheduler
from servers.fairness.load import KINDS, Load
from servers.fairness.throttling import Throttling
from servers.integrity.sealer import Sealer
from servers.lives.keeper import LifeKeeper
from servers.messaging.cards import Cards
from servers.messaging.clock_check import ClockCheck
from servers.messaging.heartbeats import PeerMonitor
from servers.messaging.history_sender import HistorySender
from servers.messaging.inbox import Inbox
from servers.messaging.mail_check import MailCheck
from servers.messaging.outbox import Outbox
from servers.messaging.private_questions import PrivateAnswers
from servers.messaging.receivers import WORDS, Receivers
from servers.writing.writer import Writer

STARTED = time.time()  # when this process began, a second late at most, because importing takes that long


def of_every_server(newest: int, writer: Writer, relay_lag: int, broker: Broker, lags: Mapping[str, int]) -> Iterator[Metric]:
    """Metrics of the log, the writer, the outbox, the broker and the projections. `lags`: how far each projection is behind, by name."""
    yield GaugeMetricFamily("flash_started_seconds", "When this process began, in seconds since 1970.", STARTED)
    yield GaugeMetricFamily("flash_log_position", "Position of the newest event.", newest)
    yield GaugeMetricFamily("flash_writer_waiting", "Commands waiting for a commit.", writer.depth)
    yield GaugeMetricFamily("flash_writer_lanes", "Users and servers whose commands wait for a commit.", writer.lanes)
    yield CounterMetricFamily("flash_writer_refused", "Calls that found no room in the writer.", writer.refused)
    waited, _ = writer.store.waited.value
    yield GaugeMetricFamily("flash_store_wait_seconds", "The longest that a commit waited for the store's thread lately.", waited)
    yield CounterMetricFamily("flash_commits", "Transactions committed.", writer.commits)
    states = writer.states
    yield CounterMetricFamily("flash_states_asked", "States that commands wanted.", states.asked)
    yield CounterMetricFamily("flash_states_missed", "Of these, states that had to be loaded.", states.missed)
    yield CounterMetricFamily("flash_snapshots", "Snapshots written.", states.snapshots.written)
    yield GaugeMetricFamily("flash_relay_lag", "Events committed but not yet published.", relay_lag)
    yield GaugeMetricFamily("flash_broker_connected", "1 while the broker answers.", int(broker.connected))
    received = CounterMetricFamily("flash_broker_received_bytes", "Bytes that came from each user of the broker.", labels=["publisher"])
    for publisher, size in broker.received.items():
        received.add_metric([publisher], size)
    yield received
    strange = CounterMetricFamily(
        "flash_broker_not_believed", "Messages that named another server than their publisher's.", labels=["publisher"]
    )
    for publisher, messages in broker.not_believed.items():
        strange.add_metric([publisher], messages)
    yield strange
    lag = GaugeMetricFamily("flash_projection_lag", "Events a projection has not folded yet.", labels=["projection"])
    for name, behind in lags.items():
        lag.add_metric([name], behind)
    yield lag


def turns(scheduler: Scheduler) -> Iterator[Metric]:
    """How late this process is, and what long work it has."""
    late, cause = scheduler.late.value
    lateness = GaugeMetricFamily("flash_loop_late_seconds", "How late the event loop was at most lately.", labels=["job"])
    lateness.add_metric([cause], late)
    yield lateness
    yield CounterMetricFamily("flash_loop_late_ticks", "Ticks of the event loop that came more than 20 ms late.", scheduler.late_ticks)
    step_s, job = scheduler.longest.value
    longest = GaugeMetricFamily("flash_job_step_seconds", "The longest step of a long piece of work lately.", labels=["job"])
    longest.add_metric([job], step_s)
    yield longest
    yield GaugeMetricFamily("flash_jobs_waiting", "Long pieces of work that wait for their next step.", scheduler.waiting)


def heavy(load: Load, throttling: Throttling) -> Iterator[Metric]:
    """What the heaviest take, and who has turns at a tenth; never who they are."""
    share = GaugeMetricFamily("flash_heavy_share", "The heaviest one's part of the CPU of the last minute.", labels=["kind"])
    for kind, part in load.shares().items():
        share.add_metric([kind], part)
    yield share
    throttling.forget()
    throttled = GaugeMetricFamily("flash_throttled", "Who has turns at a tenth.", labels=["kind"])
    for kind in KINDS:
        throttled.add_metric([kind], sum(each.kind == kind for each in throttling.throttles.held))
    yield throttled
    yield GaugeMetricFamily("flash_throttled_waiting", "Requests and mails that wait for turns at a tenth.", throttling.waiting)


def readiness(outbox: Outbox, ready: bool) -> Iterator[Metric]:
    """Whether this server serves, and what of its log the broker does not have, by stream."""
    yield GaugeMetricFamily("flash_ready", "1 while this server can serve.", int(ready))
    waiting = GaugeMetricFamily("flash_unpublished", "Positions committed and not confirmed by the broker.", labels=["stream"])
    refused = GaugeMetricFamily("flash_publishing_refused", "1 while the broker does not take the stream.", labels=["stream"])
    for publisher in (outbox.mail, outbox.history):
        waiting.add_metric([publisher.stream], publisher.lag)
        refused.add_metric([publisher.stream], int(bool(publisher.refused)))
    yield waiting
    yield refused


def clock(check: ClockCheck) -> Iterator[Metric]:
    """How far this server's clock is from others'."""
    ahead = GaugeMetricFamily("flash_clock_ahead_seconds", "How far this clock is ahead of another one.", labels=["whose"])
    for whose, seconds in check.ahead_s.items():
        ahead.add_metric([whose], seconds)
    yield ahead


def mail(inbox: Inbox, receivers: Receivers, check: MailCheck) -> Iterator[Metric]:
    """What was lost on its way between servers, and what cannot be sent."""
    yield CounterMetricFamily("flash_inbox_holes", "Mail that did not follow on what came before.", inbox.holes)
    yield CounterMetricFamily("flash_inbox_unopened", "Mail that no card or key at hand opened.", inbox.unopened)
    yield GaugeMetricFamily("flash_mail_set_back", "Servers whose logs end below what is committed of them, or of ours at them.",
                            len(inbox.set_back | check.ahead))  # fmt: skip
    yield CounterMetricFamily("flash_mail_sent_again", "How often a server was sent again what it lacked.", receivers.again)
    yield GaugeMetricFamily("flash_mail_behind", "Servers that are sent mail again, or cannot be sent any.", len(receivers.behind))
    behind, now = [receivers.known[name] for name in receivers.behind], receivers.clock()
    reasons = GaugeMetricFamily("flash_mail_behind_reasons", "The same by what keeps their mail back.", labels=["why"])
    for why in WORDS:
        reasons.add_metric([why], sum(receiver.why == why for receiver in behind))
    yield reasons
    oldest = max((now - receiver.since for receiver in behind), default=0.0)
    yield GaugeMetricFamily("flash_mail_behind_seconds", "For how long the one of them has waited that has waited for longest.", oldest)


def belief(inbox: Inbox, answers: PrivateAnswers, peers: PeerMonitor) -> Iterator[Metric]:
    """What other servers said and nobody here believed."""
    refused = CounterMetricFamily("flash_not_believed", "What other servers said that was not believed.", labels=["what"])
    for what, count in (("event", inbox.belief.refused + inbox.not_applied), ("question", answers.refused), ("heartbeat", peers.refused)):
        refused.add_metric([what], count)
    yield refused
    left_out = CounterMetricFamily("flash_left_out", "What servers sent beyond what is taken of each.", labels=["what"])
    left_out.add_metric(["question"], peers.broker.unanswered)
    left_out.add_metric(["heartbeat"], peers.left_out)
    yield left_out
    yield CounterMetricFamily("flash_inbox_dead_left_out", "Dead letters beyond those that are kept in a minute.", inbox.letters.left_out)


def trust(cards: Cards) -> Iterator[Metric]:
    """What this server believes of others, and others of it."""
    known, now = cards.trust.peers.known, cards.trust.clock()
    believed = sum(not card.certificate.expired(now) for card in known.values())
    yield GaugeMetricFamily("flash_cards", "Servers whose cards are believed here.", believed)
    yield CounterMetricFamily("flash_cards_not_believed", "Cards that did not prove themselves.", cards.not_believed)
    held = cards.trust.peers.held
    yield GaugeMetricFamily("flash_certificate_expires_seconds", "When the certificate ends.", 0.0 if held is None else held.expires)


def history(sender: HistorySender) -> Iterator[Metric]:
    """What the history lacks of this server's log."""
    yield GaugeMetricFamily("flash_history_behind", "Events that the history lacks in its present era.", sender.lag)
    yield CounterMetricFamily("flash_history_unroutable", "Publications that no stream took.", sender.unroutable)
    yield CounterMetricFamily("flash_history_filled_again", "Events published again to a stream that was begun anew.", sender.filled_again)


def seals(sealer: Sealer) -> Iterator[Metric]:
    """How far the log is sealed."""
    yield GaugeMetricFamily("flash_log_unsealed", "Positions committed but not yet sealed.", sealer.unsealed)
    yield CounterMetricFamily("flash_seals", "Seals written since the start.", sealer.seals)


def life(keeper: LifeKeeper) -> Iterator[Metric]:
    """Whether the log was set back."""
    yield GaugeMetricFamily("flash_log_set_back", "1 while the log lacks what it had and is not written to.", int(bool(keeper.waits)))
    yield CounterMetricFamily("flash_log_doubts", "Times that a peer knew more of this log than there is.", keeper.doubts)
    yield GaugeMetricFamily("flash_log_put_back", "Events that were put back from the history at this start.", keeper.put_back)
