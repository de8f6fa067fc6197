"""Publishes one server's log to the history. Rule: what was confirmed counts for the stream's era only; what an era lacks is published
again, behind the events of the moment. A stream that took nothing, and then takes something, was made anew: all of it is published again,
also while nobody can begin another era.

Cost for each batch of 50 ms: one message and one signature (some 60 µs, and 2 µs for each event). Cost of filling an era again: the log is
read in portions, one between two batches of the moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from broker import envelope, topology
from broker.port import Broker, Outgoing, Unroutable
from domain.errors import Unavailable
from servers.messaging.recent_commits import Follower, portion
from servers.store.event_store import Committed, Store
from servers.store.log.positions import RELAY
from servers.trust.publications import HistorySigner

NAME = f"{RELAY}-history"  # under it the store remembers how far the publisher has come
HELD = f"{NAME} "  # and an era: how far that era holds the log

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class HistorySender:
    """`signer`: None where nobody can prove or check anything, in tests of other things: then eras do not matter. `held`: everything up to
    here is in this era of the stream, and so is everything after `fresh`."""

    store: Store
    broker: Broker
    server: str
    follower: Follower
    signer: HistorySigner | None
    max_batch: int
    max_bytes: int
    failure: Unavailable | None = field(default=None, init=False)  # never: each batch is confirmed when it was sent
    era: int = field(default=0, init=False)  # 0: not known yet
    held: int = field(default=0, init=False)
    fresh: int = field(default=0, init=False)
    unroutable: int = field(default=0, init=False)  # publications that no stream took
    filled_again: int = field(default=0, init=False)  # events
    _missing: bool = field(default=False, init=False)  # the stream, at the last try
    _told: int = field(default=0, init=False)  # the last position that a publication of the moment covered
    _eras: dict[int, int] = field(default_factory=dict, init=False)  # how far each era holds the log, as it was at the start

    def load(self, stored: Mapping[str, int]) -> None:
        """Go on where the last run stopped, in the newest era of which it knew. `stored`: the positions whose names begin with `HELD`."""
        self._eras = {int(name.removeprefix(HELD)): position for name, position in stored.items() if name.removeprefix(HELD).isdecimal()}
        self._told = self.follower.position
        if self._eras:
            self._begin(max(self._eras))

    def era_is(self, era: int, past: bool) -> None:
        """The Global Server says in which era the stream is. `past`: the stream holds what was published before there were eras."""
        if era in (0, self.era):
            return
        if past and not self._eras:
            self._eras[era] = self.follower.position
        self._begin(era)
        log.info("history.era", server=self.server, era=era, held=self.held, position=self.follower.position)
        self.follower.arrived.set()

    def _begin(self, era: int) -> None:
        self.era = era
        self.held = self._eras.setdefault(era, 0)
        self.fresh = max(self.held, self.follower.position)
        self._told = self.follower.position

    @property
    def lag(self) -> int:
        """How many positions are committed that this era of the stream does not hold."""
        newest = self.follower.recent.last
        if self.signer is None:
            return self.follower.lag
        if not self.era:
            return newest
        return max(0, newest - max(self.follower.position, self.held)) + max(0, self.fresh - self.held)

    async def send(self, batch: Sequence[Committed]) -> dict[str, int]:
        """Publish these events, the next ones of the log. Returns the positions to be stored. Raises `Unavailable`."""
        era, last = self.era, batch[-1].position
        if self.starting:
            raise Unavailable("The era of the history is not known yet.")
        records = [record for _, event, record in batch if not event.PRIVATE]
        if records:
            await self._publish(era, self._told, last, records)
            self._told = last
            self._follow_on_a_loss(last)
        if self.signer is None:
            return {}
        if self.era != era:  # nobody knows which era of the stream got it
            self.fresh = max(self.fresh, last)
        elif self.held >= self.fresh:
            self.held = self.fresh = last
        return self._positions()

    def _follow_on_a_loss(self, last: int) -> None:
        """Something was published, up to `last`. Where the stream was missing before, it holds nothing else."""
        if self._missing:
            self._missing = False
            self.held, self.fresh = 0, max(self.fresh, last)
            log.warning("history.stream_came_back", server=self.server, era=self.era, position=last)

    def open_from(self) -> int:
        """Each batch is confirmed when it was sent."""
        return self.follower.given + 1

    async def rewind(self) -> None:
        """Nothing is under way."""

    @property
    def starting(self) -> bool:
        """Whether the Global Server has never said which era it is; after the first start the store knows one."""
        return self.signer is not None and not self.era

    @property
    def behind(self) -> bool:
        """Whether this era lacks something that was published in another one."""
        return self.era > 0 and self.held < self.fresh

    async def send_again(self) -> dict[str, int]:
        """Publish one portion of what this era lacks. Returns the positions to be stored. Raises `Unavailable`."""
        era, end = self.era, self.fresh
        read = await self.store.run_reader(self.store.read, self.held, self.max_batch)
        batch = portion((one for one in read if one.position <= end), self.max_batch, self.max_bytes)
        last = batch[-1].position if batch else end
        records = [record for _, event, record in batch if not event.PRIVATE]
        if records:
            await self._publish(era, self.held, last, records)
        if records and self._missing:
            self._follow_on_a_loss(end)
        elif self.era == era:
            self.filled_again += len(records)
            self.held = last
            if self.held >= self.fresh:
                self.held = self.fresh = max(last, self.follower.position)
                log.info("history.filled_again", server=self.server, era=era, position=self.held)
        return self._positions()

    def _positions(self) -> dict[str, int]:
        self._eras[self.era] = self.held
        return {f"{HELD}{self.era}": self.held}

    async def _publish(self, era: int, after: int, last: int, records: "list[envelope.EventRecord]") -> None:
        if self.signer is None:
            body = envelope.encode(self.server, records)
        else:
            store = self.store
            body = self.signer.publication(era, (store.life, store.former, store.agreed), after, last, records)
        try:
            await self.broker.publish([Outgoing(topology.EVENTS, f"{self.server}.{len(records)}", body, mandatory=True)])
        except Unroutable:
            self._missing = True
            self.unroutable += 1
            log.error("history.unroutable", server=self.server, stream=topology.HISTORY)
            raise
