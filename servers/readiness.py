"""Whether this server can serve, and what is wrong elsewhere. Rule: only what is this server's own makes it unready.

A proxy takes an unready server out. So what another server sent, lacks or is refused for, and a broker that is away, are warnings beside
the answer "ready": otherwise one lying server, or one broker, would take every home out of its proxy.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog
from eventsourcing.persistence import Tracking

from broker import topology
from broker.port import Broker
from runtime.background_task import BackgroundTask
from runtime.deferred import Deferred
from servers.messaging.clock_check import ClockCheck
from servers.messaging.inbox import Inbox
from servers.messaging.outbox import Outbox
from servers.messaging.receivers import WORDS
from servers.store.log.positions import PROBE
from servers.writing.writer import Writer

NAMED = 10  # servers that a warning names

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReadinessConfig:
    """`still_s`: a part that is busy and does nothing for this time stands still: longer than any patience with a database or a broker."""

    every_s: float = 1.0
    still_s: float = 60.0
    failing_s: float = 2.0  # a database that changes its primary, or a lock, may cost a commit or two


@dataclass(slots=True)
class Part:
    """A part of the server that works by itself. `turns` rises with whatever it does, also in vain."""

    name: str
    alive: Callable[[], bool]
    busy: Callable[[], bool]
    turns: Callable[[], int]
    seen: int = -1
    since: float = 0.0


@dataclass(slots=True, eq=False)
class Readiness:
    """Watches the parts of one server. `clock`: seconds since some moment."""

    server: str
    writer: Writer
    inbox: Inbox
    outbox: Outbox
    broker: Broker
    clock_check: ClockCheck
    config: ReadinessConfig = field(default_factory=ReadinessConfig)
    clock: Callable[[], float] = time.monotonic
    _parts: list[Part] = field(init=False)
    _failing_since: float | None = field(default=None, init=False)
    _said: str | None = field(default=None, init=False)
    _probe: Deferred[Any] | None = field(default=None, init=False)
    _task: BackgroundTask = field(init=False)

    def __post_init__(self) -> None:
        writer, inbox, mail, history = self.writer, self.inbox, self.outbox.mail, self.outbox.history
        self._parts = [
            Part("writer", lambda: writer.alive, lambda: not writer.idle, lambda: writer.turns),
            Part("inbox", lambda: inbox.task.alive, lambda: not inbox.idle, lambda: inbox.turns),
            Part("relay of mail", lambda: mail.task.alive, lambda: mail.lag > 0, lambda: mail.turns),
            Part("relay of the history", lambda: history.task.alive, lambda: history.lag > 0, lambda: history.turns),
        ]
        self._task = BackgroundTask(f"readiness-{self.server}")

    def start(self) -> None:
        """Begin to watch, after the parts have started."""
        self._task.start(self._watch())

    async def stop(self) -> None:
        """Watch no more."""
        await self._task.stop()

    def why_not(self) -> str | None:
        """None while all parts work and commits succeed, else a sentence."""
        for part in self._parts:
            if not part.alive():
                return f"The {part.name} has stopped; restart this server."
        now = self.clock()
        if self._failing_since is not None and now - self._failing_since >= self.config.failing_s:
            return "Nothing can be stored at the moment; the log says why."
        for part in self._parts:
            if part.seen >= 0 and now - part.since >= self.config.still_s:
                return f"The {part.name} has stood still for {now - part.since:.0f} s; restart this server."
        return None

    def warnings(self) -> Iterator[str]:
        """What is wrong elsewhere, or will be: one sentence each."""
        if not self.broker.connected:
            yield "The broker is away: mail, presence and the history wait."
        for publisher in (self.outbox.mail, self.outbox.history):
            if publisher.refused and self.broker.connected:
                where = self._where(publisher.stream, publisher.refused)
                yield f"Nothing is published of the {publisher.stream}{where}, and {publisher.lag} positions wait: {publisher.refused}"
        history = self.outbox.history_sender
        if history.starting:
            yield f"{topology.HISTORY}: the Global Server has never told in which era it is, so nothing is published there."
        elif history.behind:
            yield (
                f"{topology.HISTORY} is in era {history.era}, which has this log up to {history.held} only: the stream was begun anew, and "
                f"the events up to {history.fresh} are published again."
            )
        yield from self._behind()
        if self.inbox.set_back:
            yield (
                f"The log of {', '.join(sorted(self.inbox.set_back)[:NAMED])} ends below what is committed of it here: it was set back, "
                "and none of its mail is applied or dropped."
            )
        if self.inbox.dead:
            left_out = f", and {self.inbox.letters.left_out} of them were not kept" if self.inbox.letters.left_out else ""
            yield f"{self.inbox.dead} messages became dead letters since the start{left_out}."
        if (wrong := self.clock_check.wrong()) is not None:
            yield wrong

    def _behind(self) -> Iterator[str]:
        """Which other servers get no mail at the moment, and why; those that have waited for longest."""
        receivers = self.outbox.receivers
        behind = sorted((receivers.known[name] for name in receivers.behind), key=lambda receiver: (receiver.since, receiver.name))
        for receiver in behind[:NAMED]:
            yield f"Mail for {receiver.name} has waited for {receivers.clock() - receiver.since:.0f} s: {WORDS[receiver.why]}."
        if len(behind) > NAMED:
            yield f"Mail for {len(behind) - NAMED} other servers waits as well."

    def _where(self, what: str, refused: str) -> str:
        """The stream that does not take it, as RabbitMQ's administrator knows it; nothing for mail, which goes to queues."""
        if what == "history":
            return f" ({topology.HISTORY}, era {self.outbox.history_sender.era})"
        return f" (the stream {topology.PRESENCE_LOG})" if refused.endswith(f" {topology.PRESENCE}") else ""

    async def _watch(self) -> None:
        while True:
            self.look()
            why = self.why_not()
            if why != self._said and (why is None or self._said is None):
                log.error("server.not_ready", server=self.server, why=why) if why else log.info("server.ready_again", server=self.server)
            self._said = why
            if self.writer.failing and (self._probe is None or self._probe.done):  # nobody else may try while a proxy sends nobody here
                self._probe = self.writer.submit((), trackings=[Tracking(PROBE, int(self.writer.clock()))])
            await asyncio.sleep(self.config.every_s)

    def look(self) -> None:
        """Note who has moved since the last look."""
        now = self.clock()
        for part in self._parts:
            if not part.busy():
                part.seen = -1
            elif (turns := part.turns()) != part.seen:
                part.seen, part.since = turns, now
        if not self.writer.failing:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = now
