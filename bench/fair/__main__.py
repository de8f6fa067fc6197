"""`python -m bench.fair [ROW…] --output FILE`: play the rows, quiet, beside the attack and after it, and print a table.

Rule: a row that stands in the output is not played again; the exit code is 1 when a row that was played missed its bounds.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop

from bench.cost import memory
from bench.fair.attacks import ATTACKS
from bench.fair.town import OTHER_CORE, SERVER_CORE, build, copy_of, on_core
from bench.installation import adjacent_ports
from bench.processes import running
from bench.report import table
from flash.process.compose import cancelled_when_told_to_stop

QUIET_S, BESIDE_S, AFTER_S = 30.0, 60.0, 60.0
LEAD_S = 5.0  # an attack that prepares something begins so long before the victims
ALL, ALL_SHARE = "all", 0.2
FOES_NICE = "10"  # the victims go before the attackers
LOOK_S = 0.5  # between two looks at the server's memory
MOST_LOGIN_MS, MOST_MORE_MB, MOST_KEPT_MB = 500.0, 100.0, 20.0
MB = 1_000_000
HEAD = ["row", "p50 ms", "p99 ms", "machine ms", "login ms", "refused", "MB", "kept MB", "answers", "bounds"]


@dataclass(slots=True)
class Row:
    """What one row gave: milliseconds as `quiet beside after`; `machine`: the p99 beside the attack on a program that does nothing, less
    its quiet one; `more_mb` and `kept_mb`: by so much the process grew beside the attack, and after it."""

    name: str
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    login: list[float] = field(default_factory=list)
    refused: int = 0
    machine: float = 0.0
    more_mb: float = 0.0
    kept_mb: float = 0.0
    answers: dict[str, dict[str, int]] = field(default_factory=dict)

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
        }
        return [name for name, is_missed in found.items() if is_missed]

    def cells(self) -> list[str]:
        """Its line of the table."""

        def phases(values: Sequence[float]) -> str:
            return " ".join(f"{value:.3g}" for value in values)

        answers = ", ".join(f"{status}×{count}" for counted in self.answers.values() for status, count in sorted(counted.items())[:4])
        return [
            self.name, phases(self.p50), phases(self.p99), f"{self.machine:.3g}", phases(self.login), str(self.refused),
            f"{self.more_mb:+.0f}", f"{self.kept_mb:+.0f}", answers, ", ".join(self.missed) or "met",
        ]  # fmt: skip


async def _program(*command: str, nice: str = "0") -> Any:
    with on_core(OTHER_CORE):
        process = await asyncio.create_subprocess_exec("nice", "-n", nice, sys.executable, "-m", *command, stdout=asyncio.subprocess.PIPE)
    try:
        told, _ = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return json.loads(told)


@contextlib.asynccontextmanager
async def _victims(where: Sequence[str]) -> AsyncIterator[Callable[[float], Awaitable[dict[str, float]]]]:
    with on_core(OTHER_CORE):
        victims = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.fair.victim", *where, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
    told, answered = victims.stdin, victims.stdout
    assert told is not None
    assert answered is not None

    async def talk(seconds: float) -> dict[str, float]:
        told.write(f"{seconds}\n".encode())
        return cast(dict[str, float], json.loads(await answered.readline()))

    try:
        yield talk
        told.close()
    except BaseException:
        victims.terminate()
        raise
    finally:
        await victims.wait()


@contextlib.asynccontextmanager
async def _attack(row: str, where: Sequence[str], seconds: float, answers: dict[str, dict[str, int]]) -> AsyncIterator[None]:
    names, share = (list(ATTACKS), ALL_SHARE) if row == ALL else ([row], 1.0)
    attack = asyncio.create_task(_program("bench.fair.attacker", *where, str(seconds + LEAD_S), str(share), *names, nice=FOES_NICE))
    await asyncio.sleep(LEAD_S)
    yield
    answers.update(await attack)


@contextlib.asynccontextmanager
async def _watched(pid: int) -> AsyncIterator[list[int]]:
    """The resident bytes of a process, which grow by one figure every half a second."""
    grown: list[int] = []

    async def look() -> None:
        while True:
            grown.append(memory(pid).rss)
            await asyncio.sleep(LOOK_S)

    looking = asyncio.create_task(look())
    try:
        yield grown
    finally:
        looking.cancel()
        await asyncio.wait([looking])


async def play(name: str, built: Path, python: str, length: float) -> Row:
    """One row. `length`: 1 for the full times."""
    row = Row(name)
    quiet_s, beside_s, after_s = (seconds * length for seconds in (QUIET_S, BESIDE_S, AFTER_S))
    with copy_of(built, python) as installation:
        where = [str(installation.data), str(installation.global_port), str(installation.homes["h1"])]
        async with _watched(installation.pids[0]) as grown, _victims(where) as talk:
            phases = [await talk(quiet_s)]
            before = grown[-1]
            async with _attack(name, where, beside_s + 2.0, row.answers):
                phases.append(await talk(beside_s))
            phases.append(await talk(after_s))
        row.more_mb, row.kept_mb = (max(grown) - before) / MB, (memory(installation.pids[0]).rss - before) / MB
        row.p50, row.p99, row.login = ([phase[figure] for phase in phases] for figure in ("p50", "p99", "login"))
        row.refused = int(phases[1]["refused"])
        data = installation.data
        row.machine = await _machine(name, data, length)
    return row


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


async def _machine(name: str, data: Path, length: float) -> float:
    """By how many ms the victims are late because the attackers share their core."""
    port = adjacent_ports(2)
    where = [str(data), str(port), str(port + 1)]
    command = [sys.executable, "-m", "bench.fair.nothing", str(port), str(port + 1)]
    with contextlib.ExitStack() as stack:
        with on_core(SERVER_CORE):
            stack.enter_context(running("nothing", command, data / "nothing.out", os.environ, lambda: _listens(port + 1)))
        quiet = await _program("bench.fair.victim", *where, "--nothing", str(10 * length))
        async with _attack(name, where, 20 * length, {}):
            beside = await _program("bench.fair.victim", *where, "--nothing", str(20 * length))
    return max(float(beside["p99"]) - float(quiet["p99"]), 0.0)


def _played(output: Path) -> list[Row]:
    """The rows of an earlier call."""
    return [Row(**json.loads(line)) for line in output.read_text().splitlines()] if output.exists() else []


async def _run(names: Sequence[str], output: Path, town: Path, python: str, length: float) -> list[Row]:
    done = _played(output)
    with cancelled_when_told_to_stop():
        built = await build(town, python)
        for name in names:
            if name in (row.name for row in done):
                continue
            row = await play(name, built, python, length)
            done.append(row)
            with output.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
            print(table([HEAD, row.cells()]), flush=True)
    return [row for row in done if row.name in names]


def main() -> int:
    """Run the command line. Returns the exit code."""
    rows = [*ATTACKS, ALL]
    parser = argparse.ArgumentParser(
        prog="python -m bench.fair", description="What everybody else notices of attacks. See docs/benchmarks.md."
    )
    parser.add_argument("row", nargs="*", metavar="ROW", help=f"one of {', '.join(rows)}; all of them by default")
    parser.add_argument(
        "--output", type=Path, required=True, help="a file outside the tree: one line a row; a second call goes on after it"
    )
    parser.add_argument("--town", type=Path, help="a directory for the registered people, who are made once (a few minutes) and kept")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has the version installed")
    parser.add_argument("--length", type=float, default=1.0, help="a part of the full times: a short run says little of a p99")
    told = parser.parse_args()
    unknown = [name for name in told.row if name not in rows]
    if unknown:
        parser.error(f"unknown row {unknown[0]!r}; there are {', '.join(rows)}")
    with tempfile.TemporaryDirectory(prefix="flash-fair-") as root:
        town = told.town or Path(root)
        town.mkdir(parents=True, exist_ok=True)
        done = uvloop.run(_run(told.row or rows, told.output, town, told.python, told.length))
    print(table([HEAD, *(row.cells() for row in done)]))
    return int(any(row.missed for row in done))


if __name__ == "__main__":
    sys.exit(main())
