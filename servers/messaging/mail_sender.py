"""Sends the mail of one server's log to other servers. Rule: each mail names the one before it to the same server; a server that cannot be
reached, or that lacks something, never holds up the mail for others.

Cost per commit: one mail for each server that it concerns, with one box each. Cost of sending again: the log is read in portions, between
the mail of the moment, for one receiver at a time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker import mail, topology
from broker.envelope import EventRecord
from broker.mail import PURPOSE, Body, Head
from broker.port import Broker, Outgoing, Unroutable
from domain.event import Event
from domain.events.home import PresenceEvent
from servers.messaging.receivers import Receivers
from servers.messaging.recent_commits import Follower, portion
from servers.messaging.words_to_tell import NOBODY, NoWord, WordsToTell
from servers.store.event_store import Committed, Store
from servers.trust.box import NoCard
from servers.trust.trust import Trust

Recipients = Mapping[type, Callable[[Any], Iterable[str]]]


@dataclass(slots=True, eq=False)
class MailSender:
    """`recipients`: the servers that an event is for, by its class; `presence_events`: what integrators hear of a presence event, whose
    class must be among the recipients; `committed`: how far this server has come in another's log; `overdue`: whether an event's time to
    live is over; `want_card`: learn the card of a server; `words`: of the users of whom mail tells."""

    store: Store
    broker: Broker
    server: str
    recipients: Recipients
    presence_events: Callable[[Committed], Sequence[Outgoing]]
    committed: Callable[[str], int]
    overdue: Callable[[Event], bool]
    trust: Trust
    want_card: Callable[[str], None]
    words: WordsToTell
    receivers: Receivers
    follower: Follower
    max_batch: int
    max_bytes: int

    async def send(self, batch: Sequence[Committed]) -> dict[str, int]:
        """Publish what these events, the next ones of the log, bring others. Returns the positions to be stored. Raises `Unavailable`."""
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
        receivers, before, outgoing = self.receivers, {}, []
        for server, records in inboxes.items():
            receiver = receivers.known.get(server) or receivers.of(server)
            before[server], last = receiver.addressed, records[-1].position
            if server not in receivers.behind:
                try:
                    fresh = await words.of(server, whom[server]) if server in whom else ()
                    outgoing.append(self._mail(server, receiver.addressed, last, records, fresh))
                    receiver.sending = last
                except (NoCard, NoWord) as failure:
                    self._not_yet(server, before, failure)
        if outgoing or feed:
            try:
                await self.broker.publish(outgoing + feed)
            except Unroutable as failure:
                receivers.unreachable(failure.keys & inboxes.keys(), before, failure.detail)
                if not failure.keys <= inboxes.keys():  # the presence log is missing: integrators would never hear of the change
                    raise
        positions = {}
        for server, records in inboxes.items():
            if server not in receivers.behind and server in whom:
                words.told(server, whom[server])
            receiver = receivers.known[server]
            if not receiver.addressed:  # what went to it before there were rows was read while the servers were upgraded
                receivers.settle(server, records[0].position - 1)
            receiver.addressed = positions[receiver.row] = records[-1].position
        return positions

    @property
    def starting(self) -> bool:
        """Mail needs nothing but the broker."""
        return False

    @property
    def behind(self) -> bool:
        """Whether something is to be sent again now."""
        return bool(self.receivers.behind) and self.receivers.next_due() is not None

    async def send_again(self) -> dict[str, int]:
        """Send one portion of the log to one server that lacks it. Returns the positions to be stored. Raises `Unavailable`."""
        server = self.receivers.next_due()
        if server is None:
            return {}
        receiver, end = self.receivers.of(server), self.follower.position
        read = await self.store.run_reader(self.store.read, receiver.scanned, self.max_batch) if receiver.scanned < end else []
        batch = portion((one for one in read if one.position <= end), self.max_batch, self.max_bytes)
        for_it = [one for one in batch if self._is_for(server, one) and not (one.position <= receiver.settled and self.overdue(one.event))]
        records = [self.store.codec.for_mail(one.event, one.record) for one in for_it]
        scanned = batch[-1].position if batch else max(end, receiver.scanned)
        done = scanned >= end
        if records or done:
            assert receiver.behind is not None
            try:
                whom = [uid for one in for_it for uid in self.words.concerned(one.event, server)]
                words = await self.words.of(server, whom, again=True)
                await self.broker.publish([self._mail(server, receiver.behind, scanned, records, words, again=done)])
            except (NoCard, NoWord) as failure:
                self._not_yet(server, {}, failure)
                return {}
            except Unroutable as failure:
                receiver.scanned = receiver.behind
                self.receivers.unreachable((server,), {}, failure.detail)
                return {}
            receiver.behind = scanned
        receiver.scanned = scanned
        if not done:
            return {}
        self.receivers.caught_up(server, scanned)
        return {receiver.row: receiver.addressed}

    def _is_for(self, server: str, committed: Committed) -> bool:
        """Whether an event is sent again to a server. Presence is not: who was watching is not in the log, and it has changed since."""
        event = committed.event
        find = self.recipients.get(type(event))
        return find is not None and not event.PRIVATE and not isinstance(event, PresenceEvent) and server in find(event)

    def _mail(
        self, server: str, previous: int, last: int, records: Sequence[EventRecord], words: Sequence[bytes], again: bool = False
    ) -> Outgoing:
        """Raises `NoCard`."""
        ready, committed = self.trust.boxes.ready(server, PURPOSE), self.committed(server)
        topics = [records[0].topic] if len(records) == 1 else sorted({record.topic for record in records})
        head = mail.encode_head(Head(self.server, server, self.store.life, ready.life, previous, last, again, topics))
        box = ready.close(head, mail.encode_body(Body(records, ready.life, committed, words)))
        stranger = not self.receivers.known[server].confirmed  # our card lets it open the first mail without a question
        return Outgoing(topology.HOMES, server, mail.encode(head, box, self.trust.card if stranger else b""), mandatory=True)

    def _not_yet(self, server: str, before: Mapping[str, int], failure: NoCard | NoWord) -> None:
        if isinstance(failure, NoCard):
            self.want_card(server)
        self.receivers.unreachable((server,), before, failure.detail)
