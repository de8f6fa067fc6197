"""A server's event store: states and events over its event log and its keys. Rule: methods that block are called through `Store.run`.

Events are stored as `servers/encryption/event_codec.py` says; the same bytes travel in the broker's envelope to the history.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import structlog
from eventsourcing.persistence import Tracking
from msgspec.structs import replace

from broker.envelope import EventRecord
from domain.aggregate import Placed, Snapshotable, State
from domain.event import Event
from domain.integrity.lives import first_life, life_stream
from domain.integrity.state import LifeState
from domain.rules.rules import Rules
from runtime.worker import Worker
from servers.encryption.event_codec import EventCodec
from servers.encryption.key_store import KeysNeeded
from servers.encryption.key_tables import open_keys
from servers.encryption.mac import NotOurs, checked, proven
from servers.encryption.snapshots import pack_snapshot, unpack_snapshot
from servers.store.databases import open_event_log
from servers.store.log.event_log import Conflicted, Row
from servers.store.log.lease import LeaseTable
from servers.store.log.positions import notes_of

SNAPSHOT_FORMAT = 1  # raised when the snapshot of a state changes shape; older snapshots are then ignored
DECODED = 500  # events of a load that are decoded at a time, with their keys in one visit
MAX_FETCHES = 10  # of keys for one batch; a second one is needed only when another thread has just let go of a key

log = structlog.get_logger()


class Committed(NamedTuple):
    """An event that is on disk: its position in the server's log, the event, and how it is stored and travels to the history."""

    position: int
    event: Event
    record: EventRecord


class Loaded(NamedTuple):
    """A state as the store has it. `snapshot_size`: bytes of the snapshot that it began with, None where one lies there that must be
    replaced; `events`, `size`: how many events came after it, and their bytes."""

    state: State
    snapshot_size: int | None
    events: int
    size: int


class Store:
    """Events, snapshots and tracking positions of one server."""

    def __init__(self, url: str, server: str, rules: Rules, keys_url: str = "") -> None:
        """`url`: `sqlite:///path` or `postgresql://user:password@host:port/database` (schema `flash_<server>`). `keys_url`: the same for
        the keys of personal data; a place of their own beside the events unless told otherwise (`servers/encryption/key_tables.py`).

        Raises `Unavailable` when the database cannot be reached, `ValueError` for another kind of URL.
        """
        self.rules = rules
        self._thread = Worker(f"store-{server}")
        self._reader = Worker(f"reader-{server}")
        self.run = self._thread.run  # calls a blocking method in the store's own thread: commits and loads, one after the other
        self.run_reader = self._reader.run  # calls a blocking read that may take long, so that it never delays a commit
        self.waited = self._thread.waited  # how long a commit or a load waited for another call
        self.cpu_s = self._thread.cpu_s  # what commits and loads have taken so far, outside of the loop
        with contextlib.ExitStack() as undo:  # a store that cannot be opened leaves nothing open
            self.log = open_event_log(url, server)
            undo.callback(self.log.close)
            self.keys = open_keys(keys_url, url, server)
            undo.callback(self.keys.close)
            self.transit_key = self.keys.transit_key()  # the number of the key for mail of version 1; 0 when none may come any more
            undo.pop_all()
        self.codec = EventCodec(self.keys)
        self.life = 0  # which life the log is in; known once the server has begun to work on the log: `begin_life`
        self.former, self.agreed = 0, 0  # the life before it, and the position up to which both say the same
        self._server = server

    def begin_life(self, now: float) -> None:
        """Learn which life the log is in, before the first commit. A log without one, which is new or from before logs had lives, begins
        its first. Raises `Unavailable`."""
        state = self.load(life_stream(self._server))
        if not state.version:
            began = first_life(self._server, self.last_position(), now)
            with contextlib.suppress(Conflicted):  # a second Global Server on this store was first
                self.put([began], self.codec.encode([began]))
            state = self.load(began.originator_id)
        assert isinstance(state, LifeState)
        self.life, self.former, self.agreed = state.life, state.former, state.agreed

    def stored_life(self) -> int:
        """The life that the log is in; 0 before its first. Raises `Unavailable`."""
        state = self.load(life_stream(self._server))
        assert isinstance(state, LifeState)
        return state.life

    def lease(self) -> LeaseTable | None:
        """Where the lease of this server lies; None where no second process can reach the data."""
        return self.log.lease()

    def fence(self, epoch: int) -> None:
        """From now on every commit is made under the lease of this number, and fails when a newer one was given."""
        self.log.fence(epoch)

    async def packed(self, events: Sequence[Event]) -> list[EventRecord]:
        """The events as they will be stored, at positions that `put` fills in. Encoded on the loop, so that the store's thread has nothing
        to do but the database's work, which needs no interpreter lock; missing keys are fetched in the store's thread, and the writer asks
        for this only when some are missing. Raises `Unavailable`."""
        for _ in range(MAX_FETCHES):
            try:
                return self.codec.encode(events)
            except KeysNeeded as needed:  # of users who are new, or who have not been here for long
                await self.run(self.keys.make, needed.owners)
        return self.codec.encode(events)

    def put(self, events: Sequence[Event], packed: Sequence[EventRecord], trackings: Sequence[Tracking] = ()) -> list[Committed]:
        """Commit packed events and tracking positions in one transaction, fsynced. Raises `Conflicted`, `LeaseLost`, `Unavailable`;
        then nothing is stored."""
        rows = [(record.stream, record.version, record.topic, record.data) for record in packed]
        positions = self.log.append(rows, trackings)
        stored = zip(positions, events, packed, strict=True)
        return [Committed(position, event, replace(record, position=position)) for position, event, record in stored]

    def end_old_mail(self) -> None:
        """Read no mail of version 1 any more, for good. Raises `Unavailable`."""
        self.keys.destroy_transit_keys()
        self.transit_key = 0

    def load(self, stream: str) -> State:
        """The state of a stream: its snapshot and what came after. Raises `Unavailable`."""
        return self.loaded(stream).state

    def loaded(self, stream: str) -> Loaded:
        """The state of a stream, and what was read for it. A snapshot without this server's proof, or of another format, is not believed:
        then every event is folded. Raises `Unavailable`."""
        state = self.rules.new_state(stream)
        snapshot_size: int | None = 0
        if isinstance(state, Snapshotable) and (snapshot := self.log.newest_snapshot(stream)) is not None:
            snapshot_size = len(snapshot[1]) if self._begin_with(state, *snapshot) else None
        snapshot_at, first = state.version, state.unplaced if isinstance(state, Placed) else 0
        if first:
            snapshot_size = None
        rows = self.log.read_stream(stream, first - 1 if first else snapshot_at)
        for start in range(0, len(rows), DECODED):
            page = rows[start : start + DECODED]
            for row, event in zip(page, self.codec.decode_all(page), strict=True):
                if row.version > state.version:
                    self.rules.evolve(state, event)
                self.rules.place(state, event, row.position, len(row.data))
        return Loaded(state, snapshot_size, state.version - snapshot_at, sum(len(row.data) for row in rows if row.version > snapshot_at))

    def _begin_with(self, state: Snapshotable, version: int, stored: bytes) -> bool:
        """Put a stored snapshot into `state`. False when it is not ours, or has another format."""
        try:
            form, data = unpack_snapshot(checked(self.keys.own(), snapshot_place(state.stream, version), stored), self.keys)
        except NotOurs as error:
            log.warning("snapshot.not_ours", stream=state.stream, version=version, reason=str(error))
            return False
        if form != SNAPSHOT_FORMAT:
            return False
        state.from_snapshot(data)
        state.version = version
        return True

    def packed_snapshot(self, state: Snapshotable) -> tuple[str, int, bytes]:
        """A state's stream and version, and the state as it is stored. Raises `Unavailable`."""
        stream, version = state.stream, state.version
        packed = pack_snapshot((SNAPSHOT_FORMAT, state.to_snapshot()), self.keys)
        return stream, version, proven(self.keys.own(), snapshot_place(stream, version), packed)

    def load_all(self, streams: Sequence[str], max_bytes: int) -> list[Loaded]:
        """The states of several streams, in one visit to the store's thread: the first ones, up to the one with which `max_bytes` were
        read. Raises `Unavailable`."""
        states, size = [], 0
        for stream in streams:
            loaded = self.loaded(stream)
            states.append(loaded)
            size += (loaded.snapshot_size or 0) + loaded.size
            if size >= max_bytes:
                break
        return states

    def put_snapshot(self, stream: str, version: int, packed: bytes) -> None:
        """Store a packed snapshot in the place of all others of its stream. Failing is harmless: a later load folds more events. Raises
        `Unavailable`."""
        self.log.put_snapshot(stream, version, packed)

    def event_at(self, stream: str, version: int) -> Event | None:
        """One event of a stream; None where there is none. Raises `Unavailable`."""
        found = self.log.read_stream(stream, version - 1)
        return self._event(found[0]) if found and found[0].version == version else None

    def read(self, after: int, limit: int) -> list[Committed]:
        """Up to `limit` events with a position above `after`, in order. Raises `Unavailable`."""
        return [self._committed(row) for row in self.log.read(after, limit)]

    def read_at(self, stream: str, positions: Sequence[int], max_bytes: int) -> list[Committed]:
        """The events of `stream` at these positions, in order: the first ones, up to the one with which `max_bytes` were read. An event of
        another stream is left out. Raises `Unavailable`."""
        rows = [row for row in self.log.read_at(positions, max_bytes) if row.stream == stream]
        return [
            Committed(row.position, event, EventRecord(row.position, row.stream, row.version, row.topic, event.at, row.data))
            for row, event in zip(rows, self.codec.decode_all(rows), strict=True)
        ]

    def _committed(self, row: Row) -> Committed:
        event = self._event(row)
        return Committed(row.position, event, EventRecord(row.position, row.stream, row.version, row.topic, event.at, row.data))

    def _event(self, row: Row) -> Event:
        return self.codec.decode(row.stream, row.version, row.topic, row.data)

    def last_position(self) -> int:
        """The position of the newest event; 0 without any. Raises `Unavailable`."""
        return self.log.last_position()

    def newest(self) -> Committed | None:
        """The newest event; None without any. Raises `Unavailable`."""
        return next(iter(self.read(self.last_position() - 1, 1)), None)

    def tracked(self, source: str) -> int:
        """The stored tracking position of `source`; 0 without one. Raises `Unavailable`."""
        return self.log.tracked(source)

    def tracked_under(self, prefix: str) -> dict[str, int]:
        """The stored tracking positions whose names begin with `prefix`. Raises `Unavailable`."""
        return self.log.tracked_under(prefix)

    def notes(self, source: str) -> dict[int, int]:
        """The notes on events of `source` that were skipped, by position: see `servers.store.log.positions`. Raises `Unavailable`."""
        prefix = notes_of(source)
        ends = ((name.removeprefix(prefix), note) for name, note in self.log.tracked_under(prefix).items())
        return {int(end): note for end, note in ends if end.isdecimal()}  # the others are of a source whose name goes on after a space

    @contextlib.contextmanager
    def closed_on_failure(self) -> Iterator[None]:
        """Close the store when the block fails: nobody else has it yet who could."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the threads and close the connections."""
        self._thread.stop()
        self._reader.stop()
        with contextlib.closing(self.keys):
            self.log.close()


def snapshot_place(stream: str, version: int) -> str:
    """What the proof of a snapshot is bound to."""
    return f"snapshot {stream} {version}"
