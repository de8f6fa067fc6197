"""A store and a broker that fail when told to. Rule: what fails is said in a public attribute, and nothing of the program is patched."""

import asyncio
import threading

from broker.embedded.broker import EmbeddedBroker
from broker.topology import HOMES
from domain.errors import Unavailable
from servers.store.event_store import Store


class FragileStore(Store):
    """Fails with what its lists hold, one after the other. `lost_answers`: so many commits happen, and nobody hears of it;
    `snapshots_go_on`: while it is not set, no snapshot gets done; `reader_goes_on`: while it is not set, the reader's thread has read a
    state and does not say so."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.put_failures: list[Exception] = []
        self.load_failures: list[Exception] = []
        self.read_failures: list[Exception] = []
        self.snapshot_failures: list[Exception] = []
        self.keys_to_lose: list[int] = []  # one each time that keys were fetched
        self.lost_answers = 0
        self.snapshots_go_on = threading.Event()
        self.snapshots_go_on.set()
        self.reader_goes_on = threading.Event()
        self.reader_goes_on.set()
        self.load_failures_of_reader: list[Exception] = []
        self.visit, self.run = self.run, self.visit_or_lose

    def put(self, events, stored, trackings=()):
        if self.put_failures:
            raise self.put_failures.pop(0)
        committed = super().put(events, stored, trackings)
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unavailable("the connection broke")
        return committed

    def load_all(self, streams, max_bytes):
        if self.load_failures:
            raise self.load_failures.pop(0)
        return super().load_all(streams, max_bytes)

    def loaded(self, stream):
        loaded = super().loaded(stream)
        if threading.current_thread().name.startswith("reader"):
            self.reader_goes_on.wait()
            if self.load_failures_of_reader:
                raise self.load_failures_of_reader.pop(0)
        return loaded

    def read(self, after, limit):
        if self.read_failures:
            raise self.read_failures.pop(0)
        return super().read(after, limit)

    def packed_snapshot(self, state):
        self.snapshots_go_on.wait()
        return super().packed_snapshot(state)

    def put_snapshot(self, stream, version, packed):
        if self.snapshot_failures:
            raise self.snapshot_failures[0]
        super().put_snapshot(stream, version, packed)

    def visit_or_lose(self, function, *args):
        if function == self.keys.make and self.keys_to_lose:
            return self.visit(self.make_and_lose, *args)
        return self.visit(function, *args)

    def make_and_lose(self, owners):
        self.keys.make(owners)
        self.keys.forget(self.keys_to_lose.pop())


class FragileBroker(EmbeddedBroker):
    """A real one, embedded. `away`: it takes no publication; `refuses`: the exchanges that take none; `forgets`: the servers whose mail it
    takes and loses; `confirms`: while it is not set, publishers do not hear that it has what they published."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.away = False
        self.refuses: set[str] = set()
        self.forgets: set[str] = set()
        self.forgotten = 0
        self.refused = asyncio.Event()
        self.confirms = asyncio.Event()
        self.confirms.set()

    def publish(self, outgoing):
        if self.away:
            self.refused.set()
            raise Unavailable("away")
        for message in outgoing:
            if message.exchange in self.refuses:
                raise Unavailable(f"nobody takes {message.exchange}")
        kept = [message for message in outgoing if message.exchange != HOMES or message.key not in self.forgets]
        self.forgotten += len(outgoing) - len(kept)
        return asyncio.ensure_future(self._confirmed(super().publish(kept)))

    async def _confirmed(self, published):
        await published
        await self.confirms.wait()
