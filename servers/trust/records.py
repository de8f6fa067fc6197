"""What a server keeps of itself and of others so that it can believe them after a restart. Rule: it lies with the keys of personal data,
and two processes that serve one server agree on it: who is second takes what the first one stored.
"""

from collections.abc import Callable
from typing import Protocol

from domain.errors import Unavailable

IDENTITY = "identity"  # the Ed25519 private key
BOX_KEYS = "box keys"  # the X25519 private keys
GLOBAL_KEY = "global key"  # the pinned public key of the Global Server
CERTIFICATE = "certificate"  # our own
REVOKED = "revoked"  # the highest revoked number of each name
CARD = "card "  # and a name: what that server showed
ENROLMENT = "enrolment "  # and the name of a home: a secret that is good once; at the Global Server only
HOMES = "homes"  # name and URL of every home that was announced, for the commands; at the Global Server only
LOSS = "loss "  # and the name of a server that waits until the ops accept what it has lost: that, in words; at the Global Server only
STANDING = "standing"  # the Global Server's signed word of how far its log had come: kept by homes, and by itself when it was set back
WISH = "wish "  # and an id: what the ops ask of the Global Server; there only


class RecordTable(Protocol):
    """Where records lie. Every call blocks and may raise `Unavailable`."""

    def records(self, prefix: str = "") -> dict[str, bytes]:
        """All whose name begins with `prefix`."""

    def change_record(self, name: str, old: bytes | None, new: bytes | None) -> bool:
        """Durably put `new` in the place of `old`, where None stands for no record. False when the record is not `old`: nothing changed."""


PASSING = (ENROLMENT, WISH)  # of no use in a backup: their time is over when it is needed


def copy_records(source: RecordTable, target: RecordTable) -> int:
    """Copy all records; one that is in the target already stays as it is there. Returns how many there are. Blocks. Raises
    `Unavailable`."""
    found = source.records()
    for name, value in found.items():
        target.change_record(name, None, value)
    return len(found)


def restore_records(saved: RecordTable, target: RecordTable) -> None:
    """Put the records of a backup back. What the target still has wins, unless it is a new identity that nobody has certified, of a server
    that was started without its records. Blocks. Raises `Unavailable`."""
    there = target.records()
    for name, value in saved.records().items():
        if not name.startswith(PASSING) and (name not in there or CERTIFICATE not in there):
            target.change_record(name, there.get(name), value)


class Records:
    """One server's trust records. Every call blocks and may raise `Unavailable`."""

    def __init__(self, table: RecordTable) -> None:
        self._table = table

    def everything(self, prefix: str = "") -> dict[str, bytes]:
        """All records whose name begins with `prefix`."""
        return self._table.records(prefix)

    def read(self, name: str) -> bytes | None:
        """One record."""
        return self._table.records(name).get(name)

    def first(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The record, made by `make` where there is none; another process may have been first."""
        if (kept := self.read(name)) is None:
            self._table.change_record(name, None, make())
            kept = self.read(name)
        if kept is None:
            raise Unavailable(f"The record {name!r} cannot be kept.")
        return kept

    def change(self, name: str, old: bytes | None, new: bytes | None) -> bool:
        """Put `new` in the place of `old`. False when another process was first."""
        return self._table.change_record(name, old, new)

    def remove(self, name: str) -> None:
        """Take a record away, whatever it is."""
        while (kept := self.read(name)) is not None and not self._table.change_record(name, kept, None):
            pass

    def put(self, name: str, value: bytes) -> None:
        """Store what any process may overwrite."""
        while not self._table.change_record(name, self.read(name), value):
            pass
