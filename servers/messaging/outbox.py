"""What a server tells the broker about its log. Rule: everything it has promised somebody goes at once, history in larger portions.

Two lanes over the same log, each with its own stored position: events for other homes and the presence feed, for which people wait; and
the history, for which nobody does. The history gets the stored bytes, another home a letter that it can open (`Store.letter`).
Cost per commit: one message per home addressed; per 50 ms: one history message.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from broker import envelope, topology
from broker.envelope import EventRecord
from broker.port import Broker, Outgoing
from domain.events.home import PresenceEvent
from servers.messaging.outbox_publisher import OutboxPublisher
from servers.messaging.recent_commits import weight
from servers.store.event_store import Committed, Store
from servers.store.positions import RELAY
from servers.writing.writer import Writer

HISTORY_LINGER_S = 0.05  # an audit that is a twentieth of a second behind is live; a busy home then publishes hundreds of events at once


class Outbox:
    """Publishes one server's log. `addresses`: the homes that an event is for, by its class; `feed`: what integrators hear of it."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        broker: Broker,
        server: str,
        addresses: Mapping[type, Callable[[Any], Iterable[str]]],
        feed: Callable[[Committed], Sequence[Outgoing]],
    ) -> None:
        self._store = store
        self._server = server
        self._addresses = addresses
        self._feed = feed
        self.lanes = (
            OutboxPublisher(store, writer, broker, RELAY, self._prompt),
            OutboxPublisher(store, writer, broker, f"{RELAY}-history", self._history, HISTORY_LINGER_S),
        )

    async def start(self) -> None:
        """Go on where the last run stopped."""
        for lane in self.lanes:
            await lane.start()

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Publish what is left if the broker takes it in time; what it does not is published at the next start."""
        await asyncio.gather(*(lane.stop(timeout_s) for lane in self.lanes))

    @property
    def position(self) -> int:
        """Everything up to here is published."""
        return min(lane.position for lane in self.lanes)

    @property
    def lag(self) -> int:
        """How many positions are committed but not yet published."""
        return max(lane.lag for lane in self.lanes)

    def offer(self, committed: Sequence[Committed]) -> None:
        """Take over a fresh commit."""
        size = weight(committed)
        for lane in self.lanes:
            lane.offer(committed, size)

    def _prompt(self, batch: Sequence[Committed]) -> list[Outgoing]:
        inboxes: dict[str, list[EventRecord]] = {}
        feed: list[Outgoing] = []
        addresses, server = self._addresses, self._server
        for committed in batch:
            event = committed.event
            find = addresses.get(type(event))
            if find is None or event.PRIVATE:
                continue
            homes = [home for home in find(event) if home != server]
            if homes:
                letter = self._store.letter(event, committed.record)
                for home in homes:
                    inboxes.setdefault(home, []).append(letter)
            if isinstance(event, PresenceEvent):
                feed.extend(self._feed(committed))
        mail = [Outgoing(topology.HOMES, home, envelope.encode(self._server, records), mandatory=True) for home, records in inboxes.items()]
        return mail + feed

    def _history(self, batch: Sequence[Committed]) -> list[Outgoing]:
        records = [record for _, event, record in batch if not event.PRIVATE]
        if not records:
            return []
        return [Outgoing(topology.EVENTS, f"{self._server}.{len(records)}", envelope.encode(self._server, records))]
