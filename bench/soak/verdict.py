"""Whether memory and descriptors were level. Rule: only the second half of a run counts, because caches fill up to their bounds first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.soak.play import Minute
from bench.soak.samples import Sample
from bench.soak.slope import Slope, theil_sen

MB = 1_000_000
HEAD = ["server", "figure", "start", "middle", "end", "a minute", "95 % interval", "must"]
FIGURES: dict[str, Callable[[Sample], float]] = {
    "memory, MB": lambda sample: sample.rss / MB,
    "descriptors": lambda sample: sample.descriptors,
}
BOUND = 0.1  # MB and descriptors a minute
LEAST = 4  # points of which a slope says anything


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure of one server."""

    server: str
    figure: str
    values: Sequence[float]
    slope: Slope

    @property
    def is_level(self) -> bool:
        """Whether the bound was met."""
        return self.slope.is_level(BOUND)

    def cells(self) -> list[str]:
        """Its line of the table."""
        shown = [f"{self.values[place]:.1f}" for place in (0, len(self.values) // 2, -1)]
        interval = f"{self.slope.low:+.3f} to {self.slope.high:+.3f}"
        return [self.server, self.figure, *shown, f"{self.slope.middle:+.3f}", interval, "met" if self.is_level else "MISSED"]


def series(minutes: Sequence[Minute], figure: Callable[[Sample], float]) -> dict[str, list[tuple[float, float]]]:
    """(minute, figure) of each server, without the calm."""
    found: dict[str, list[tuple[float, float]]] = {}
    for minute in minutes:
        for sample in minute.samples if not minute.calm else ():
            found.setdefault(sample.server, []).append((sample.minute, figure(sample)))
    return found


def verdicts(minutes: Sequence[Minute]) -> list[Verdict]:
    """Each figure of each server; nothing for a run that is too short."""
    found = []
    for name, figure in FIGURES.items():
        for server, points in series(minutes, figure).items():
            half = points[len(points) // 2 :]
            if len(half) >= LEAST:
                xs, ys = zip(*half, strict=True)
                found.append(Verdict(server, name, [value for _, value in points], theil_sen(xs, ys)))
    return found
