"""The states that the writer decides with, by stream. Rule: the store has them all; between two batches the cache may forget any."""

from collections import OrderedDict
from collections.abc import Iterable

import structlog

from domain.aggregate import Snapshotable, State
from domain.event import Event
from domain.rules.rules import Command
from servers.store.event_store import Store

log = structlog.get_logger()


class StateCache(OrderedDict[str, State]):
    """States in the order of their last use. `max_states`: how many stay in memory between two batches."""

    def __init__(self, store: Store, max_states: int) -> None:
        super().__init__()
        self._store = store
        self._max_states = max_states
        self.dropped = 0  # states that were forgotten, because somebody left of whom they held something
        self.loaded: list[str] = []  # the streams that were loaded for the present batch

    async def load(self, stream: str, commands: Iterable[Command]) -> None:
        """Load the state of `stream` and, in the same visit to the store, all that these commands need. Raises `Unavailable`."""
        streams = list({stream} | {needed for command in commands if (needed := command.stream) not in self})
        self.loaded += streams
        self.update(zip(streams, await self._store.run(self._store.load_all, streams), strict=True))

    def tidy(self) -> None:
        """After a batch that has loaded states: forget the states of empty streams, and the least recently used past the bound.

        Another process on the same store may begin an empty stream, and this one would not hear of it.
        """
        for stream in self.loaded:
            state = self.get(stream)
            if state is not None and state.version == 0:
                del self[stream]
        self.loaded.clear()
        while len(self) > self._max_states:
            self.popitem(last=False)

    def forget(self, events: Iterable[Event]) -> None:
        """Forget every state that one of these events has changed."""
        for event in events:
            self.pop(event.originator_id, None)

    def drop(self, streams: Iterable[str]) -> None:
        """Forget the states of these streams, of those that are here."""
        for stream in streams:
            if self.pop(stream, None) is not None:
                self.dropped += 1

    async def snapshot(self, streams: Iterable[str]) -> None:
        """Store the present states of these streams. A failure is harmless, because a later load then folds more events."""
        due = [(s, state.version, state.to_snapshot()) for s in streams if isinstance(state := self.get(s), Snapshotable)]
        try:
            await self._store.run(self._store.snapshot, due)
        except Exception as error:  # whatever it is, the writer must go on
            log.warning("writer.snapshot_failed", error=type(error).__name__)
