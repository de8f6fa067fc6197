"""A server's event store: one database, through the `eventsourcing` library. Rule: every method blocks; call it through `Store.run`.

Events are stored as msgpack maps of their fields without place, the personal ones encrypted (`servers/encryption/personal_fields.py`);
the same bytes travel in the broker's envelope to the history.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgpack
import msgspec
from eventsourcing.persistence import StoredEvent, Tracking, Transcoder
from msgspec.structs import force_setattr, replace

from broker.envelope import EventRecord
from domain.aggregate import Snapshotable, State
from domain.errors import Unavailable
from domain.event import Event, stored_fields
from domain.personal import owners
from domain.rules.rules import Rules
from runtime.worker import Worker
from servers.encryption.key_tables import open_keys
from servers.encryption.personal_fields import FieldCipher, KeysNeeded, SealedMapper, pack_dump, unpack_dump
from servers.store.databases import open_event_log
from servers.store.event_log import Row
from servers.store.lease import LeaseTable
from servers.store.positions import notes_of

SNAPSHOT_EVERY = 500  # events of a stream: a load then folds at most 500, about 5 ms
SNAPSHOT_FORMAT = 1  # raised when a state's dump changes shape; older snapshots are then ignored
MAX_FETCHES = 10  # of keys for one batch; a second one is needed only when another thread has just let go of a key
T = TypeVar("T")


class Committed(NamedTuple):
    """An event that is on disk: its position in the server's log, the event, and how it is stored and travels to the history."""

    position: int
    event: Event
    record: EventRecord


_encode = msgspec.msgpack.Encoder().encode  # a third of the cost of `msgpack`, which reads what others wrote, for it knows bounds


class MsgpackTranscoder(Transcoder):
    """Event fields as one msgpack map."""

    def encode(self, obj: Any) -> bytes:
        """Plain data -> bytes."""
        return _encode(obj)

    def decode(self, data: bytes) -> Any:
        """Bytes -> plain data."""
        return msgpack.unpackb(data, strict_map_key=False)


class Store:
    """Events, snapshots and tracking positions of one server."""

    def __init__(self, url: str, server: str, catalogue: Rules, keys_url: str = "") -> None:
        """`url`: `sqlite:///path` or `postgresql://user:password@host:port/database` (schema `flash_<server>`). `keys_url`: the same for
        the keys of personal data; a place of their own beside the events unless told otherwise (`servers/encryption/key_tables.py`).

        Raises `Unavailable` when the database cannot be reached, `ValueError` for another kind of URL.
        """
        self.catalogue = catalogue
        self._thread = Worker(f"store-{server}")  # commits and loads, one after the other
        self._reader = Worker(f"reader-{server}")  # catching up never delays a commit
        self.log = open_event_log(url, server)
        self.keys = open_keys(keys_url, url, server)
        self._sealer = FieldCipher(self.keys)
        self.mail_key = self.keys.mail_key()  # the number of the key for letters to other servers; 0 before it has arrived
        self.mapper = SealedMapper(MsgpackTranscoder(), self.keys)

    def lease(self) -> LeaseTable | None:
        """Where the lease of this server lies; None where no second process can reach the data."""
        return self.log.lease()

    def fence(self, epoch: int) -> None:
        """From now on every commit is made under the lease of this number, and fails when a newer one was given."""
        self.log.fence(epoch)

    def run(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """Call a blocking method in the store's own thread."""
        return self._thread.run(function, *args)

    def run_reader(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """Call a blocking read that may take long in the reader's thread."""
        return self._reader.run(function, *args)

    def pack(self, events: Sequence[Event]) -> list[EventRecord]:
        """The events as they will be stored, at positions that `put` fills in. The one method that does not block: it is called on the
        loop, so that the store's thread has nothing to do but SQLite's work, which needs no interpreter lock. Raises `KeysNeeded`: then
        `fetch_keys` first."""
        packed = []
        try:
            for event in events:
                kind = type(event)
                state, stream, version = _state(event)
                if kind.PERSONAL:
                    self._sealer.by_owner(state, kind, stream, version)
                packed.append(EventRecord(0, stream, version, kind.TOPIC, state["at"], _encode(state)))
        except KeysNeeded:
            raise KeysNeeded({owner for event in events for owner in owners(event)}) from None
        return packed

    async def packed(self, events: Sequence[Event]) -> list[EventRecord]:
        """What `pack` returns, after fetching missing keys in the store's thread. Raises `Unavailable`."""
        for _ in range(MAX_FETCHES):
            try:
                return self.pack(events)
            except KeysNeeded as needed:  # of users who are new, or who have not been here for long
                await self.run(self.fetch_keys, needed.owners)
        return self.pack(events)

    def fetch_keys(self, owners: Iterable[int]) -> None:
        """Have at hand, and durably stored, what `pack` needs. Raises `Unavailable`."""
        self.keys.make(owners)

    def letter(self, event: Event, record: EventRecord) -> EventRecord:
        """An event as it travels to another server: what was stored, but with its personal fields under the key of the mail, for that
        server has no key of ours. On the loop, as `pack`. Raises `Unavailable` before the mail's key has arrived."""
        if not event.PERSONAL:
            return record
        if not self.mail_key:
            raise Unavailable("The key of the mail between servers is not known here yet.")
        state, _, _ = _state(event)
        self._sealer.for_mail(state, event, self.mail_key)
        return replace(record, data=_encode(state))

    def put(self, events: Sequence[Event], packed: Sequence[EventRecord], trackings: Sequence[Tracking] = ()) -> list[Committed]:
        """Commit packed events and tracking positions in one transaction, fsynced. Raises `Conflicted`, `LeaseLost`, `Unavailable`;
        then nothing is stored."""
        rows = [(record.stream, record.version, record.topic, record.data) for record in packed]
        positions = self.log.append(rows, trackings)
        for position, record in zip(positions, packed, strict=True):
            force_setattr(record, "position", position)  # once, before anybody else sees it
        return [Committed(*row) for row in zip(positions, events, packed, strict=True)]

    def learn_mail_key(self, number: int, key: bytes) -> None:
        """Keep, and use from now on, the key that the Global Server told. Raises `Unavailable`, `ValueError`."""
        self.keys.learn_mail_key(number, key)
        self.mail_key = number

    def load(self, stream: str) -> State:
        """The state of a stream: its latest snapshot and what came after. Raises `Unavailable`."""
        state = self.catalogue.new_state(stream)
        if isinstance(state, Snapshotable) and (snapshot := self.log.newest_snapshot(stream)) is not None:
            version, packed = snapshot
            form, data = unpack_dump(packed, self.keys)
            if form == SNAPSHOT_FORMAT:
                state.from_snapshot(data)
                state.version = version
        for row in self.log.read_stream(stream, state.version):
            self.catalogue.evolve(state, self._event(row))
        return state

    def load_all(self, streams: Sequence[str]) -> list[State]:
        """The states of several streams, in one visit to the store's thread. Raises `Unavailable`."""
        return [self.load(stream) for stream in streams]

    def snapshot(self, snapshots: Sequence[tuple[str, int, Any]]) -> None:
        """Store `(stream, version, dump)`s. Failing is harmless: a later load folds more events. Raises `Unavailable`."""
        self.log.add_snapshots([(stream, version, pack_dump((SNAPSHOT_FORMAT, dump), self.keys)) for stream, version, dump in snapshots])

    def read(self, after: int, limit: int) -> list[Committed]:
        """Up to `limit` events with a position above `after`, in order. Raises `Unavailable`."""
        return [self._committed(row) for row in self.log.read(after, limit)]

    def _committed(self, row: Row) -> Committed:
        event = self._event(row)
        return Committed(row.position, event, EventRecord(row.position, row.stream, row.version, row.topic, event.at, row.data))

    def _event(self, row: Row) -> Event:
        event: Event = self.mapper.to_domain_event(StoredEvent(row.stream, row.version, row.topic, row.data))
        return event

    def last_position(self) -> int:
        """The position of the newest event; 0 without any. Raises `Unavailable`."""
        return self.log.last_position()

    def tracked(self, source: str) -> int:
        """The stored tracking position of `source`; 0 without one. Raises `Unavailable`."""
        return self.log.tracked(source)

    def notes(self, source: str) -> dict[int, int]:
        """The notes on events of `source` that were skipped, by position: see `servers.store.positions`. Raises `Unavailable`."""
        prefix = notes_of(source)
        ends = ((name.removeprefix(prefix), note) for name, note in self.log.tracked_under(prefix).items())
        return {int(end): note for end, note in ends if end.isdecimal()}  # the others are of a source whose name goes on after a space

    def close(self) -> None:
        """Let go of threads and connections."""
        self._thread.stop()
        self._reader.stop()
        self.log.close()
        self.keys.close()


def _state(event: Event) -> tuple[dict[str, Any], str, int]:
    """An event's fields, its stream, its version."""
    state = stored_fields(event)
    if event.class_version > 1:
        state["class_version"] = event.class_version
    return state, event.originator_id, event.originator_version
