"""Targets, figures, and their table. Rule: the table shows the median of all runs, and the single runs beside it."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """The bounds of one figure. With `more`, a larger figure is better."""

    must: float
    aim: float | None = None
    more: bool = False

    def verdict(self, value: float) -> str:
        """`aim`, `met` or `MISSED`."""
        if self.aim is not None and self._reaches(value, self.aim):
            return "aim"
        return "met" if self._reaches(value, self.must) else "MISSED"

    def _reaches(self, value: float, bound: float) -> bool:
        return value >= bound if self.more else value <= bound


@dataclass(slots=True)
class Run:
    """One run of a workload. `faults` lists wrong results; it is empty when every result was right."""

    figures: dict[str, float]
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class WorkloadResult:
    """All runs of a workload."""

    workload: str
    targets: Mapping[str, Target]
    runs: list[Run]

    @property
    def right(self) -> bool:
        """Whether every result of every run was right."""
        return bool(self.runs) and not any(run.faults for run in self.runs)

    def rows(self) -> list[list[str]]:
        """Table cells: workload, figure, median, runs, must, aim, verdict."""
        rows: list[list[str]] = []
        for name in self.runs[0].figures if self.runs else ():
            values = [run.figures[name] for run in self.runs if name in run.figures]
            middle = statistics.median(values)
            target = self.targets.get(name)
            sign = "≥" if target is not None and target.more else "≤"
            bounds = ["", "", ""]
            if target is not None:
                aim = f"{sign} {amount(target.aim)}" if target.aim is not None else ""
                bounds = [f"{sign} {amount(target.must)}", aim, target.verdict(middle)]
            rows.append([self.workload, name, amount(middle), " ".join(amount(value) for value in values), *bounds])
        return rows


def amount(value: float) -> str:
    """A number with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this `share` (0 to 1) of all values is; NaN when there is no value."""
    if not values:
        return float("nan")
    ranked = sorted(values)
    return ranked[min(int(len(ranked) * share), len(ranked) - 1)]
