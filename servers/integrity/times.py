"""Whether the times of a log rise as its positions do. Rule: only ops say that a clock was put right, and their word carries a proof.

Each event is stored at its server's own clock, so `at` rises with the position. An event that somebody appended later with an earlier time
runs backwards. A clock may be set back a little, and two Global Servers may differ a little; both stay within `SKEW_S`.
"""

from collections.abc import Mapping
from typing import Any

from projections.audit.clocks import SKEW_S
from servers.integrity.corrections import Corrections
from servers.integrity.findings import Finding
from servers.integrity.witnesses import name_of
from servers.store.log.event_log import Row


class TimeOrder:
    """Finds events whose times run backwards. `corrections`: where ops accepted it."""

    name = "the order of the log"

    def __init__(self, corrections: Corrections) -> None:
        self._anew = list(corrections.positions)
        self._newest = float("-inf")
        self._newest_at = 0  # the position that had this time
        self._found = list(corrections.faults)

    def see(self, row: Row, fields: Mapping[str, Any]) -> None:
        """The next row, and its stored fields."""
        at = fields.get("at")
        if not isinstance(at, int | float):
            return
        while self._anew and row.position >= self._anew[0]:
            self._anew.pop(0)
            self._newest = float("-inf")
        if at < self._newest - SKEW_S:
            what = f"{name_of(row)}, {self._newest - at:.0f} s before the time of position {self._newest_at}"
            self._found.append(Finding("backdated", row.position, row.position, {self.name}, what=what))
        elif at > self._newest:
            self._newest, self._newest_at = at, row.position

    def findings(self) -> list[Finding]:
        """What was found."""
        return self._found
