"""One home's store, writer, outbox and inbox on a real embedded broker, nothing else. Rule: it can die at any step and start again."""

import asyncio
import time

import msgspec

from broker.embedded.broker import EmbeddedBroker
from domain.event import Event
from domain.rules.home import RECIPIENTS, rules_for
from domain.rules.sources import people
from runtime.ids import new_id
from servers.messaging.belief import Belief
from servers.messaging.cards import Cards, CardsConfig
from servers.messaging.heartbeats import HeartbeatConfig, PeerMonitor
from servers.messaging.inbox import Inbox
from servers.messaging.inbox_parts import InboxConfig, MailListener
from servers.messaging.mail_check import MailCheck, MailCheckConfig
from servers.messaging.outbox import Outbox
from servers.messaging.outbox_parts import OutboxConfig
from servers.messaging.private_questions import PrivateAnswers, PrivateRequests
from servers.messaging.questions import AskCard, MailQuestion, home_key
from servers.messaging.words_to_tell import WordsToTell
from servers.trust.user_words import UserWords, user_word
from servers.writing.writer import Writer
from tests.servers.fragile import FragileStore
from tests.servers.mailboxes import waiting
from tests.servers.members import REGISTRY, certified

NOW = 1_700_000_000.0
QUICK_OUTBOX = OutboxConfig(first_retry_s=0.01, longest_retry_s=0.05)  # who waits for the broker or for a store tries again soon
QUICK_INBOX = InboxConfig(retry_s=0.01, empty_after_s=0.02)
QUICK_CHECK = MailCheckConfig(look_s=0.05)


PEOPLE = {1: ("ann", "h1"), 2: ("bob", "h2"), 3: ("carol", "h3"), 7: ("gus", "nowhere")}


class Server:
    """One home without sessions."""

    def __init__(
        self,
        store_url,
        name,
        broker: EmbeddedBroker,
        old_mail_key: bytes | None = None,
        outbox=QUICK_OUTBOX,
        inbox=QUICK_INBOX,
        check=QUICK_CHECK,
    ):
        """`old_mail_key`: of mail of version 1; None: it never had one."""
        self.name = name
        self.rules = rules_for(name)
        self.store = FragileStore(store_url(name), name, self.rules)
        if old_mail_key is not None:
            self.store.keys.table.add({-1: old_mail_key})
            self.store.close()
            self.store = FragileStore(store_url(name), name, self.rules)
        self.store.begin_life(NOW)
        self.trust = certified(name, self.store.keys.table, self.store.life)
        self.cards = Cards(broker, self.trust, time.monotonic, config=CardsConfig(retry_s=0.02))
        self.words = UserWords(self.store.keys.table, lambda: REGISTRY.public)
        self.writer = Writer(self.store, lambda: NOW, [lambda batch: self.outbox.offer(batch)])
        self.outbox = Outbox(
            self.store, self.writer, broker, name, RECIPIENTS, lambda committed: (), outbox, trust=self.trust, want_card=self.cards.want,
            words=WordsToTell(people, self.words_of, self.lives_here), committed=lambda source: self.inbox.dedup.position(source),
        )  # fmt: skip
        self.heard: list[Event] = []
        self.broker = broker
        self.asked_anew: list[str] = []
        self.doubted: list[str] = []  # who says that it has come further in our log than the log reaches
        self.inbox = Inbox(
            self.store, self.writer, broker, name, self.react, lambda event, source: self.hear(event), inbox, trust=self.trust,
            belief=Belief(name, self.words, self.lives_here),
            listener=MailListener(
                told=self.outbox.receivers.confirm, card=self.cards.learn,
                unopened=lambda source, why: self.mail_check.unopened(source, why),
                missing=lambda source: self.mail_check.missing(source), came_before=lambda source: self.mail_check.came_before(source),
                sent_again=self.asked_anew.append,
            ),
        )  # fmt: skip
        self.older_end = 0  # where the log would end if its file were replaced by an older copy
        self.peers = PeerMonitor(broker, self.trust, new_id(), time.monotonic, lambda peer: self.mail_check.met(peer), lambda peer: None,
                                 self.cards.want, HeartbeatConfig(beat_s=0.02, down_after_s=5.0))  # fmt: skip
        self.answers = PrivateAnswers(self.trust, self.answer, self.show_card, self.cards.learn, self.cards.want)
        requests = PrivateRequests(broker, self.trust, self.cards.want, self.cards.learn)
        self.mail_check = MailCheck(name, requests, self.outbox.receivers, self.inbox, self.peers, self.cards,
                                    lambda: (self.store.life, self.older_end or self.outbox.recent.last), self.end_in_store,
                                    lambda who, position: self.doubted.append(who), check)  # fmt: skip

    async def end_in_store(self):
        """Where the log ends."""
        return self.older_end or await self.store.run(self.store.last_position)

    def lives_here(self, uid):
        return PEOPLE.get(uid, ("", ""))[1] == self.name

    async def words_of(self, uids):
        """What the Global Server says of them."""
        return {uid: user_word(REGISTRY, uid, *PEOPLE[uid]) for uid in uids if uid in PEOPLE}

    def react(self, event, source):
        return self.rules.react(event, source)

    def hear(self, event):
        self.heard.append(event)

    async def start(self):
        self.writer.start()
        await self.broker.declare_inbox(self.name)
        await self.outbox.start()
        await self.broker.serve(home_key(self.name), self.answers.answer)
        self.cards.start()
        await self.inbox.start()
        await self.peers.start()
        self.mail_check.start()
        return self

    async def answer(self, source, body):
        return msgspec.msgpack.encode(await self.mail_check.answer(source, msgspec.msgpack.decode(body, type=MailQuestion)))

    async def show_card(self, body):
        return msgspec.msgpack.encode(self.cards.shown(msgspec.msgpack.decode(body, type=AskCard)))

    async def dies(self):
        """Every task is cancelled where it stands; nothing is finished or saved."""
        await self.mail_check.stop()
        await self.cards.stop()
        await self.peers.stop()
        await self.outbox.kill()
        await self.writer.task.stop()
        await self.inbox.stop()
        await asyncio.to_thread(self.store.close)

    async def stop(self):
        await self.mail_check.stop()
        await self.cards.stop()
        await self.peers.stop()
        await self.inbox.stop()
        await self.outbox.stop()
        await self.writer.stop()
        await asyncio.to_thread(self.store.close)

    def mailbox(self, uid):
        return [(e.id, e.text) for e in waiting(self.store, uid)]
