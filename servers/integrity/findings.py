"""What is wrong with a log, in words that have one meaning each. Rule: a finding names a position and the witnesses that say so.

changed    another event stands there than was sealed        removed    no event stands there any more
inserted   an event stands there that never was sealed       cut_off    everything from there to the end is gone
moved      the event of another position stands there        seal       a seal itself is wrong
backdated  its time is far before that of an earlier event   foreign    its stream belongs to another server
key        a person's key and the log contradict each other  time       the history tells another time than the event itself
snapshot   a snapshot or checkpoint was put there by another
missing    there is no log, but something says there was    altered    the history was changed after it was signed
twice      the history tells two events at one position
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

NEVER_MERGED = frozenset({"seal", "key", "snapshot", "twice", "altered"})  # each has something else to say
MAX_DIFFERENCES = 100_000  # per witness: a log that differs in more is not mended by looking at each


@dataclass(slots=True)
class Finding:
    """What is wrong from `position` to `to`. `was`: where the first moved event belongs; `says`: the names of the witnesses."""

    kind: str
    position: int
    to: int
    says: set[str]
    was: int | None = None
    what: str = ""  # the stream, version and topic that stand there now, or what is wrong with a seal

    def __str__(self) -> str:
        where = f"position {self.position}" if self.position == self.to else f"positions {self.position} to {self.to}"
        origin = "" if self.was is None else f", sealed at {self.was}"
        if self.was is not None and self.to > self.position:
            origin += f" to {self.was + self.to - self.position}"
        return f"{self.kind}: {where}{origin}{f' ({self.what})' if self.what else ''}; says {', '.join(sorted(self.says))}"


@dataclass(slots=True)
class Differences:
    """Where a log and one witness differ. `gone`: marks that the witness knows, by position; `here`: marks and names that the log has."""

    gone: dict[int, str] = field(default_factory=dict)
    here: dict[int, tuple[str, str]] = field(default_factory=dict)
    more: int = 0  # beyond `MAX_DIFFERENCES`

    def __bool__(self) -> bool:
        return bool(self.gone or self.here)

    def add_gone(self, position: int, mark: str) -> None:
        """The witness knows an event there that the log lacks."""
        if len(self.gone) < MAX_DIFFERENCES:
            self.gone[position] = mark
        else:
            self.more += 1

    def add_here(self, position: int, mark: str, name: str) -> None:
        """The log has an event there that the witness does not know."""
        if len(self.here) < MAX_DIFFERENCES:
            self.here[position] = (mark, name)
        else:
            self.more += 1

    def findings(self, witness: str, elsewhere: Mapping[str, int], end: int) -> list[Finding]:
        """One finding per position. `elsewhere`: events that the witness cannot know yet, by mark; `end`: the log's last position."""
        belongs = {mark: position for position, mark in self.gone.items()}
        stands = {mark for mark, _ in self.here.values()} | elsewhere.keys()
        found: list[Finding] = []

        def add(kind: str, position: int, name: str = "", was: int | None = None) -> None:
            found.append(Finding(kind, position, position, {witness}, was, name))

        for position in sorted(self.gone.keys() | self.here.keys()):
            was = self.gone.get(position)
            mark, name = self.here.get(position, (None, ""))
            if mark is not None and mark in belongs:
                add("moved", position, name, belongs[mark])
                if was is not None and was not in stands:
                    add("removed", position)
            elif mark is not None:
                add("changed" if was is not None and was not in stands else "inserted", position, name)
            elif was is not None and was not in stands:
                add("cut_off" if position > end else "removed", position)
        found.extend(Finding("moved", elsewhere[mark], elsewhere[mark], {witness}, at) for mark, at in belongs.items() if mark in elsewhere)
        return found


def gather(findings: Iterable[Finding]) -> list[Finding]:
    """Merge findings that several witnesses share, and those of adjacent positions. Sorted by position."""
    single: dict[tuple[str, int, int | None, str], Finding] = {}
    for finding in findings:
        what = finding.what if finding.kind in ("key", "snapshot") else ""
        known = single.setdefault((finding.kind, finding.position, finding.was, what), finding)
        known.says |= finding.says
    for moved in [f for f in single.values() if f.kind == "moved"]:  # where an event belongs says more than that one is missing
        for kind in ("inserted", "changed"):
            if (less := single.pop((kind, moved.position, None, ""), None)) is not None:
                moved.says |= less.says
    rows: list[Finding] = []
    for finding in sorted(single.values(), key=lambda f: (f.kind, f.position)):
        last = rows[-1] if rows else None
        if last is not None and _continues(last, finding):
            last.to = finding.to
            last.says |= finding.says
            last.what = ""
        else:
            rows.append(finding)
    return sorted(rows, key=lambda f: (f.position, f.kind))


def _continues(last: Finding, finding: Finding) -> bool:
    if last.kind != finding.kind or last.kind in NEVER_MERGED or finding.position != last.to + 1:
        return False
    offset = None if last.was is None else last.was - last.position
    return offset == (None if finding.was is None else finding.was - finding.position)
