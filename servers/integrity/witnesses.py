"""The witnesses of a log: its own seals, the Global Server's copies of them, the history. Rule: each is asked alone.

Each witness gets every row of the log, in order, and notes the positions where it knows another event.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import fields
from typing import Any, NamedTuple, Protocol

import msgpack

from domain.integrity.chain import MARK_BYTES, MARK_CHARS, Seal, before_all, digest, fingerprint, mark, marks, statement
from projections.audit.coverage import Ranges
from projections.audit.facts import fields_of
from servers.integrity.findings import Differences, Finding
from servers.store.log.event_log import Row
from servers.trust.publications import SEAL
from servers.trust.server_identity import verify

FIELDS = {f.name for f in fields(Seal)}
SIZE = 32  # bytes of a fingerprint


class Fault(NamedTuple):
    """What is wrong with a witness itself. A finding in the log between `start` and `end`, where its seals lie, explains the fault."""

    finding: Finding
    start: int = 0
    end: int = -1


class Unwitnessed:
    """The events that are newer than everything a witness knows: 14 bytes each."""

    def __init__(self) -> None:
        self._positions = array("q")
        self._marks = bytearray()

    def __len__(self) -> int:
        return len(self._positions)

    def add(self, position: int, fingerprint: bytes) -> None:
        """The next event."""
        self._positions.append(position)
        self._marks += fingerprint[:MARK_BYTES]

    def by_mark(self) -> dict[str, int]:
        """The position of each event, by its mark."""
        marks = self._marks
        return {mark(bytes(marks[MARK_BYTES * i : MARK_BYTES * (i + 1)])): position for i, position in enumerate(self._positions)}


class Witness(Protocol):
    """A witness. `last`: the last position that it knows; `checked`: how many seals or events it compared."""

    name: str
    differences: Differences
    faults: list[Fault]
    unwitnessed: Unwitnessed
    checked: int

    @property
    def last(self) -> int: ...

    def see(self, row: Row, fingerprint: bytes) -> None:
        """The next row."""

    def finish(self) -> None:
        """There are no more rows."""


class SealWitness:
    """A row of seals. `seals`: (position, stored bytes) of each, in the order in which they were made; `own`: they lie in the log itself;
    `whole`: they begin with the first seal; `keys`: with which the server may have signed them, none where nobody knows."""

    def __init__(
        self,
        name: str,
        server: str,
        seals: Iterable[tuple[int, bytes]],
        *,
        own: bool = False,
        whole: bool = True,
        keys: Collection[bytes] = (),
    ) -> None:
        self.unsigned = 0  # seals of before servers signed them
        self._server = server
        self._keys = keys
        self._signed = False  # whether a seal was signed, so that every later one must be
        self.name = name
        self.differences = Differences()
        self.faults: list[Fault] = []
        self.unwitnessed = Unwitnessed()
        self.last = 0
        self.checked = 0
        self._own = own
        self._seals = self._read(iter(seals))
        self._digest = before_all(server) if whole else ""
        self._previous_at = 0  # of the previous seal
        self._rows: list[Row] = []
        self._fingerprints: list[bytes] = []
        self._current = next(self._seals, None)

    def _read(self, seals: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, Seal, list[int]]]:
        """The seals that can be read, each with the positions that it covers."""
        for seal_at, data in seals:
            try:
                told = msgpack.unpackb(data, strict_map_key=False)
                seal = Seal(**{name: told[name] for name in FIELDS})
                positions = seal.positions()
            except (ValueError, TypeError, KeyError, msgpack.UnpackException):
                self._fault(seal_at, "it cannot be read", seal_at)
                continue
            if (why := self._unproven(told, seal)) is not None:
                self._fault(seal_at, why, seal_at)
            if self._digest and (seal.first != self.last + 1 or seal.previous != self._digest):
                what = f"over {seal.first} to {seal.last}, it does not continue the one before, which ended with {self.last}"
                self._fault(seal_at, what, self._previous_at)
            self._digest, self._previous_at = seal.digest, seal_at
            if seal.first > self.last:  # an earlier seal over the same positions counts
                self.last = seal.last
                yield seal_at, seal, positions

    def _unproven(self, told: dict[str, Any], seal: Seal) -> str | None:
        """Why a seal is not the server's; None when it is, or nobody can tell."""
        signature, life = told.get("signature", ""), told.get("life", 0)
        if not signature:
            self.unsigned += 1
            return "it is not signed, and seals before it are" if self._signed else None
        self._signed = True
        try:
            proof, said = bytes.fromhex(signature), statement(self._server, life, seal)
        except (TypeError, ValueError):
            return "its signature cannot be read"
        if self._keys and not any(verify(key, SEAL, said, proof) for key in self._keys):
            return f"{self._server} did not sign it"
        return None

    def see(self, row: Row, fingerprint: bytes) -> None:
        while self._current is not None and row.position > self._current[1].last:
            self._compare(*self._current)
            self._current = next(self._seals, None)
        if self._current is None:
            self.unwitnessed.add(row.position, fingerprint)
        elif row.position >= self._current[1].first:
            self._rows.append(row)
            self._fingerprints.append(fingerprint)
        elif row.position < 1:  # no server uses such a number
            self.differences.add_here(row.position, mark(fingerprint), name_of(row))

    def finish(self) -> None:
        while self._current is not None:
            self._compare(*self._current)
            self._current = next(self._seals, None)

    def _compare(self, seal_at: int, seal: Seal, positions: list[int]) -> None:
        rows, fingerprints = self._rows, self._fingerprints
        self._rows, self._fingerprints = [], []
        self.checked += 1
        stand = [row.position for row in rows]
        if stand == positions and digest(seal.previous, seal.first, seal.last, stand, fingerprints) == seal.digest:
            if marks(fingerprints) != seal.marks:
                self._fault(seal_at, "its marks were changed", seal_at)
            return
        known = {position: seal.marks[MARK_CHARS * i : MARK_CHARS * (i + 1)] for i, position in enumerate(positions)}
        here = {row.position: (mark(each), row) for row, each in zip(rows, fingerprints, strict=True)}
        same = True
        for position, expected in known.items():
            if here.get(position, ("",))[0] != expected:
                self.differences.add_gone(position, expected)
                same = False
        for row, each in zip(rows, fingerprints, strict=True):
            if known.get(row.position) != mark(each):
                self.differences.add_here(row.position, mark(each), name_of(row))
                same = False
        if same:
            self._fault(seal_at, f"its digest is not that of {seal.first} to {seal.last}", seal_at)

    def _fault(self, seal_at: int, what: str, start: int) -> None:
        finding = Finding("seal", seal_at, seal_at, {self.name}, what=what)
        self.faults.append(Fault(finding, start, seal_at) if self._own else Fault(finding))


class HistoryWitness:
    """The history, with the stored bytes of every event that may leave the store; 40 bytes are kept of each. Events may come in any order
    until `settle`, because a stream that was begun anew is filled again behind the events of the moment."""

    name = "the history"

    def __init__(self, private: Callable[[str], bool]) -> None:
        """`private`: whether events of a topic never leave the store."""
        self.differences = Differences()
        self.faults: list[Fault] = []
        self.unwitnessed = Unwitnessed()
        self.whole = False  # the stream has its beginning, so what is not in it was not published to it yet
        self.lacking = 0  # events that the stream does not have yet, or no more
        self._private = private
        self._positions = array("q")
        self._fingerprints = bytearray()
        self._late: dict[int, bytes] = {}
        self._covered: Ranges | None = None  # of which positions the server said that all is there; None: of all between the first and last
        self._next = 0
        self.checked = 0

    @property
    def last(self) -> int:
        return self._positions[-1] if self._positions else 0

    @property
    def first(self) -> int:
        """The first position that it knows; 0 when it knows none."""
        return self._positions[0] if self._positions else 0

    def cover(self, after: int, last: int) -> None:
        """The server said that every event in (after, last] is there."""
        if self._covered is None:
            self._covered = Ranges()
        self._covered.add(after, last)

    def learn(self, position: int, stream: str, version: int, topic: str, data: bytes, time: float | None = None) -> bool:
        """The next record of the stream; `time`: as it stands outside the stored bytes. False for a repeat."""
        made = fingerprint(stream, version, topic, data)
        if position <= self.last:
            index = bisect_left(self._positions, position)
            known = self._at(index) if self._positions[index] == position else self._late.setdefault(position, made)
            if known != made:
                what = f"the history has another event there as well: {stream} v{version}, {topic}"
                self.faults.append(Fault(Finding("twice", position, position, {self.name}, what=what)))
            if known is not made:
                return False
        else:
            self._positions.append(position)
            self._fingerprints += made
        self.checked += 1
        if time is not None and isinstance(at := fields_of(data).get("at"), int | float) and at != time:
            what = f"{stream} v{version}, {topic}: the history says {time - at:+.6f} s outside the sealed bytes"
            self.faults.append(Fault(Finding("time", position, position, {self.name}, what=what)))
        return True

    def settle(self) -> None:
        """There are no more records: bring them into the order of the log."""
        if self._late:
            events = sorted([*self._late.items(), *((position, self._at(index)) for index, position in enumerate(self._positions))])
            self._positions = array("q", [position for position, _ in events])
            self._fingerprints = bytearray(b"".join([made for _, made in events]))
            self._late = {}

    def _at(self, index: int) -> bytes:
        return bytes(self._fingerprints[SIZE * index : SIZE * index + SIZE])

    def see(self, row: Row, fingerprint: bytes) -> None:
        positions, index = self._positions, self._next
        while index < len(positions) and positions[index] < row.position:
            self.differences.add_gone(positions[index], mark(self._at(index)))
            index += 1
        if index < len(positions) and positions[index] == row.position:
            if self._at(index) != fingerprint:
                self.differences.add_gone(row.position, mark(self._at(index)))
                self.differences.add_here(row.position, mark(fingerprint), name_of(row))
            index += 1
        elif positions and row.position < positions[-1] and not self._private(row.topic):
            if positions[0] < row.position and (self._covered is None or self._covered.holds(row.position)):
                self.differences.add_here(row.position, mark(fingerprint), name_of(row))
            elif self.whole or positions[0] < row.position:
                self.lacking += 1
        elif not positions or row.position > positions[-1]:
            self.unwitnessed.add(row.position, fingerprint)
        self._next = index

    def finish(self) -> None:
        for index in range(self._next, len(self._positions)):
            self.differences.add_gone(self._positions[index], mark(self._at(index)))


def fingerprint_of(row: Row) -> bytes:
    """The fingerprint of a row, even of a row that no server would write."""
    try:
        return fingerprint(row.stream, row.version, row.topic, row.data)
    except (TypeError, ValueError):
        return fingerprint("", 0, "", repr(row[1:]).encode("utf-8", "backslashreplace"))


def name_of(row: Row) -> str:
    """Stream, version and topic of a row, without its content."""
    return f"{row.stream} v{row.version}, {row.topic}"
