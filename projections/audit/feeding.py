"""Feeding the store. Rule: events and the offset after them are one transaction, so that each event is in the store exactly once.

An event's time is the one in its stored bytes, which seals cover; what the envelope says beside them is not read.

Two things change nothing: a message that was stored before (its offset is below the stored one), and an event that its server has
published twice (its position was told before: `coverage.py`). Positions have gaps, because private events never leave their server and
PostgreSQL leaves numbers out. Where the stream was begun anew, the store goes on: what the servers publish again is a repeat.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from domain.errors import Unavailable
from domain.events.integrity import ClockCorrected
from projections.audit.checkpoints import CHECKPOINT_EVERY, Checkpoints, Decode
from projections.audit.clocks import Clocks
from projections.audit.coverage import Coverage, LogLife
from projections.audit.facts import Named, facts, fields_of
from projections.audit.rows import ENTRIES_PER_OFFSET, Reached, Record
from projections.audit.tables import CALM_KIB, FEEDING_KIB, hold_pages, open_for_feeding
from projections.audit.words import Topics, Words

MOST_CORRECTIONS = 20  # of one server's clock, ever: each one reads all its later events again
LEAST_SHARE = 10  # of the events between two checkpoints that must have come: a server may name any versions it likes
MAX_POSITION = 2**63 - 1
MANY_EVENTS = 2_000  # fed at once by a store that is far behind; what a broker that was away for a minute brings is less

log = structlog.get_logger()


class OtherHistory(Unavailable):
    """This audit store was fed from another history; delete it, and it is made anew, or name another file."""


class Message(NamedTuple):
    """One message of the history stream. `source` is "" for a message that is not ours, which is counted and passed over; `mark`: a
    digest of its bytes; `life`: of the server's log; `told`: the range (after, last] of positions that it tells, None where it is unsigned
    and says nothing of that; `era`: as the Global Server names it, else 0, and `key`: that with which it has signed."""

    offset: int
    source: str
    records: Sequence[Record]
    mark: bytes
    life: LogLife = (0, 0, 0)
    told: tuple[int, int] | None = None
    era: int = 0
    key: bytes = b""


class Feeder:
    """The only writer of an audit store. Every method blocks and belongs to one thread. `decode`: stored bytes -> event; it decrypts
    nothing. `checkpoint_every`: versions of a stream between two checkpoints."""

    def __init__(
        self,
        path: Path,
        decode: Decode,
        clock: Callable[[], float] = time.time,
        checkpoint_every: int = CHECKPOINT_EVERY,
        *,
        key: bytes,
    ) -> None:
        """`key`: with which checkpoints are proven. Raises `Unavailable` when the store cannot be opened."""
        self._clock = clock
        self._checkpoint_every = checkpoint_every
        try:
            self._database = open_for_feeding(path)
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"the audit store {path} cannot be opened: {error}") from error
        self.holds_kib = CALM_KIB  # of the store's pages in memory, at most
        self._words = Words(self._database)
        self._topics = Topics(self._database, self._words)
        self._checkpoints = Checkpoints(self._database, decode, key)
        self._coverage = Coverage(self._database)
        self._late = Clocks()  # of events that come behind newer ones of their server

    def reached(self) -> Reached:
        """How far the store has come. Raises `Unavailable`."""
        try:
            found = self._database.execute(
                "SELECT next_offset, entries, newest, behind_s, unreadable, base, era FROM reached JOIN eras USING (base)"
            )
            return Reached(*found.fetchone())
        except sqlite3.Error as error:
            raise _away(error) from error

    def global_key(self) -> bytes:
        """The key with which the Global Server has signed what is stored; empty where it has signed nothing."""
        (key,) = self._database.execute("SELECT global_key FROM reached").fetchone()
        return key or b""

    def begin_anew(self) -> Reached:
        """The stream was begun anew: its offsets begin again, and ids go on. Raises `Unavailable`."""
        with self._transaction():
            before = self.reached()
            (last,) = self._database.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()
            base = max(before.next_id, last // ENTRIES_PER_OFFSET * ENTRIES_PER_OFFSET + ENTRIES_PER_OFFSET)
            self._database.execute("INSERT INTO eras VALUES (?, 0) ON CONFLICT DO NOTHING", (base,))  # nothing came in the era that ends
            self._database.execute("UPDATE reached SET next_offset = 0, mark = NULL, base = ?", (base,))
        return self.reached()

    def feed(self, messages: Sequence[Message]) -> Reached:
        """Store what is new among these messages, which come in the order of the stream. Raises `Unavailable`; then nothing is stored."""
        self._hold_pages(FEEDING_KIB if sum(len(each.records) for each in messages) > MANY_EVENTS else CALM_KIB)
        with self._transaction():
            return self._feed(messages)

    def _hold_pages(self, kib: int) -> None:
        if kib != self.holds_kib:
            hold_pages(self._database, kib)
            self.holds_kib = kib

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Everything that the block stores, or nothing."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                self._words.forget()
                self._topics.forget()
                raise
        except sqlite3.Error as error:
            raise _away(error) from error

    def _feed(self, messages: Sequence[Message]) -> Reached:
        before = self.reached()
        last: dict[str, int] = {}
        clocks = Clocks()
        for number, position, newest in self._database.execute("SELECT source, position, newest FROM sources"):
            source = self._words.word(number)
            last[source] = position
            if newest is not None:
                clocks.newest[source] = newest
        rows = _Rows()
        offset, newest, unreadable, era = before.offset, before.newest, before.unreadable, before.era
        mark, key = self._database.execute("SELECT mark, global_key FROM reached").fetchone()
        self._coverage.load()
        moments: list[float] = []  # of events that came as they happened, and not because an era was filled again
        for message in messages:
            if message.offset == offset - 1 and message.mark != mark:
                raise OtherHistory
            if message.offset < offset:
                continue
            mark = message.mark
            offset = message.offset + 1
            unreadable += not message.source
            era, key = message.era or era, message.key or key
            if not message.source:
                continue
            source = message.source
            known = self._coverage.of(self._words.number(source), message.life)
            for number, record in enumerate(message.records):
                if known.holds(record.position) or (message.told is None and record.position <= known.last):
                    continue
                late = record.position <= last.get(source, -1)
                last[source] = max(last.get(source, -1), record.position)
                id = before.base + message.offset * ENTRIES_PER_OFFSET + number
                server = self._words.number(source)
                topic = self._topics.number(server, record.topic)
                own = rows.add(id, source, server, topic, record, self._late if late else clocks)
                if late:
                    self._checkpoints.drop(record.stream, record.version, server)
                else:
                    newest = own
                    moments.append(own)
                if record.topic == ClockCorrected.TOPIC and record.stream == f"clock-{source}":
                    self._insert(rows)
                    self._accept_clock(source, record, clocks)
                    rows = rows.emptied()
            if message.told is not None:
                known.add(*message.told)
            elif message.records:
                known.add(known.last if known.ranges else message.records[0].position - 1, message.records[-1].position)
        self._insert(rows)
        positions = [(self._words.number(source), position, clocks.newest.get(source)) for source, position in last.items()]
        self._database.executemany(
            "INSERT INTO sources VALUES (?, ?, ?)"
            " ON CONFLICT (source) DO UPDATE SET position = excluded.position, newest = excluded.newest",
            positions,
        )
        behind_s = max(0.0, self._clock() - moments[-1]) if moments else before.behind_s
        reached = Reached(offset, before.entries + len(rows.versions), newest, behind_s, unreadable, before.base, era)
        update = "UPDATE reached SET next_offset = ?, entries = ?, newest = ?, behind_s = ?, unreadable = ?, mark = ?, global_key = ?"
        self._database.execute(update, (*reached[:5], mark, key))
        self._database.execute("UPDATE eras SET era = ? WHERE base = ?", (era, before.base))
        self._coverage.save()
        for source, stream, version in rows.versions:
            if version and version % self._checkpoint_every == 0:
                self._checkpoints.make(stream, version, self._words.number(source), self._checkpoint_every // LEAST_SHARE)
        return reached

    def _accept_clock(self, source: str, record: Record, clocks: Clocks) -> None:
        """Ops accepted that a clock was ahead: the times of that server begin anew at the position that they name."""
        first = fields_of(record.data).get("first")
        number = self._words.number(source)
        told_before = "SELECT count(*) FROM (SELECT 1 FROM entries WHERE source = ? AND topic = ? LIMIT ?)"
        (count,) = self._database.execute(told_before, (number, self._words.number(record.topic), MOST_CORRECTIONS + 1)).fetchone()
        if not isinstance(first, int) or abs(first) > MAX_POSITION or count > MOST_CORRECTIONS:
            log.error("audit.correction_refused", source=source, corrections=count)
            return
        found = "SELECT id, coalesce(told, time), time FROM entries WHERE source = ? AND position >= ? ORDER BY position"
        clocks.newest.pop(source, None)
        for id, own, known in self._database.execute(found, (number, first)).fetchall():
            moment = clocks.moment(source, own)
            if moment != known:
                told = None if moment == own else own
                self._database.execute("UPDATE entries SET time = ?, told = ? WHERE id = ?", (moment, told, id))
                self._database.execute("UPDATE presence SET time = ? WHERE id = ?", (moment, id))

    def _insert(self, rows: "_Rows") -> None:
        insert = self._database.executemany
        insert("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows.entries)
        insert("INSERT INTO popups VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows.popups)  # a list of deliveries may name one twice
        insert("INSERT INTO presence VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows.presence)
        for person in rows.people:
            self._meet(person)

    def _meet(self, person: Named) -> None:
        """Note where somebody lives. What a home says of itself counts until the Global Server has said it."""
        source = self._words.number(person.home)
        known = self._database.execute("SELECT source, sure FROM people WHERE uid = ?", (person.uid,)).fetchone()
        if known is not None and known[1] and not person.sure:
            return
        if known is not None and known[0] != source:  # what was folded meanwhile may be another server's
            streams = (f"user-{person.uid}", f"mailbox-{person.uid}")
            self._database.execute("DELETE FROM checkpoints WHERE stream IN (?, ?)", streams)
        row = (person.uid, person.handle, person.home, source, person.sure)
        self._database.execute("INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class _Rows:
    """What a batch adds to the tables."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self.popups: list[tuple[str, int, int]] = []
        self.presence: list[tuple[Any, ...]] = []
        self.people: list[Named] = []
        self.versions: list[tuple[str, str, int]] = []  # of each event: its server, its stream, and its number there

    def emptied(self) -> "_Rows":
        """Nothing, but for the versions, after the rest was inserted."""
        rows = _Rows()
        rows.versions = self.versions
        return rows

    def add(self, id: int, source: str, number: int, topic: int, record: Record, clocks: Clocks) -> float:
        """Add an event of a server, whose name and topic have these numbers. Returns its own time."""
        found = facts(record, source)
        own = record.time if found.at is None else found.at
        moment = clocks.moment(source, own)
        told = None if moment == own else own
        self.entries.append(
            (id, number, record.position, record.stream, record.version, topic, moment, found.uid, found.cause, record.data, told)
        )
        if found.popups:
            self.popups.extend((message, sender, id) for message, sender in found.popups)
        if (moved := found.moved) is not None:
            presence = (moved.uid, number, record.version, moment, moved.status, moved.changed, moved.login, moved.restart, id)
            self.presence.append(presence)
        if found.person is not None:
            self.people.append(found.person)
        self.versions.append((source, record.stream, record.version))
        return own


def _away(error: sqlite3.Error) -> Unavailable:
    return Unavailable(f"the audit store cannot be used: {error}")
