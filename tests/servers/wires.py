"""One home's store, writer, relay and inbox on a real embedded broker, and nothing else. Rule: it can die at any step and be made again."""

import asyncio

from broker.embedded.broker import EmbeddedBroker
from domain.event import Event
from domain.rules import home as rules
from domain.rules.rules import Rules
from servers.messaging.inbox import Inbox
from servers.messaging.outbox import Outbox
from servers.store.event_store import Store
from servers.writing.writer import Writer

NOW = 1_700_000_000.0


class Server:
    """Store, writer, relay and inbox of one home, and nothing else."""

    def __init__(self, store_url, name, broker: EmbeddedBroker, mail_key: bytes | None = b"k" * 32):
        """`mail_key`: as the Global Server would tell it; None: it has not yet."""
        self.name = name
        catalogue = Rules(rules.STATES, rules.FOLDS, rules.DECIDERS, rules.reactions(name))
        self.store = Store(store_url(name), name, catalogue)
        if mail_key is not None:
            self.store.learn_mail_key(-1, mail_key)
        self.writer = Writer(self.store, lambda: NOW, lambda batch: self.relay.offer(batch))
        self.relay = Outbox(self.store, self.writer, broker, name, rules.RECIPIENTS, lambda committed: ())
        self.heard: list[Event] = []
        self.broker = broker
        self.inbox = Inbox(self.store, self.writer, broker, name, self.react, lambda event, source: self.hear(event))

    def react(self, event, source):
        return rules.react(event, source, self.name)

    def hear(self, event):
        self.heard.append(event)

    async def start(self):
        self.writer.start()
        await self.broker.declare_inbox(self.name)
        await self.relay.start()
        await self.inbox.start()
        return self

    async def dies(self):
        """Every task is cancelled where it stands; nothing is finished or saved."""
        for tasks in (*(publisher.tasks for publisher in self.relay.lanes), self.inbox.task, self.writer.task):
            await tasks.stop()
        await self.inbox._consumer.cancel()
        await asyncio.to_thread(self.store.close)

    async def stop(self):
        await self.inbox.stop()
        await self.relay.stop()
        await self.writer.stop()
        await asyncio.to_thread(self.store.close)

    def mailbox(self, uid):
        return [(e.id, e.text) for e in self.store.load(f"mailbox-{uid}").waiting.values()]
