"""What a server tells the broker about its log. Rule: everything it has promised somebody goes at once, history in larger portions.

Two lanes over the same log, each with its own stored position: events for other homes and the presence feed, for which people wait; and
the history, for which nobody does. The history gets the stored bytes, another home a letter that it can open (`Store.letter`).
Cost per commit: one message per home addressed; per 50 ms: one history message.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence

from broker import envelope, topology
from broker.envelope import EventRecord
from broker.port import Broker, Outgoing
from domain.event import Event
from domain.home_events import PresenceEvent
from servers.relay_lane import Lane
from servers.store import Committed, Store
from servers.trackings import RELAY
from servers.writer import Writer

HISTORY_LINGER_S = 0.05  # an audit that is a twentieth of a second behind is live; a busy home then publishes hundreds of events at once


class Relay:
    """Publishes one server's log. `address`: the homes that one of the `addressed` is for; `feed`: what integrators hear of it."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        broker: Broker,
        server: str,
        addressed: Collection[type],
        address: Callable[[Event], Iterable[str]],
        feed: Callable[[Committed], Sequence[Outgoing]],
    ) -> None:
        self._store = store
        self._server = server
        self._addressed = addressed
        self._address = address
        self._feed = feed
        self.lanes = (
            Lane(store, writer, broker, RELAY, self._prompt),
            Lane(store, writer, broker, f"{RELAY}-history", self._history, HISTORY_LINGER_S),
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
        for lane in self.lanes:
            lane.offer(committed)

    def _prompt(self, batch: Sequence[Committed]) -> list[Outgoing]:
        inboxes: dict[str, list[EventRecord]] = {}
        feed: list[Outgoing] = []
        for committed in batch:
            event = committed.event
            if type(event) not in self._addressed or event.PRIVATE:
                continue
            homes = [home for home in self._address(event) if home != self._server]
            if homes:
                data = self._store.letter(event, committed.data)
                letter = EventRecord(committed.position, event.originator_id, event.originator_version, event.TOPIC, event.at, data)
                for home in homes:
                    inboxes.setdefault(home, []).append(letter)
            if isinstance(event, PresenceEvent):
                feed.extend(self._feed(committed))
        mail = [Outgoing(topology.HOMES, home, envelope.encode(self._server, records), mandatory=True) for home, records in inboxes.items()]
        return mail + feed

    def _history(self, batch: Sequence[Committed]) -> list[Outgoing]:
        records = [
            EventRecord(position, event.originator_id, event.originator_version, event.TOPIC, event.at, data)
            for position, event, data in batch
            if not event.PRIVATE
        ]
        if not records:
            return []
        return [Outgoing(topology.EVENTS, f"{self._server}.{len(records)}", envelope.encode(self._server, records))]
