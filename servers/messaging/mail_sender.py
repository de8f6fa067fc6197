"""Sends the mail of one server's log to other servers. Rule: each mail names the one before it to the same server; a server that cannot be
reached, or that lacks something, never holds up the mail for others.

To each receiver one mail is on its way at a time, because a later one must never overtake an earlier one; what comes meanwhile gathers into
its next mail. A receiver whose queue refuses, is missing or does not confirm falls behind by itself (`servers/messaging/mail_again.py`).

Cost per commit: one mail for each server that it concerns, with one box each.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from broker import mail, topology
from broker.envelope import EventRecord
from broker.mail import PURPOSE, Body, Head
from broker.port import Broker, NotTaken, Outgoing, Unroutable
from domain.errors import Unavailable
from domain.events.home import PresenceEvent
from servers.messaging.mail_blocks import MailBlocks
from servers.messaging.outbox_parts import OutboxConfig
from servers.messaging.receivers import WORDS, Receiver, Receivers, Waiting, Why
from servers.messaging.recent_commits import Follower
from servers.messaging.words_to_tell import NOBODY, NoWord, WordsToTell
from servers.store.event_store import Committed, Store
from servers.store.log.positions import taken
from servers.trust.box import NoCard
from servers.trust.trust import Trust

Recipients = Mapping[type, Callable[[Any], Iterable[str]]]
LOOKS = 3  # so often a mail is seen without its confirm, while others got theirs, before its receiver falls behind: 3 to 4 s


@dataclass(slots=True, eq=False)
class MailSender:
    """`recipients`: the servers that an event is for, by its class; `presence_events`: what integrators hear of a presence event, whose
    class must be among the recipients; `committed`: how far this server has come in another's log; `want_card`: learn the card of a server;
    `words`: of the users of whom mail tells; `blocks`: where in the log each server has mail; `landed`: the publisher passes what is
    confirmed, and stores these positions; `stumbled`: it looks why it cannot go on."""

    store: Store
    broker: Broker
    server: str
    recipients: Recipients
    presence_events: Callable[[Committed], Sequence[Outgoing]]
    committed: Callable[[str], int]
    trust: Trust
    want_card: Callable[[str], None]
    words: WordsToTell
    receivers: Receivers
    blocks: MailBlocks
    follower: Follower
    landed: Callable[[Mapping[str, int]], None]
    stumbled: Callable[[], None]
    config: OutboxConfig
    landings: int = field(default=0, init=False)  # publications that the broker has settled
    failure: Unavailable | None = field(default=None, init=False)  # why the broker takes nothing at all
    over: bool = field(default=False, init=False)

    async def send(self, batch: Sequence[Committed]) -> dict[str, int]:
        """Publish what these events, the next ones of the log, bring others; to those who wait for a confirm it goes later. Returns the
        positions to be stored. Raises `Unavailable`."""
        inboxes: dict[str, list[EventRecord]] = {}
        whom: dict[str, list[int]] = {}  # those of whom a server may not have been told
        feed: list[Outgoing] = []
        words = self.words
        for committed in batch:
            event = committed.event
            find = self.recipients.get(type(event))
            if find is None or event.PRIVATE:
                continue
            record: EventRecord | None = None
            tells_of = words.tells_of.get(type(event))
            for server in find(event):
                if server != self.server:
                    record = record or self.store.codec.for_mail(event, committed.record)
                    inboxes.setdefault(server, []).append(record)
                    if tells_of is None or not words.known_to.get(server, NOBODY).issuperset(tells_of(event)):
                        whom.setdefault(server, []).extend(words.concerned(event, server))
            if isinstance(event, PresenceEvent):
                feed.extend(self.presence_events(committed))
        fresh: dict[str, Sequence[bytes]] = {}
        wordless: set[str] = set()
        for server, uids in whom.items():
            if server not in self.receivers.behind:
                try:
                    fresh[server] = await words.of(server, uids)
                except NoWord:
                    wordless.add(server)
        positions: dict[str, int] = {}
        if self.failure is not None:  # since the batch was fetched: what went before it must be sent again first, or this would overtake it
            raise self.failure
        try:
            for server, records in inboxes.items():
                self._give(server, records, fresh.get(server, ()), whom.get(server, ()), server in wordless, positions)
            if feed:  # until it is confirmed the batch is not handed out: a confirm of mail that comes meanwhile must not pass it
                await self.broker.publish(feed)
        except Unavailable:
            self.receivers.ride(positions)  # whoever is behind has been addressed all the same
            raise
        return positions

    def _give(
        self,
        server: str,
        records: list[EventRecord],
        words: Sequence[bytes],
        whom: Sequence[int],
        wordless: bool,
        positions: dict[str, int],
    ) -> None:
        """Mail for one receiver: it goes now, or behind the mail that is on its way, or is only addressed. Raises `Unavailable`."""
        receivers, blocks = self.receivers, self.blocks
        receiver = receivers.known.get(server) or receivers.of(server)
        if records[0].position <= receiver.addressed:  # it was confirmed before, and others' mail must be sent again
            records = [record for record in records if record.position > receiver.addressed]
            if not records:
                return
        last = records[-1].position
        if last >= blocks.ends.get(server, 0):
            positions |= blocks.note(server, [record.position for record in records])
        if not receiver.addressed:  # what went to it before there were rows was read while the servers were upgraded
            receivers.settle(server, records[0].position - 1)
        if receiver.behind is not None:
            receiver.addressed = positions[receiver.row] = last
            return
        if receiver.flight is None and not wordless:
            receiver.first = records[0].position
            self._fly(receiver, last, records, words, whom)
            return
        waiting = receiver.waiting
        if server not in receivers.flying:
            receiver.first, receivers.flying[server] = records[0].position, receiver
        waiting.records += records
        waiting.words += words
        waiting.whom += whom
        waiting.size += sum([len(record.data) for record in records])
        if wordless:
            receivers.cannot(receiver, receiver.addressed, "no_word", WORDS["no_word"])
        elif len(waiting.records) > self.config.max_batch or waiting.size > self.config.max_batch_bytes:
            receivers.cannot(receiver, receiver.after, "slow", WORDS["slow"])

    def _fly(self, receiver: Receiver, last: int, records: Sequence[EventRecord], words: Sequence[bytes], whom: Sequence[int]) -> None:
        """Raises `Unavailable`."""
        try:
            outgoing = self.mail(receiver, receiver.addressed, last, records, words)
        except NoCard as failure:
            receiver.waiting = Waiting(list(records))
            self.want_card(receiver.name)
            self.receivers.cannot(receiver, receiver.addressed, "no_card", failure.detail)
            return
        self.receivers.flying[receiver.name] = receiver
        self.publish(receiver, receiver.addressed, last, outgoing, whom)

    def publish(self, receiver: Receiver, after: int, last: int, outgoing: Outgoing, whom: Sequence[int]) -> None:
        """Put the mail above `after` and up to `last` on its way. Raises `Unavailable`."""
        flight = self.broker.publish([outgoing])
        receiver.flight, receiver.after, receiver.sending, receiver.looks = flight, after, last, 0
        flight.add_done_callback(partial(self._settled, receiver, whom))

    def _settled(self, receiver: Receiver, whom: Sequence[int], flight: "Future[None]") -> None:
        """The broker has one receiver's mail, or never will."""
        if self.over:
            return
        receiver.flight = None
        self.landings += 1
        error = None if flight.cancelled() else flight.exception()
        if error is None and not flight.cancelled():
            self._arrived(receiver, whom)
        elif isinstance(error, NotTaken):
            why: Why = "missing" if isinstance(error, Unroutable) else "refused"
            self.receivers.cannot(receiver, receiver.after, why, error.detail)
        elif receiver.behind is not None:
            self.receivers.settled_late(receiver, arrived=False)
        elif receiver.after < receiver.addressed:  # the last of what was sent again: its row has passed it
            self.receivers.cannot(receiver, receiver.after, "lacks", WORDS["lacks"])
        else:
            self.fail(error if isinstance(error, Unavailable) else Unavailable(f"The broker: {type(error).__name__}"))

    def _arrived(self, receiver: Receiver, whom: Sequence[int]) -> None:
        """The broker has one receiver's mail."""
        name, waiting = receiver.name, receiver.waiting
        if whom:
            self.words.told(name, whom)
        if receiver.behind is not None:
            self.receivers.settled_late(receiver, arrived=True)
            return
        receiver.addressed = max(receiver.addressed, receiver.sending)
        positions = {receiver.row: receiver.addressed}
        if receiver.held:
            positions[taken(name)] = receiver.addressed
        if not waiting.records:
            self.receivers.flying.pop(name, None)
        else:
            receiver.first = waiting.records[0].position
            if self.failure is None:
                receiver.waiting = Waiting()
                try:
                    self._fly(receiver, waiting.records[-1].position, waiting.records, waiting.words, waiting.whom)
                except Unavailable as error:
                    self.fail(error)
        self.landed(positions)

    def fail(self, failure: Unavailable) -> None:
        """The broker takes nothing at the moment: `rewind` follows."""
        self.failure = failure
        self.stumbled()

    async def rewind(self) -> None:
        """Wait for what is on its way, and begin again behind what is confirmed. Whoever lacks a confirm for long falls behind."""
        self.failure = self.failure or Unavailable("The mail is sent again.")
        flying = self.receivers.flying
        if flights := [receiver.flight for receiver in flying.values() if receiver.flight is not None]:
            await asyncio.wait(flights, timeout=LOOKS * self.config.late_look_s)
            await asyncio.sleep(0)  # each is settled in its callback
        self.follower.given = self.follower.position
        for receiver in list(flying.values()):
            if receiver.flight is not None:
                self.receivers.cannot(receiver, receiver.after, "slow", WORDS["slow"])
            else:
                del flying[receiver.name]
                receiver.waiting = Waiting()
        self.failure = None

    async def look_for_late(self) -> None:
        """Now and then: who lacks a confirm for long, while others get theirs, falls behind."""
        while True:
            await asyncio.sleep(self.config.late_look_s)
            for receiver in list(self.receivers.flying.values()):
                receiver.looks += 1
                if receiver.looks == 1:
                    receiver.landings = self.landings
                elif receiver.looks > LOOKS and self.landings > receiver.landings:
                    self.receivers.cannot(receiver, receiver.after, "slow", WORDS["slow"])

    def open_from(self) -> int:
        """Everything below this position is confirmed, or some receiver's row says that it is sent again."""
        flying, end = self.receivers.flying, self.follower.given + 1
        return min(end, *[receiver.first for receiver in flying.values()]) if flying else end

    @property
    def starting(self) -> bool:
        """Mail needs nothing but the broker."""
        return False

    @property
    def behind(self) -> bool:
        """Whoever is behind is somebody else's: `servers/messaging/mail_again.py`."""
        return False

    async def send_again(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def mail(
        self, receiver: Receiver, previous: int, last: int, records: Sequence[EventRecord], words: Sequence[bytes], again: bool = False
    ) -> Outgoing:
        """The mail above `previous` and up to `last`. Raises `NoCard`."""
        server = receiver.name
        ready, committed = self.trust.boxes.ready(server, PURPOSE), self.committed(server)
        topics = [records[0].topic] if len(records) == 1 else sorted({record.topic for record in records})
        head = mail.encode_head(Head(self.server, server, self.store.life, ready.life, previous, last, again, topics))
        box = ready.close(head, mail.encode_body(Body(records, ready.life, committed, words)))
        stranger = not receiver.confirmed  # our card lets it open the first mail without a question
        return Outgoing(topology.HOMES, server, mail.encode(head, box, self.trust.card if stranger else b""), mandatory=True)
