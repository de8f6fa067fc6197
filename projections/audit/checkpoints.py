"""The states of streams at past versions. Rule: folded by the domain's own folds; a checkpoint only shortens the way to a moment.

A stream's state is kept at every version that `CHECKPOINT_EVERY` divides. So a moment is never more than that many events away, and a
store that is fed anew holds the same checkpoints.

Who may write the store's file may write a state that never was. So each checkpoint carries an HMAC-SHA256 under a key that lies elsewhere;
one whose proof is wrong, or missing as before there were proofs, is passed over, and the state is folded from the events.
"""

import contextlib
import hmac
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import msgpack
import structlog

from domain.aggregate import Snapshotable
from domain.errors import Unavailable
from domain.event import Event, stream_kind, stream_uid
from domain.personal import Personal
from domain.rules.home import rules_for

RULES = rules_for("")  # all homes decide and fold alike, and no policy is asked here
OF_USERS = frozenset({"user", "mailbox"})  # the kinds of streams of which anybody asks for a past state
CHECKPOINT_EVERY = 2_500  # events: to fold so many takes 40 ms, and a checkpoint of at most 200 KB costs 80 bytes an event
PROOF_BYTES = 32

log = structlog.get_logger()

Decode = Callable[[str, str, int, str, bytes], Event]  # source, stream, version, topic, stored bytes -> the event; may raise anything


class Checkpoints:
    """The states of one store. `decode`: makes the events that the folds take; `personal`: it decrypts personal fields. Then no checkpoint
    is used, because checkpoints hold nothing personal, so that nothing needs to be erased from them. `key`: with which checkpoints are
    proven; without one none is used and none is made."""

    def __init__(self, database: sqlite3.Connection, decode: Decode, key: bytes, personal: bool = False) -> None:
        self._database = database
        self._key = key
        self._decode = decode
        self._personal = personal

    def state(self, stream: str, version: int, home: int | None) -> tuple[Any, bool]:
        """The state of `user-<uid>` or `mailbox-<uid>` after `version`, and whether the history holds every event up to it. `home`: the
        number of the server where that user lives, because no other one speaks for them; None where nobody knows. Raises `Unavailable` for
        events that this version of Flash cannot read."""
        state: Any = RULES.new_state(stream)
        complete = True
        if (found := self._newest(stream, version)) is not None:
            complete, data = msgpack.unpackb(found[1], strict_map_key=False)
            state.from_snapshot(data)
            state.version = found[0]
        for number, position, source, topic, data in self._rows("e.version > ? AND e.version <= ?", stream, state.version, version, home):
            complete = complete and number == state.version + 1
            with _readable(topic, stream, number):
                event = self._decode(source, stream, number, topic, data)
                RULES.evolve(state, event)
                RULES.place(state, event, position, len(data))
        return state, complete

    def events(self, stream: str, versions: Sequence[int], home: int | None) -> list[Event]:
        """The events of a stream that have these versions, in order. Raises `Unavailable` as `state` does."""
        found: list[Event] = []
        which = f"e.version IN ({', '.join('?' * len(versions))})"
        for number, _, source, topic, data in self._rows(which, stream, *versions, home):
            with _readable(topic, stream, number):
                found.append(self._decode(source, stream, number, topic, data))
        return found

    def _rows(self, which: str, *values: Any) -> sqlite3.Cursor:
        """Version, position, source, topic and data. `values`: the stream, what `which` asks for, the server that speaks for the stream."""
        return self._database.execute(
            "SELECT e.version, e.position, s.word, t.word, e.data FROM entries e"  # noqa: S608 - ours
            " JOIN words s ON s.number = e.source JOIN words t ON t.number = e.topic"
            f" WHERE e.stream = ? AND {which} AND e.source = coalesce(?, e.source) ORDER BY e.version",
            values,
        )

    def _newest(self, stream: str, version: int) -> tuple[int, bytes] | None:
        """The newest checkpoint up to `version` that proves itself."""
        if self._personal or not self._key:
            return None
        newest = "SELECT version, state FROM checkpoints WHERE stream = ? AND version <= ? ORDER BY version DESC"
        for number, stored in self._database.execute(newest, (stream, version)):
            packed = stored[PROOF_BYTES:]
            if hmac.compare_digest(self._proof(stream, number, packed), stored[:PROOF_BYTES]):
                return number, packed
            log.warning("audit.checkpoint_not_believed", stream=stream, version=number)
        return None

    def _proof(self, stream: str, version: int, packed: bytes) -> bytes:
        return hmac.digest(self._key, f"flash audit 1:{stream} {version}\0".encode() + packed, sha256)

    def version_at(self, stream: str, at: float, home: int | None) -> int:
        """The last version whose moment is not after `at`; 0 when the stream began later. Every version up to it counts, so a clock that
        was set back leaves no hole in a stream."""
        row = self._database.execute(
            "SELECT version FROM entries WHERE stream = ? AND time <= ? AND source = coalesce(?, source) ORDER BY version DESC LIMIT 1",
            (stream, at, home),
        ).fetchone()
        return row[0] if row else 0

    def home(self, uid: int) -> int | None:
        """The number of the server where a user lives; None where nobody knows."""
        row = self._database.execute("SELECT source FROM people WHERE uid = ?", (uid,)).fetchone()
        return row[0] if row else None

    def drop(self, stream: str, version: int, source: int) -> None:
        """An event of a server came behind newer ones: what was folded without it counts no more, if the server speaks for that user."""
        if self._is_of(stream, source):
            self._database.execute("DELETE FROM checkpoints WHERE stream = ? AND version >= ?", (stream, version))

    def make(self, stream: str, version: int, source: int, least: int) -> None:
        """Store a checkpoint, unless the stream is none of this server's users' or cannot be read, or less than `least` events came since
        the one before. Then questions fold the events that there are."""
        if not self._key or not self._is_of(stream, source) or not self._is_worth_it(stream, version, least):
            return
        try:
            state, complete = self.state(stream, version, source)
        except Unavailable:
            return
        if isinstance(state, Snapshotable):
            packed = msgpack.packb((complete, state.to_snapshot()), default=_nothing)
            row = (stream, version, self._proof(stream, version, packed) + packed)
            self._database.execute(
                "INSERT INTO checkpoints VALUES (?, ?, ?) ON CONFLICT (stream, version) DO UPDATE SET state = excluded.state", row
            )

    def _is_of(self, stream: str, source: int) -> bool:
        """Whether a stream is one of this server's users'."""
        return stream_kind(stream) in OF_USERS and stream.partition("-")[2].isdecimal() and self.home(stream_uid(stream)) == source

    def _is_worth_it(self, stream: str, version: int, least: int) -> bool:
        """Whether so many events came since the newest checkpoint: a server may name any versions it likes."""
        newest = "SELECT coalesce(max(version), 0) FROM checkpoints WHERE stream = ? AND version <= ?"
        count = "SELECT count(*) FROM (SELECT 1 FROM entries WHERE stream = ? AND version > (" + newest + ") AND version <= ? LIMIT ?)"  # noqa: S608
        (events,) = self._database.execute(count, (stream, stream, version, version, least)).fetchone()
        return bool(events >= least)


@contextlib.contextmanager
def _readable(topic: str, stream: str, version: int) -> Iterator[None]:
    try:
        yield
    except Unavailable:
        raise
    except Exception as error:  # bytes or a topic that a later version of Flash wrote may fail in any way
        raise Unavailable(f"{topic} at {stream}/{version} cannot be read by this version of Flash") from error


def _nothing(personal: Personal) -> Any:
    """What stands for a personal value in a checkpoint."""
    return type(personal.value)()
