"""The port to the event log of one server. Rule: code that needs stored events asks for one of these; the adapters alone know tables.

EventLog   what a server at work needs
LogView    every row as it lies, all of one moment, for backup and verification; the server may run
LogTables  one end of a copy, filled in a single transaction; no server may run
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from eventsourcing.persistence import Tracking

from domain.errors import Unavailable
from servers.store.log.lease import LeaseTable

NewRow = tuple[str, int, str, bytes]  # stream, version, topic, data of an event that has no position yet


class Conflicted(Unavailable):
    """Another process wrote to the same stream; nothing was stored."""


class SetBack(Unavailable):
    """The log ends before a position that is known to have been used."""


class Row(NamedTuple):
    """A stored event. In a log that somebody has tampered with, a field may be of any type."""

    position: int
    stream: str
    version: int
    topic: str
    data: bytes


class EventLog(Protocol):
    """One server's events, positions and snapshots. Every method blocks, may be called from any thread, and may raise `Unavailable`."""

    def append(self, rows: Sequence[NewRow], trackings: Sequence[Tracking] = ()) -> Sequence[int]:
        """Store rows and positions on disk in one transaction, all or nothing. Raises `SetBack` when the database turns out to be another
        one that lacks what was stored. Returns the positions of the rows, which rise in the order
        of the commits. Raises `Conflicted` when a version is taken or an inbox position does not rise, `LeaseLost` when a newer lease than
        that of `fence` was given. A position of the outbox that does not rise is passed over."""

    def read(self, after: int, limit: int) -> list[Row]:
        """Up to `limit` events with positions above `after`, in order."""

    def read_stream(self, stream: str, after: int = 0) -> list[Row]:
        """The events of a stream with versions above `after`, in order."""

    def read_at(self, positions: Sequence[int], max_bytes: int) -> list[Row]:
        """The events at these positions, in order: the first ones, up to the one with which `max_bytes` of data are reached."""

    def last_position(self) -> int:
        """The position of the newest event; 0 without any."""

    def now(self) -> float | None:
        """Seconds since 1970 by the database's clock; None where it has no other clock than this process."""

    def tracked(self, source: str) -> int:
        """The stored position of `source`; 0 without one."""

    def tracked_under(self, prefix: str) -> dict[str, int]:
        """The stored positions whose names begin with `prefix`."""

    def untrack(self, names: Sequence[str]) -> None:
        """Delete positions of the outbox that mean nothing any more."""

    def put_snapshot(self, stream: str, version: int, data: bytes) -> None:
        """Store this snapshot in the place of all others of its stream, in one transaction."""

    def newest_snapshot(self, stream: str) -> tuple[int, bytes] | None:
        """Version and data of the newest snapshot of a stream."""

    def snapshot_counts(self, after: str, limit: int) -> list[tuple[str, int]]:
        """How many snapshots the next streams behind `after` have, by name; of up to `limit` streams, in the order of their names."""

    def drop_old_snapshot(self, stream: str) -> None:
        """Delete the oldest snapshot of a stream, unless it is the only one."""

    def lease(self) -> LeaseTable | None:
        """Where the lease of this server lies; None where no second process can reach the log."""

    def fence(self, epoch: int) -> None:
        """From now on every `append` is made under the lease of this number."""

    def let_go(self) -> None:
        """Close the connections that hinder another one from filling the tables. The next call opens new ones."""

    def close(self) -> None:
        """Close every connection."""


class LogView(Protocol):
    """The log as the database has it at one moment. Nothing is decoded. Every method may raise `Unavailable`."""

    def rows(self) -> Iterator[Row]:
        """All events, by position."""

    def stream(self, name: str) -> Iterator[Row]:
        """The events of one stream, by version."""

    def snapshots(self) -> Iterator[tuple[str, int, bytes]]:
        """Stream, version and data of every snapshot."""

    def trackings(self) -> dict[str, int]:
        """How far other logs were consumed and this one was published."""

    def close(self) -> None:
        """Close the connection; what was not committed is gone."""


class LogTables(LogView, Protocol):
    """The tables of a stopped server, seen and filled in one transaction."""

    name: str

    def in_use(self) -> str | None:
        """The name of the process that works on the log, if any does."""

    def put(self, rows: Sequence[Row]) -> None:
        """Add events at their positions."""

    def track(self, trackings: dict[str, int]) -> None:
        """Set positions."""

    def commit(self) -> int:
        """Make it durable. Returns the position of the newest event; the next event comes after it."""
