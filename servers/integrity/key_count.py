"""Whether each person's key is there, and is destroyed where the person left. Rule: keys are counted, never read.

A key is on disk before anything is encrypted with it, and a destroyed key leaves its row without bytes. So a row that is missing was
deleted, and a row without bytes needs the event that closed the account.
"""

from collections.abc import Mapping
from typing import Any

from domain.event import stream_uid
from domain.events.every import every_event
from servers.encryption.event_codec import ENCRYPTED
from servers.integrity.findings import Finding
from servers.store.log.event_log import Row

ERASING = frozenset(kind.TOPIC for kind in every_event() if kind.ERASES)


class KeyCount:
    """Compares the keys with the log. `destroyed`: of each owner that has a row, whether its key is destroyed; None where nobody
    may look."""

    name = "the keys"

    def __init__(self, destroyed: Mapping[int, bool] | None) -> None:
        self.destroyed = destroyed
        self._first: dict[int, int] = {}  # owner -> the first position of something that is encrypted with their key
        self._closed: dict[int, int] = {}  # user -> the position of the event that closed their account

    def see(self, row: Row, fields: Mapping[str, Any]) -> None:
        """The next row, and its stored fields."""
        encrypted = fields.get(ENCRYPTED)
        for entry in encrypted if isinstance(encrypted, list) else ():
            if isinstance(entry, list) and entry and type(entry[0]) is int and entry[0] > 0:
                self._first.setdefault(entry[0], row.position)
        if row.topic in ERASING and row.stream.partition("-")[2].isdecimal():
            self._closed.setdefault(stream_uid(row.stream), row.position)

    def findings(self, sealed: int) -> list[Finding]:
        """What was found. `sealed`: a server may still be busy with destroying the key of a user who left after this position."""
        if self.destroyed is None:
            return []
        found = [
            Finding("key", position, position, {self.name}, what=f"the key of user {uid} was deleted, and not destroyed")
            for uid, position in (self._closed | self._first).items()
            if uid not in self.destroyed and (uid in self._first or position <= sealed)
        ]
        for uid, destroyed in self.destroyed.items():
            if uid <= 0:
                continue
            closed = self._closed.get(uid)
            if destroyed and closed is None:
                position = self._first.get(uid, 0)
                found.append(Finding("key", position, position, {self.name}, what=f"the key of user {uid} was destroyed without a closing"))
            elif not destroyed and closed is not None and closed <= sealed:
                found.append(Finding("key", closed, closed, {self.name}, what=f"the key of user {uid} outlived the closing of the account"))
        return found
