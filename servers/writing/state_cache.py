"""The states that the writer decides with, by stream. Rule: the store has them all; between two batches the cache may forget any.

What stays in memory is bounded by what the states weigh. A commit adds the bytes that it has stored and one entry for each event, 0.3 µs an
event. That is too much where events take something away, as most events of a mailbox do: so a state is counted anew when it seems to have
doubled.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from domain.aggregate import Snapshotable, State
from domain.event import Event
from domain.rules.rules import Command
from runtime.bounds import Bound, Holding
from servers.store.event_store import Committed, Loaded, Store
from servers.writing.config import WriterConfig
from servers.writing.snapshots import Snapshots, Stored
from servers.writing.weights import PER_ENTRY, PER_STATE, weighed

RECOUNTED = 4_000  # a small state is counted anew only after so much more, some ten events: counting takes 3 µs at the least
STATES = Bound(
    name="states",
    holds="states of users, mailboxes and accounts, with which the writer decides, weighed by what they hold",
    filled_by="users",
    past="the state that was unused longest is loaded again",
    within=("StateCache", "StateCache.loaded", "StateCache._weights"),
    entries=WriterConfig().max_state_bytes // PER_STATE,
    bytes=WriterConfig().max_state_bytes,
    cache=True,
)


@dataclass(slots=True)
class Weight:
    """What a state weighs; it is counted anew past `recount`. A snapshot is due once there are more than `due` bytes of events since the
    last one, or at `due_version`."""

    size: int
    recount: int
    since: int
    due: int
    due_version: int


def _twice(counted: int) -> int:
    return counted + max(counted, RECOUNTED)


class StateCache(OrderedDict[str, State]):
    """States in the order of their last use. Of the configuration: how much stays in memory between two batches, and how much is read in
    one visit to the store."""

    def __init__(self, store: Store, config: WriterConfig) -> None:
        super().__init__()
        self._store = store
        self._config = config
        self._weights: dict[str, Weight] = {}
        self._warming: dict[str, asyncio.Future[Loaded]] = {}
        self.snapshots = Snapshots(store, self._stored)
        self.size = 0  # about the bytes that all states take
        self.asked = 0  # states that commands wanted
        self.missed = 0  # of these, states that had to be loaded
        self.warmed = 0  # states that were loaded before a command wanted them
        self.forgotten = 0  # states that had to make room
        self.dropped = 0  # states that were forgotten, because somebody left of whom they held something
        self.loaded: list[str] = []  # the streams that were loaded for the present batch

    async def load(self, stream: str, commands: Iterable[Command]) -> bool:
        """Load the state of `stream` and, in the same visit to the store, what these commands need, in their order. True when that would
        be too much for one visit: then the last ones are still absent. Raises `Unavailable`."""
        streams = list(dict.fromkeys([stream, *(needed for command in commands if (needed := command.stream) not in self)]))
        states = await self._store.run(self._store.load_all, streams, self._config.max_load_bytes)
        for name, loaded in zip(streams, states, strict=False):
            self._take(name, loaded)
        self.missed += len(states)
        return len(states) < len(streams)

    async def warm(self, stream: str) -> None:
        """Load a state that is known to be large in the reader's thread, unless it is here, so that no commit waits for it. Whoever asks
        for the same one waits for the same load. Where it fails, the commit that needs the state loads it."""
        if stream in self:
            return
        loading = self._warming.get(stream)
        if loading is None:
            loading = self._warming[stream] = self._store.run_reader(self._store.loaded, stream)
            loading.add_done_callback(partial(self._warmed, stream))
        await asyncio.wait((loading,))

    def _warmed(self, stream: str, loading: "asyncio.Future[Loaded]") -> None:
        if self._warming.get(stream) is loading:  # else a commit has loaded it meanwhile, and may have changed it
            del self._warming[stream]
            if loading.exception() is None and loading.result().state.version:
                self._take(stream, loading.result())
                self.warmed += 1

    def _take(self, stream: str, loaded: Loaded) -> None:
        state, snapshot_size, events, since = loaded
        self.let_go(stream)
        self[stream] = state
        self.loaded.append(stream)
        size = weighed(state)
        self.size += size
        weight = self._weights[stream] = Weight(size, _twice(size), since, -1, 0)
        if snapshot_size is not None:
            self._next_due(weight, snapshot_size, state.version - events)
        if since > weight.due or events > self._config.snapshot_events:  # an earlier one failed, or is of an earlier version
            self._snapshot(stream, weight)

    def grow(self, committed: Sequence[Committed]) -> list[str]:
        """Weigh what was committed. Returns the streams whose snapshots are due."""
        weights, due, added = self._weights, [], 0
        for _, _, record in committed:
            weight = weights.get(record.stream)
            if weight is not None:  # a state that is not here was forgotten, because its commit had an unknown result
                size = len(record.data)
                weight.since += size
                size += PER_ENTRY
                weight.size += size
                added += size
                if weight.size > weight.recount:
                    self._weigh(weight, weighed(self[record.stream]))
                if weight.since > weight.due or record.version >= weight.due_version:
                    due.append(record.stream)
        self.size += added
        return due

    def snapshot(self, streams: Iterable[str]) -> None:
        """Have the present states of these streams stored, which hold nothing but what is committed, beside the commits that follow."""
        for stream in dict.fromkeys(streams):
            weight = self._weights.get(stream)
            if weight is not None:
                self._snapshot(stream, weight)

    def _snapshot(self, stream: str, weight: Weight) -> None:
        state = self[stream]
        if isinstance(state, Snapshotable) and self.snapshots.ask(state, weight.size, weight.since):
            self._next_due(weight, weight.since + self._config.snapshot_bytes, state.version)  # the next try, should this one fail

    def _next_due(self, weight: Weight, size: int, version: int) -> None:
        weight.due = max(size, self._config.snapshot_bytes)
        weight.due_version = version + self._config.snapshot_events

    def _stored(self, stream: str, stored: Stored) -> None:
        """A snapshot is on disk: now the state weighs what it was counted to weigh, and what came since."""
        weight = self._weights.get(stream)
        if weight is not None:
            _, size, since = stored.due
            weight.since = max(weight.since - since, 0)
            self._weigh(weight, stored.weighs, max(weight.size - size, 0))
            self._next_due(weight, stored.bytes, stored.version)

    def _weigh(self, weight: Weight, counted: int, more: int = 0) -> None:
        self.size += counted + more - weight.size
        weight.size, weight.recount = counted + more, _twice(counted)

    @property
    def overweight(self) -> bool:
        """Whether something has to make room."""
        return self.size > self._config.max_state_bytes

    def tidy(self) -> None:
        """After a batch: forget the states of empty streams, and the least recently used past the bound.

        Another process on the same store may begin an empty stream, and this one would not hear of it.
        """
        for stream in self.loaded:
            state = self.get(stream)
            if state is not None and state.version == 0:
                self.let_go(stream)
        self.loaded.clear()
        while self and self.overweight:
            self._make_room(next(iter(self)))

    def _make_room(self, stream: str) -> None:
        """Forget a state. One with many events since its snapshot leaves a new one behind, because they would have to be folded when it is
        wanted again."""
        weight = self._weights[stream]
        if weight.since > max(self._config.leaving_bytes, weight.size // 4):
            self._snapshot(stream, weight)
        self.let_go(stream)
        self.forgotten += 1

    def holdings(self) -> Iterator[Holding]:
        """The states, and the snapshots of them that wait."""
        most = self._config.max_state_bytes
        yield replace(STATES, entries=most // PER_STATE, bytes=most).holding(len(self), self.size, refused=self.forgotten)
        yield from self.snapshots.holdings()

    def forget(self, events: Iterable[Event]) -> None:
        """Forget every state that one of these events has changed."""
        for event in events:
            self.let_go(event.originator_id)

    def clear(self) -> None:
        """Forget every state."""
        super().clear()
        self._weights.clear()
        self._warming.clear()
        self.size = 0

    def drop(self, streams: Iterable[str]) -> None:
        """Forget the states of these streams, of those that are here, and those of their snapshots that wait."""
        for stream in streams:
            self.dropped += stream in self
            self.let_go(stream)
            self.snapshots.forget(stream)

    def let_go(self, stream: str) -> None:
        """Forget the state of this stream, if it is here."""
        self._warming.pop(stream, None)
        weight = self._weights.pop(stream, None)
        if weight is not None:
            self.size -= weight.size
            del self[stream]

    def start(self) -> None:
        """Begin to clear away what earlier versions left."""
        self.snapshots.start()

    async def stop(self) -> None:
        """Store the snapshots that were asked for."""
        await self.snapshots.stop()
