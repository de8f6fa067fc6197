"""`python -m bench [WORKLOAD...] [--quick | --against PYTHON]`: run workloads, print a table; `python -m bench soak …`: a long run.

Rule: exits 1 when a result was wrong; a missed target is only said.
"""

import argparse
import asyncio
import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import uvloop

from bench import audit, idle, machine, pairs, popups, replay, storm, takeover, verify
from bench.report import Target, WorkloadResult, table
from bench.rig import Rig
from flash.process.compose import cancelled_when_told_to_stop
from tests.support.missing import Missing

COMMANDS = {"fair": "bench.fair.__main__", "forgetting": "bench.forgetting", "soak": "bench.soak.__main__"}  # with options of their own
RUNS = 3  # the median of three ignores one disturbed run
RUNS_OF = {"takeover": 1}  # one run has twenty rounds and takes eight minutes
INTERRUPTED = 130  # the exit code that shells expect of a program that Ctrl-C ended
RUN_S, QUICK_S = 6.0, 2.0  # of each run; warming up and checking take two seconds more
PAIRS, QUICK_PAIRS = 500, 50

# This order starts the fewest installations.
WORKLOADS: Mapping[str, tuple[pairs.Workload, Mapping[str, Target]]] = {
    "one-home": (partial(popups.closed_loop, "one"), popups.ONE_HOME),
    "open-loop-one": (partial(popups.open_loop, "one"), popups.OPEN_LOOP_ONE),
    "two-homes": (partial(popups.closed_loop, "two"), popups.TWO_HOMES),
    "open-loop-two": (partial(popups.open_loop, "two"), popups.OPEN_LOOP_TWO),
    "on-postgresql": (partial(popups.closed_loop, "postgres"), popups.ON_POSTGRESQL),
    "takeover": (takeover.takeover, takeover.TAKEOVER),
    "prosody": (partial(popups.closed_loop, "prosody"), {}),
    "prosody-archive": (partial(popups.closed_loop, "prosody-archive"), {}),
    "login-storm": (storm.login_storm, storm.LOGIN_STORM),
    "replay": (replay.replay, replay.REPLAY),
    "idle": (idle.idle, idle.IDLE),
    "verify": (verify.verify, verify.VERIFY),
    "audit": (audit.audit, audit.AUDIT),
}
HEAD = ["workload", "figure", "median", "runs", "must", "aim", "reached"]


async def measure(names: Sequence[str], quick: bool, root: Path) -> list[WorkloadResult]:
    """Run the workloads and print the figures of each run."""
    results: list[WorkloadResult] = []
    # Without the first of these, servers would stay behind when the bench is told to stop, and disturb later measurements.
    with cancelled_when_told_to_stop(), contextlib.closing(Rig(root, QUICK_PAIRS if quick else PAIRS, quick)) as rig:
        for name in names:
            workload, targets = WORKLOADS[name]
            result = WorkloadResult(name, targets, [])
            for number in range(1 if quick else RUNS_OF.get(name, RUNS)):
                try:
                    run = await workload(rig, QUICK_S if quick else RUN_S)
                except Missing as lacking:
                    rig.notes.append(f"{name} was not run: {lacking}")
                    break
                result.runs.append(run)
                print(f"{name} {number + 1}: " + ", ".join(f"{figure} {value:.4g}" for figure, value in run.figures.items()), flush=True)
                for line in [*run.notes, *(f"WRONG: {fault}" for fault in run.faults[:10])]:
                    print(f"  {line}", flush=True)
            if result.runs:
                results.append(result)
    for note in rig.notes:
        print(f"note: {note}")
    return results


async def _in_turns(names: Sequence[str], other_python: str, count: int, root: Path) -> int:
    """Measure this version and another one in turns. Returns the exit code."""
    this = Rig(root / "this", PAIRS, False)
    other = Rig(root / "other", PAIRS, False, other_python, rabbit=lambda: this.rabbit())
    rows, faults = [pairs.HEAD], []
    with cancelled_when_told_to_stop(), contextlib.closing(this), contextlib.closing(other):
        for name in names:
            found, wrong = await pairs.compare(name, WORKLOADS[name][0], this, other, RUN_S, count)
            rows += found
            faults += wrong
    print(f"\n{table(rows)}\n")
    print("\n".join(f"WRONG: {fault}" for fault in faults) or "Results: all right.")
    return 1 if faults else 0


def main() -> int:
    """Run the command line. Returns the exit code."""
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        command: Callable[[], int] = importlib.import_module(COMMANDS[sys.argv.pop(1)]).main
        return command()
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Flash. See docs/benchmarks.md.")
    parser.add_argument("workload", nargs="*", metavar="WORKLOAD", help=f"one of {', '.join(WORKLOADS)}; all of them by default")
    parser.add_argument(
        "--quick", action="store_true", help="one short run each with fewer people: says whether results are right, not how fast"
    )
    parser.add_argument(
        "--against", metavar="PYTHON", help="the interpreter that has another version installed: run both in turns, print ratios"
    )
    parser.add_argument("--pairs", type=int, default=12, help="with --against, how many runs of each (12)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.workload if name not in WORKLOADS]
    if unknown:
        parser.error(f"unknown workload {unknown[0]!r}; there are {', '.join(WORKLOADS)}")
    names = [name for name in WORKLOADS if not arguments.workload or name in arguments.workload]
    with tempfile.TemporaryDirectory(prefix="flash-bench-") as root:
        for line in machine.facts(Path(root)):
            print(line)
        if arguments.against:
            return uvloop.run(_in_turns(names, arguments.against, arguments.pairs, Path(root)))
        try:
            results = uvloop.run(measure(names, arguments.quick, Path(root)))
        except (asyncio.CancelledError, KeyboardInterrupt):
            return INTERRUPTED
    if not results:
        return 1
    print()
    print(table([HEAD, *(row for result in results for row in result.rows())]))
    print()
    print("Load after it, our own included: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()))
    print("One machine, one moment: servers, broker and generator share its cores, and the work of other programs shows in every figure.")
    if arguments.quick:
        print("--quick: one short run with few people; the figures are not comparable with the targets.")
    else:
        print(f"Medians of {RUNS} runs (of takeover, one of many rounds); a single run says little. CPU per popup is steadier than time.")
    wrong = [result.workload for result in results if not result.right]
    print(f"Results: {'WRONG in ' + ', '.join(wrong) if wrong else 'all right: nothing lost, nothing doubled, everything in order'}.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
