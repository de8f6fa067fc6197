"""`python -m bench soak --minutes 60 --output FILE`: does a server's memory or the number of its descriptors grow for ever?

Rule: the exit code is 1 when a figure was not level or a promise was broken. The output has a line a minute, to be read while it runs; of a
whole run that stands in it, the table and the picture are made again without playing it.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.report import table
from bench.soak.picture import picture
from bench.soak.play import Minute, Plan, play
from bench.soak.samples import Sample, grown
from bench.soak.verdict import HEAD, MB, verdicts
from flash.process.compose import cancelled_when_told_to_stop


def lived(output: Path) -> list[Minute]:
    """The minutes of an earlier call, if it came to its end: a process that has ended cannot be looked at again, so an unfinished run
    begins anew."""
    lines = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    minutes = [Minute(**{**line, "samples": [Sample(**each) for each in line["samples"]]}) for line in lines]
    return minutes if minutes and minutes[-1].calm else []


async def _run(plan: Plan, output: Path) -> list[Minute]:
    minutes: list[Minute] = []
    with cancelled_when_told_to_stop(), tempfile.TemporaryDirectory(prefix="flash-soak-") as directory:
        async with contextlib.aclosing(play(Path(directory), plan)) as playing:
            async for minute in playing:
                minutes.append(minute)
                with output.open("a") as file:
                    file.write(json.dumps({**asdict(minute), "snapshots": {}}) + "\n")
                print(_line(minute), flush=True)
        if plan.trace:
            _tell_what_grew(minutes)
    return minutes


def _line(minute: Minute) -> str:
    held = ", ".join(f"{each.server} {each.rss / MB:.1f} MB {each.descriptors} descriptors" for each in minute.samples)
    return f"{'calm' if minute.calm else minute.number}: {held}; {minute.accepted} messages; {minute.problems or 'all right'}"


def _tell_what_grew(minutes: Sequence[Minute]) -> None:
    """In the second half, without the calm, by allocation."""
    for server, files in minutes[-1].snapshots.items():
        half, end = len(files) // 2, len(files) - 2  # the last one is of the calm
        print(f"\n{server}, from minute {half + 1} to minute {end + 1}:", *grown(files[half], files[end]), sep="\n  ")


def main() -> int:
    """Run the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench soak", description="A long run under a level load. See docs/benchmarks.md.")
    parser.add_argument("--minutes", type=int, default=60, help="how long (60)")
    parser.add_argument("--seed", type=int, help="of all that is left to chance; without it a random one, which is printed")
    parser.add_argument("--output", type=Path, required=True, help="a file outside the tree: one line a minute")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the curves")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has the version installed")
    parser.add_argument("--no-audit", action="store_true", help="nobody has the role ops, so the Global Server keeps no audit")
    parser.add_argument("--trace", action="store_true", help="say which allocations grew in the second half: slow, for ten minutes")
    told = parser.parse_args()
    seed = random.randrange(10**6) if told.seed is None else told.seed
    minutes = lived(told.output)
    if not minutes:
        print(f"seed {seed}")
        told.output.write_text("")
        minutes = asyncio.run(_run(Plan(told.minutes, seed, told.python, not told.no_audit, told.trace, fill=True), told.output))
    found, last = verdicts(minutes), minutes[-1]
    print(table([HEAD, *(verdict.cells() for verdict in found)]))
    print(f"seed {last.seed}: {last.accepted} messages, {last.deeds}, {last.answers}; {last.problems or 'nothing lost, nothing doubled'}")
    if told.picture:
        told.picture.write_text(picture(minutes))
    return int(bool(last.problems) or any(not verdict.is_level for verdict in found))


if __name__ == "__main__":
    sys.exit(main())
