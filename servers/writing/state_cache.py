"""The states that the writer decides with, by stream. Rule: the store has them all; between two batches the cache may forget any."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from domain.aggregate import Snapshotable, State
from domain.event import Event
from domain.rules.rules import Command
from runtime.bounds import Bound, Holding
from servers.store.event_store import Store
from servers.writing.config import WriterConfig
from servers.writing.snapshots import Snapshots

STATES = Bound(
    name="states",
    holds="states of users and mailboxes, with which the writer decides",
    filled_by="users",
    past="the state that was unused longest is loaded again",
    within=("StateCache", "StateCache.loaded"),
    entries=WriterConfig().max_states,
    each=20_000,
)


class StateCache(OrderedDict[str, State]):
    """States in the order of their last use. Of the configuration: how many stay in memory between two batches, and how much is read in
    one visit to the store."""

    def __init__(self, store: Store, config: WriterConfig) -> None:
        super().__init__()
        self._store = store
        self._config = config
        self._snapshots = Snapshots(store)
        self.pushed_out = 0  # states that made room for others
        self.dropped = 0  # states that were forgotten, because somebody left of whom they held something
        self.loaded: list[str] = []  # the streams that were loaded for the present batch

    async def load(self, stream: str, commands: Iterable[Command]) -> bool:
        """Load the state of `stream` and, in the same visit to the store, what these commands need, in their order. True when that would
        be too much for one visit: then the last ones are still absent. Raises `Unavailable`."""
        streams = list(dict.fromkeys([stream, *(needed for command in commands if (needed := command.stream) not in self)]))
        states = await self._store.run(self._store.load_all, streams, self._config.max_load_bytes)
        self.loaded += streams[: len(states)]
        self.update(zip(streams, states, strict=False))
        return len(states) < len(streams)

    def tidy(self) -> None:
        """After a batch that has loaded states: forget the states of empty streams, and the least recently used past the bound.

        Another process on the same store may begin an empty stream, and this one would not hear of it.
        """
        for stream in self.loaded:
            state = self.get(stream)
            if state is not None and state.version == 0:
                del self[stream]
        self.loaded.clear()
        while len(self) > self._config.max_states:
            self.popitem(last=False)
            self.pushed_out += 1

    def holdings(self) -> Iterator[Holding]:
        """The states, and the snapshots of them that wait."""
        yield replace(STATES, entries=self._config.max_states).holding(len(self), refused=self.pushed_out)
        yield from self._snapshots.holdings()

    def forget(self, events: Iterable[Event]) -> None:
        """Forget every state that one of these events has changed."""
        for event in events:
            self.pop(event.originator_id, None)

    def drop(self, streams: Iterable[str]) -> None:
        """Forget the states of these streams, of those that are here."""
        for stream in streams:
            if self.pop(stream, None) is not None:
                self.dropped += 1

    def snapshot(self, streams: Iterable[str]) -> None:
        """Have the present states of these streams stored, which hold nothing but what is committed, beside the commits that follow."""
        for stream in streams:
            if isinstance(state := self.get(stream), Snapshotable):
                self._snapshots.ask(state)

    async def stop(self) -> None:
        """Store the snapshots that were asked for."""
        await self._snapshots.stop()
