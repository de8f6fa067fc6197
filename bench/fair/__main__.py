"""`python -m bench.fair [ROW…] --output FILE`: play the rows of nobody and of users, and print a table.

Rule: a row that stands in the output is not played again; the exit code is 1 when a row that was played missed its bounds.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import uvloop

from bench.fair.attacks import ATTACKS, TOLD
from bench.fair.phases import machine_ms, pass_through
from bench.fair.programs import Attack, nothing
from bench.fair.rows import ALL, ALL_SHARE, Row, command_line, conclude, play_missing
from bench.fair.town import SERVER_CORE, build, copy_of
from flash.process.compose import cancelled_when_told_to_stop

ATTACKER = "bench.fair.attacker"


async def play(name: str, built: Path, python: str, length: float) -> Row:
    """One row. `length`: 1 for the full times."""
    names, share = (list(ATTACKS), ALL_SHARE) if name == ALL else ([name], 1.0)
    row = Row(name, told={each: str(TOLD[each]) for each in names if each in TOLD})
    with copy_of(built, python) as installation:
        where = [str(installation.data), str(installation.global_port), str(installation.homes["h1"])]
        await pass_through(row, installation.pids, where, Attack(ATTACKER, where, names, share), length)
        with nothing(installation.data, 1, SERVER_CORE) as where:
            row.machine = await machine_ms(where, Attack(ATTACKER, where, names, share), length)
    return row


async def _run(names: Sequence[str], output: Path, town: Path, python: str, length: float) -> list[Row]:
    with cancelled_when_told_to_stop():
        built = await build(town, python)
        return await play_missing(names, output, partial(play, built=built, python=python, length=length))


def main() -> int:
    """Run the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.fair", description="What everybody else notices of attacks. See docs/benchmarks.md."
    )
    parser.add_argument("--town", type=Path, help="a directory for the registered people, who are made once (a few minutes) and kept")
    told = command_line(parser, [*ATTACKS, ALL])
    with tempfile.TemporaryDirectory(prefix="flash-fair-") as root:
        town = told.town or Path(root)
        town.mkdir(parents=True, exist_ok=True)
        return conclude(uvloop.run(_run(told.row, told.output, town, told.python, told.length)))


if __name__ == "__main__":
    sys.exit(main())
