"""Sends mail again from the log to receivers that are behind. Rule: all that are due share one reading, which skips what is for none of
them; for whoever is away, or does not confirm, nothing is read.

Receivers that lack much and those that lack little go through the log together: one that has come further waits until the reading has
reached it. Portions come from memory where the newest commits hold them. The last portion hands a receiver back to `MailSender`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from broker.port import Broker
from domain.errors import Unavailable
from domain.event import Event
from domain.events.home import PresenceEvent
from runtime.background_task import BackgroundTask
from servers.messaging.mail_sender import MailSender
from servers.messaging.receivers import WORDS, Receiver, Receivers, Why
from servers.messaging.recent_commits import Follower, portion
from servers.messaging.words_to_tell import NoWord
from servers.store.event_store import Committed, Store
from servers.trust.box import NoCard

TOGETHER_S = 1.0  # so long a reading waits for the confirms of those who share it; who is later goes on by itself
UNTRIED = ("missing", "refused", "slow", "no_card")  # an empty mail tells whether it is over, before anything is read
AWAY_S = 1.0  # between two looks whether the broker is back, or the store

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class MailAgain:
    """One server's. `overdue`: whether an event's time to live is over, so that it bounces."""

    store: Store
    broker: Broker
    sender: MailSender
    receivers: Receivers
    follower: Follower
    overdue: Callable[[Event], bool]
    max_batch: int
    max_bytes: int
    readings: int = field(default=0, init=False)  # portions that were read from the store
    events_read: int = field(default=0, init=False)  # in them
    wanted: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    task: BackgroundTask = field(default_factory=lambda: BackgroundTask("mail-again"), init=False)

    def start(self) -> None:
        """Begin, with those that were behind at the last end."""
        self.wanted.set()
        self.task.start(self._run())

    async def _run(self) -> None:
        while True:
            try:
                if not (due := self.receivers.due()):
                    self.wanted.clear()
                    await self.wanted.wait()
                elif self.broker.connected:
                    await self._send_portion(due)
                else:
                    await asyncio.sleep(AWAY_S)
            except Unavailable as error:
                log.info("mail.again_waits", detail=error.detail)
                await asyncio.sleep(AWAY_S)
            except Exception:
                log.exception("mail.again_failed")
                await asyncio.sleep(AWAY_S)

    async def _send_portion(self, due: Sequence[Receiver]) -> None:
        """Send the next portion to those for whom it holds something. Raises `Unavailable`."""
        for receiver in due:
            if receiver.why in UNTRIED:
                await self._send(receiver, (), receiver.behind or 0)
        due = [receiver for receiver in due if receiver.flight is None and receiver.due <= self.receivers.clock()]
        if not due:
            return
        end = max([self.follower.given, *[receiver.addressed for receiver in due]])
        after, upto = self.sender.blocks.portion([(receiver.name, receiver.scanned) for receiver in due], end, self.max_batch)
        batch, reached = await self._read(after, upto, end)
        theirs: dict[str, list[Committed]] = {receiver.name: [] for receiver in due}
        for one in batch:
            event = one.event
            find = self.sender.recipients.get(type(event))
            # Presence is not sent again: who was watching is not in the log, and it has changed since.
            if find is not None and not event.PRIVATE and not isinstance(event, PresenceEvent):
                for server in find(event):
                    if server in theirs:
                        theirs[server].append(one)
        flights: list[asyncio.Future[None]] = []
        for receiver in due:
            if receiver.flight is None and receiver.behind is not None and receiver.scanned <= reached:
                await self._send(receiver, [one for one in theirs[receiver.name] if one.position > receiver.scanned], reached)
                if receiver.flight is not None:
                    flights.append(receiver.flight)
        if flights:
            await asyncio.wait(flights, timeout=TOGETHER_S)

    async def _read(self, after: int, upto: int, end: int) -> tuple[list[Committed], int]:
        """The events after a position, and up to where they are all. Raises `Unavailable`."""
        if after >= end:
            return [], end
        recent = [one for one in self.follower.recent.after(after, self.max_batch, self.max_bytes) if one.position <= end]
        if recent:
            return recent, recent[-1].position
        self.readings += 1
        limit = min(self.max_batch, max(1, upto - after))
        read = await self.store.run_reader(self.store.read, after, limit)
        self.events_read += len(read)
        batch = portion((one for one in read if one.position <= end), self.max_batch, self.max_bytes)
        whole = len(batch) == len(read) and len(read) < limit
        return batch, max(upto, batch[-1].position if batch else 0) if whole or not batch else batch[-1].position

    async def _send(self, receiver: Receiver, lacking: Sequence[Committed], reached: int) -> None:
        """What one receiver lacks up to `reached`. Raises `Unavailable`."""
        sender, before = self.sender, receiver.behind
        for_it = [one for one in lacking if not (one.position <= receiver.settled and self.overdue(one.event))]
        whom = [uid for one in for_it for uid in sender.words.concerned(one.event, receiver.name)]
        if receiver.scanned == before:
            sender.words.forget(receiver.name)
        try:
            words = await sender.words.of(receiver.name, whom)
            if receiver.flight is not None or receiver.behind is None or receiver.behind != before:
                return  # something came meanwhile
            done = receiver.why not in UNTRIED and reached >= max(self.follower.given, receiver.addressed)
            if for_it or done or receiver.why in UNTRIED:
                records = [self.store.codec.for_mail(one.event, one.record) for one in for_it]
                outgoing = sender.mail(receiver, receiver.behind, reached, records, words, again=done)
                sender.publish(receiver, receiver.behind, reached, outgoing, whom)
        except (NoCard, NoWord) as failure:
            if isinstance(failure, NoCard):
                sender.want_card(receiver.name)
            why: Why = "no_card" if isinstance(failure, NoCard) else "no_word"
            self.receivers.cannot(receiver, receiver.behind or 0, why, WORDS[why])
            return
        receiver.scanned = reached
        if done:
            self.receivers.caught_up(receiver.name, reached)
