"""Two versions of Flash, measured in turns. Rule: only ratios of runs that follow each other are compared, because the machine drifts.

The generator is this tree's for both versions. Each pair of runs gives one ratio for each figure; the table shows the median of the ratios
and its 95 % interval, which the ranks of the sorted ratios give without assuming any distribution.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from bench.report import Run, amount
from bench.rig import Rig

HEAD = ["workload", "figure", "this", "other", "ratio", "95 % interval", "pairs"]
UNCERTAIN = 0.05  # the chance that the true median lies outside the interval

Workload = Callable[[Rig, float], Awaitable[Run]]


async def compare(name: str, workload: Workload, this: Rig, other: Rig, run_s: float, pairs: int) -> tuple[list[list[str]], list[str]]:
    """Run a workload on both versions, `pairs` times. Returns the rows of the table, and what was wrong."""
    values: dict[str, list[tuple[float, float]]] = defaultdict(list)
    faults: list[str] = []
    for number in range(pairs):
        runs: dict[Rig, Run] = {}
        for rig in (this, other) if number % 2 == 0 else (other, this):
            runs[rig] = await workload(rig, run_s)
            faults += [f"{name}, {'this' if rig is this else 'other'} version: {fault}" for fault in runs[rig].faults]
        for figure, mine in runs[this].figures.items():
            if figure in runs[other].figures:
                values[figure].append((mine, runs[other].figures[figure]))
        print(
            f"{name} {number + 1}: " + ", ".join(f"{figure} {amount(row[-1][0])} : {amount(row[-1][1])}" for figure, row in values.items()),
            flush=True,
        )
    return [_row(name, figure, found) for figure, found in values.items()], faults


def _row(name: str, figure: str, found: Sequence[tuple[float, float]]) -> list[str]:
    mine, theirs = (statistics.median(each) for each in zip(*found, strict=True))
    ratios = sorted(this / other if other else math.nan for this, other in found)
    low, high = interval(ratios)
    return [name, figure, amount(mine), amount(theirs), f"{statistics.median(ratios):.3f}", f"{low:.3f} to {high:.3f}", str(len(found))]


def interval(ranked: Sequence[float]) -> tuple[float, float]:
    """The bounds between which the true median lies with 95 % probability; the extremes where there are too few values to say it."""
    count, outside, cut = len(ranked), 0.0, 0
    while cut < count // 2:
        outside += 2 * math.comb(count, cut) / 2**count
        if outside > UNCERTAIN:
            break
        cut += 1
    first = max(cut - 1, 0)
    return ranked[first], ranked[-1 - first]
