"""The transactional outbox: publishes committed events in the order of the log. Rule: mail to other homes and presence events go at once;
the history stream gets batches of 50 ms.

Two publishers follow the same log, each with its own stored position: "mail", for which people wait, and "history", for which nobody does.
The history gets the stored bytes, another home gets them as it can decrypt them (`Store.for_transit`).
Cost per commit: one message per home addressed; per 50 ms: one history message.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from broker import envelope, topology
from broker.envelope import EventRecord
from broker.port import Broker, Outgoing
from domain.events.home import PresenceEvent
from servers.messaging.outbox_publisher import OutboxConfig, OutboxPublisher
from servers.messaging.recent_commits import RecentCommits
from servers.store.event_store import Committed, Store
from servers.store.log.positions import RELAY
from servers.writing.writer import Writer


class Outbox:
    """Publishes one server's log. `recipients`: the homes that an event is for, by its class; `presence_events`: what integrators hear of a
    presence event, whose class must be among the recipients."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        broker: Broker,
        server: str,
        recipients: Mapping[type, Callable[[Any], Iterable[str]]],
        presence_events: Callable[[Committed], Sequence[Outgoing]],
        config: OutboxConfig | None = None,
    ) -> None:
        self._store = store
        self._server = server
        self._recipients = recipients
        self._presence_events = presence_events
        config = config or OutboxConfig()
        self.recent = recent = RecentCommits(config.max_events, config.max_bytes)
        self.offer = recent.offer  # the writer calls it with every commit
        self.mail = OutboxPublisher(store, writer, broker, RELAY, self._mail, recent.follow(recipients), 0.0, config)
        self.history = OutboxPublisher(
            store, writer, broker, f"{RELAY}-history", self._history, recent.follow(), config.history_linger_s, config
        )

    async def start(self) -> None:
        """Go on where the last run stopped."""
        self.recent.last = max(self.recent.last, await self._store.run(self._store.last_position))
        await self.mail.start()
        await self.history.start()

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Publish the rest if the broker takes it in time; what remains is published at the next start."""
        await asyncio.gather(self.mail.stop(timeout_s), self.history.stop(timeout_s))

    async def kill(self) -> None:
        """End at once, as in a crash: nothing more is published or stored."""
        await asyncio.gather(self.mail.kill(), self.history.kill())

    @property
    def position(self) -> int:
        """Everything up to here is published."""
        return min(self.mail.position, self.history.position)

    @property
    def lag(self) -> int:
        """How many positions are committed but not yet published."""
        return max(self.mail.lag, self.history.lag)

    @property
    def idle(self) -> bool:
        """Whether everything is published."""
        return self.lag <= 0

    def _mail(self, batch: Sequence[Committed]) -> list[Outgoing]:
        inboxes: dict[str, list[EventRecord]] = {}
        mail: list[Outgoing] = []
        feed: list[Outgoing] = []
        for committed in batch:
            event = committed.event
            find = self._recipients.get(type(event))
            if find is None or event.PRIVATE:
                continue
            record: EventRecord | None = None
            for home in find(event):
                if home != self._server:
                    record = record or self._store.for_transit(event, committed.record)
                    inboxes.setdefault(home, []).append(record)
            if isinstance(event, PresenceEvent):
                feed.extend(self._presence_events(committed))
        for home, records in inboxes.items():
            mail.append(Outgoing(topology.HOMES, home, envelope.encode(self._server, records), mandatory=True))
        return mail + feed

    def _history(self, batch: Sequence[Committed]) -> list[Outgoing]:
        records = [record for _, event, record in batch if not event.PRIVATE]
        if not records:
            return []
        return [Outgoing(topology.EVENTS, f"{self._server}.{len(records)}", envelope.encode(self._server, records))]
