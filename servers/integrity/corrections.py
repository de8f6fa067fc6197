"""Where ops accepted that a clock was put right. Rule: their word is an event of the log, and carries a proof under the server's own key.

Whoever may write the log and not the keys can append events of any time, but cannot have them accepted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from domain.events.integrity import ClockCorrected
from projections.audit.facts import fields_of
from servers.encryption.mac import mac
from servers.integrity.findings import Finding
from servers.store.log.event_log import Row


@dataclass(slots=True)
class Corrections:
    """`positions`: from each of them on, times count anew; `faults`: corrections that nobody may have made."""

    positions: list[int] = field(default_factory=list)
    faults: list[Finding] = field(default_factory=list)


def clock_proof(key: bytes, server: str, first: int, ahead_s: float, at: float) -> str:
    """What proves a correction."""
    return mac(key, f"clock {server}", f"{first} {ahead_s!r} {at!r}".encode()).hex()


def corrections(server: str, rows: Iterable[Row], key: bytes | None) -> Corrections:
    """Read the stream `clock-<server>`. Without `key` no proof can be checked, and each correction counts."""
    found = Corrections()
    for row in rows:
        first = _accepted(server, row, key)
        if first is not None:
            found.positions.append(first)
        else:
            what = f"{row.stream} v{row.version}: nobody who may use the server's keys accepted this clock"
            found.faults.append(Finding("backdated", row.position, row.position, {"the keys"}, what=what))
    found.positions.sort()
    return found


def _accepted(server: str, row: Row, key: bytes | None) -> int | None:
    """The position that a correction names; None when it is none of ours."""
    told = fields_of(row.data)
    first, ahead_s, at = told.get("first"), told.get("ahead_s"), told.get("at")
    if row.topic != ClockCorrected.TOPIC or not (isinstance(first, int) and isinstance(ahead_s, float) and isinstance(at, float)):
        return None
    if key is not None and told.get("proof") != clock_proof(key, server, first, ahead_s, at):
        return None
    return first
