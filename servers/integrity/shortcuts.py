"""Whether the snapshots and checkpoints beside a log are the server's own. Rule: they are only checked, never read.

A server does not believe one without its proof, and folds its log anew. What stands here with a wrong proof was put there by somebody else;
what has none is of a version before 30 November 2026, or had its proof cut off, and does no harm.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from servers.encryption.mac import MARK, NotOurs, checked
from servers.integrity.findings import Finding
from servers.store.event_store import snapshot_place
from servers.store.log.event_log import LogView
from servers.writing.projector import place_of

WHO = "the server's own key"


def forged_snapshots(log: LogView, key: bytes) -> Iterator[Finding]:
    """A finding at the position of the event that each forged snapshot claims to follow; 0 when there is none."""
    for stream, version, stored in log.snapshots():
        if not _ours(key, snapshot_place(stream, version), stored):
            position = next((row.position for row in log.stream(stream) if row.version == version), 0)
            yield Finding("snapshot", position, position, {WHO}, what=f"the stored snapshot of {stream} v{version}")


def forged_checkpoints(files: Iterable[Path], key: bytes) -> Iterator[Finding]:
    """A finding for each forged file."""
    for path in files:
        if not _ours(key, place_of(path), path.read_bytes()):
            yield Finding("snapshot", 0, 0, {WHO}, what=f"the file {path.parent.name}/{path.name}")


def _ours(key: bytes, place: str, stored: object) -> bool:
    if isinstance(stored, bytes) and not stored.startswith(MARK):
        return True
    try:
        checked(key, place, stored)
    except NotOurs:
        return False
    return True
