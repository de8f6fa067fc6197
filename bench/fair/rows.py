"""What a row of the bench gives, its bounds, and the table. Rule: a row that stands in the output is not played again."""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.report import table

ALL, ALL_SHARE = "all", 0.2  # all attacks at once, each at a fifth of its rate
MOST_LOGIN_MS, MOST_MORE_MB, MOST_KEPT_MB = 500.0, 100.0, 20.0
HEAD = ["row", "p50 ms", "p99 ms", "machine ms", "login ms", "refused", "MB", "kept MB", "also timed", "answers", "bounds"]
ANSWERS = 9  # of each attack, so many different ones are shown


@dataclass(slots=True)
class Row:
    """What one row gave: milliseconds as `quiet beside after`; `machine`: the p99 beside the attack on a program that does nothing, less
    its quiet one; `more_mb` and `kept_mb`: by so much the servers grew beside the attack, and after it; `timed`: seconds of something else
    than a popup, quiet and beside the attack; `answers`: what the attackers were told, counted; `told`: what each of them is told, if its
    attack takes place."""

    name: str
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    login: list[float] = field(default_factory=list)
    refused: int = 0
    machine: float = 0.0
    more_mb: float = 0.0
    kept_mb: float = 0.0
    answers: dict[str, dict[str, int]] = field(default_factory=dict)
    timed: dict[str, list[float]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)

    @property
    def missed(self) -> list[str]:
        """The bounds that were missed."""
        times, more = (10.0, 100.0) if self.name == ALL else (3.0, 20.0)
        found = {
            "p99": self.p99[1] - self.machine > times * self.p99[0] + more,
            "login": self.login[1] - self.machine > MOST_LOGIN_MS,
            "refused": self.refused > 0,
            "memory": self.more_mb > MOST_MORE_MB,
            "kept": self.kept_mb > MOST_KEPT_MB,
            "no attack": any(told not in self.answers.get(name, ()) for name, told in self.told.items()),
            **{what: beside > times * quiet + more / 1e3 for what, (quiet, beside) in self.timed.items()},
        }
        return [name for name, is_missed in found.items() if is_missed]

    def cells(self) -> list[str]:
        """Its line of the table."""

        def phases(values: Sequence[float]) -> str:
            return " ".join(f"{value:.3g}" for value in values)

        timed = ", ".join(f"{what} {phases(seconds)} s" for what, seconds in self.timed.items())
        answers = ", ".join(f"{told}×{count}" for counted in self.answers.values() for told, count in sorted(counted.items())[:ANSWERS])
        return [
            self.name, phases(self.p50), phases(self.p99), f"{self.machine:.3g}", phases(self.login), str(self.refused),
            f"{self.more_mb:+.0f}", f"{self.kept_mb:+.0f}", timed, answers, ", ".join(self.missed) or "met",
        ]  # fmt: skip


def command_line(parser: argparse.ArgumentParser, rows: Sequence[str], arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What every bench of rows is told. Without a row, it is told all of them."""
    parser.add_argument("row", nargs="*", metavar="ROW", help=f"one of {', '.join(rows)}; all of them by default")
    parser.add_argument(
        "--output", type=Path, required=True, help="a file outside the tree: one line a row; a second call goes on after it"
    )
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has the version installed")
    parser.add_argument("--length", type=float, default=1.0, help="a part of the full times: a short run says little of a p99")
    told = parser.parse_args(arguments)
    if unknown := [name for name in told.row if name not in rows]:
        parser.error(f"unknown row {unknown[0]!r}; there are {', '.join(rows)}")
    told.row = told.row or list(rows)
    return told


async def play_missing(names: Sequence[str], output: Path, play: Callable[[str], Awaitable[Row]]) -> list[Row]:
    """Play the rows that do not stand in the output yet, and print the line of each. Returns all of these rows."""
    done = _played(output)
    for name in names:
        if name not in (row.name for row in done):
            row = await play(name)
            done.append(row)
            with output.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
            print(table([HEAD, row.cells()]), flush=True)
    return [row for row in done if row.name in names]


def _played(output: Path) -> list[Row]:
    """The rows of an earlier call."""
    return [Row(**json.loads(line)) for line in output.read_text().splitlines()] if output.exists() else []


def conclude(done: Sequence[Row]) -> int:
    """Print the whole table. Returns the exit code: 1 when a row missed its bounds."""
    print(table([HEAD, *(row.cells() for row in done)]))
    return int(any(row.missed for row in done))
