"""What the public feed has said about everybody, and its newest changes. Rule: a pure fold of `flash.presence.log`; repeats do nothing.

An outbox may publish the same changes again after a crash, in the same order. A change of a user counts only when its version of the
user's stream is above that of the last change that counted; or when the home's log is in another life, which may use versions again that
were lost, and the change is later. So each change is here once, in order, and has one position: its cursor.
"""

import re
import secrets
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from zlib import crc32

from runtime.bounds import Bound, Holding

FORMAT = 1  # of the checkpoint; one of another format is thrown away, and the log is folded from its start
KEPT_CHANGES = 50_000  # how many an integrator may miss: five logins and logoffs of 5,000 people; about 25 MB when full
KEPT_BYTES = 50_000_000  # …and this many bytes, of bodies and of the rest of each change
CHANGE_BYTES = 200  # of a change besides its body
CHANGES = Bound(
    name="presence_changes",
    holds="the newest changes of presence, for integrators who come back",
    filled_by="homes, when their users come and go",
    past="the oldest are forgotten, and who lacks them takes a snapshot",
    within=("Feed.changes",),
    entries=KEPT_CHANGES + KEPT_CHANGES // 8,
    bytes=KEPT_BYTES,
    cache=True,
)
BEGINNING = "0"  # the cursor before the first change of all
_CURSOR = re.compile(r"([0-9a-f]{1,16})\.([0-9a-f]{8})")


class Standing(NamedTuple):
    """A user's presence as the feed has told it. `version`: of the user's stream at the change; `since`: RFC 3339; `life`: of the home's
    log, 0 when it was not told."""

    version: int
    status: str
    since: str
    life: int = 0

    def follows(self, known: "Standing") -> bool:
        """Whether it is news to who knows that; otherwise it is a repeat."""
        return self.version > known.version or (self.life != known.life and self.since > known.since)


class Change(NamedTuple):
    """One change that counted. `offset`: its position in the log; `uid`: the user it is about; `body`: the CloudEvent as published."""

    offset: int
    uid: int
    body: bytes


class Feed:
    """Users and changes. A position is the number of a change, counted from the first one that this object has kept.

    `whole`: the log was read from its first message on, so a user who is not in `users` was never online.
    """

    def __init__(self, kept_changes: int = KEPT_CHANGES, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept = kept_changes
        self._kept_bytes = kept_bytes
        self._portion = max(1, kept_changes // 8)  # old changes go in portions, so that a change costs no more when the limit is reached
        self.whole = True
        self.signed = False  # an era has begun, so every message names its publisher
        self.era = 0  # of the log; 0: not known yet
        self.past = False  # the era holds what was told before there were eras, and the cursors of then are good
        self.users: dict[int, Standing] = {}
        self.changes: list[Change] = []
        self.bytes = 0  # of the changes
        self.first = 0  # the position of `changes[0]`
        self.beginning = BEGINNING  # the cursor before the first change since the log is this one
        self._begun = 0  # and its position
        self.repeats = 0

    @property
    def end(self) -> int:
        """The position of the next change."""
        return self.first + len(self.changes)

    @property
    def cursor(self) -> str:
        """The position after the newest change."""
        return self.cursor_of(self.changes[-1]) if self.changes else self.beginning

    def cursor_of(self, change: Change) -> str:
        """The position right after a change. The checksum covers the era, so that it is no position of a log that was begun anew,
        even where that one holds the same message at the same offset."""
        return f"{change.offset:x}.{crc32(change.body, 0 if self.past else self.era % 2**32):08x}"

    def enter(self, era: int, past: bool) -> bool:
        """The log is in this era. In another one than before everything begins anew; True then."""
        another = self.era not in (0, era)
        if another:
            self.begin_anew()
        self.era, self.past = era, past
        return another

    def apply(self, change: Change, standing: Standing) -> bool:
        """Fold in the next message of the log. False for a repeat."""
        known = self.users.get(change.uid)
        if known is not None and not standing.follows(known):
            self.repeats += 1
            return False
        self.users[change.uid] = standing
        self.changes.append(change)
        self.bytes += CHANGE_BYTES + len(change.body)
        while len(self.changes) > self._kept + self._portion or self.bytes > self._kept_bytes:
            gone = self.changes[: min(self._portion, max(len(self.changes) // 8, 1))]
            del self.changes[: len(gone)]
            self.bytes -= _size(gone)
            self.first += len(gone)
        return True

    def position_of(self, cursor: str) -> int | None:
        """The position of the first change after `cursor`; None when it is not known, or no longer."""
        if cursor == self.beginning:
            return self._begun if self.first == self._begun and (self.whole or cursor != BEGINNING) else None
        read = _CURSOR.fullmatch(cursor)
        if read is None:
            return None
        index = bisect_left(self.changes, int(read[1], 16), key=lambda change: change.offset)
        known = index < len(self.changes) and self.cursor_of(self.changes[index]) == cursor
        return self.first + index + 1 if known else None

    def after(self, position: int, limit: int) -> Sequence[Change] | None:
        """At most `limit` changes from `position` on; None when some of them are gone."""
        index = position - self.first
        return None if index < 0 else self.changes[index : index + limit]

    def begin_anew(self) -> None:
        """Forget everything, because the log is another one than was folded, or a part of it is gone. Positions continue, so that a reader
        who holds an old position never takes a new change for an old one."""
        self.users, self.first, self.changes, self.bytes = {}, self.end + 1, [], 0
        self.beginning, self._begun = f"0.{secrets.token_hex(4)}", self.first

    def holdings(self) -> Iterator[Holding]:
        """The changes that are kept."""
        bound = replace(CHANGES, entries=self._kept + self._portion, bytes=self._kept_bytes)
        yield bound.holding(len(self.changes), self.bytes)

    def to_checkpoint(self) -> dict[str, Any]:
        """Everything, as plain data."""
        users = [[uid, *standing] for uid, standing in self.users.items()]
        return {
            "format": FORMAT,
            "whole": self.whole,
            "signed": self.signed,
            "era": self.era,
            "past": self.past,
            "first": self.first,
            "users": users,
            "changes": list(self.changes),
        }

    def from_checkpoint(self, data: Mapping[str, Any]) -> bool:
        """Take over what `to_checkpoint` gave, whole or not at all. False for another format."""
        if data.get("format") != FORMAT:
            return False
        users = {uid: Standing(*standing) for uid, *standing in data["users"]}
        changes = [Change(offset, uid, body) for offset, uid, body in data["changes"]]
        self.whole, self.first, self.users, self.changes = data["whole"], data["first"], users, changes
        self.bytes = _size(changes)
        self.signed, self.era, self.past = bool(data.get("signed", False)), data.get("era", 0), data.get("past", False)
        self.beginning, self._begun = data.get("beginning", BEGINNING), data.get("begun", 0)
        return True


def _size(changes: Sequence[Change]) -> int:
    return sum([CHANGE_BYTES + len(change.body) for change in changes])
