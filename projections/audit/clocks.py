"""When each event happened, by the order of its server's log. Rule: pure; a time that runs backwards counts as that of what stands before.

Events are stored at their server's clock, so times rise as positions do. An event that is far before an earlier one was backdated, or its
server's clock had been ahead; its own time is kept beside the moment that counts, because only ops know which of both it was.
"""

from dataclasses import dataclass, field

SKEW_S = 30.0  # as far as a clock may be set back, or two processes of one server may differ


@dataclass(slots=True)
class Clocks:
    """`newest`: of each server, the latest time that its log has told so far."""

    newest: dict[str, float] = field(default_factory=dict)

    def moment(self, source: str, time: float) -> float:
        """The moment that counts for the next event of a server's log."""
        newest = self.newest.get(source)
        if newest is not None and time < newest - SKEW_S:
            return newest
        if newest is None or time > newest:
            self.newest[source] = time
        return time
