"""`python -m bench.fair.homes [ROW…] --output FILE`: play the rows of a hostile home. Rule: as `bench/fair/__main__.py`, with two homes, a
Global Server and a RabbitMQ of its own; popups go from h1 to h2.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path

import uvloop

from bench.cost import memory
from bench.fair.__main__ import AFTER_S, ALL, ALL_SHARE, BESIDE_S, FOES_NICE, HEAD, LEAD_S, LOOK_S, MB, QUIET_S, Row
from bench.fair.__main__ import _played as played
from bench.fair.__main__ import _program as program
from bench.fair.__main__ import _victims as victims
from bench.fair.homes.attacks import HOME_ATTACKS
from bench.fair.homes.hostile import NAME
from bench.fair.town import LINES, OTHER_CORE, SERVER_CORE, on_core
from bench.installation import Installation, real_installation
from bench.people import add_contacts, register, save
from bench.report import table
from flash.process.compose import cancelled_when_told_to_stop
from tests.support.rabbitmq import PrivateRabbit
from tests.support.rabbitmq_users import allow, user_url


@contextlib.asynccontextmanager
async def _field(root: Path, rabbit: PrivateRabbit, python: str) -> AsyncIterator[tuple[Installation, str]]:
    """Running servers with the victims registered, and the URL of the hostile home's user of the broker."""
    url = rabbit.new_vhost()
    with contextlib.ExitStack() as stack:
        with on_core(SERVER_CORE):
            installation = stack.enter_context(real_installation(root / "data", ("h1", "h2"), url, rabbit.pids, python=python))
        people = await register(installation, 2 * LINES)
        senders, recipients = ([person for person in people if person.home == home] for home in ("h1", "h2"))
        await add_contacts(zip(senders, recipients, strict=True))
        save([*senders, *recipients], installation.data)
        allow(rabbit, url, NAME)
        yield installation, user_url(url, NAME)


@contextlib.asynccontextmanager
async def _watched(installation: Installation) -> AsyncIterator[list[int]]:
    """The resident bytes of all servers, which grow by one figure every half a second."""
    grown: list[int] = []

    async def look() -> None:
        while True:
            grown.append(_resident(installation))
            await asyncio.sleep(LOOK_S)

    looking = asyncio.create_task(look())
    try:
        yield grown
    finally:
        looking.cancel()
        await asyncio.wait([looking])


def _resident(installation: Installation) -> int:
    return sum(memory(pid).rss for pid in installation.pids)


async def _audit_s(installation: Installation, python: str) -> float:
    """How long the audit takes to read the history anew and to answer."""
    began = time.perf_counter()
    store = installation.data / "audit-of-the-bench.db"
    command = [python, "-m", "flash", "audit", "status", "--store", str(store)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    await process.wait()
    return time.perf_counter() - began


async def play(name: str, root: Path, rabbit: PrivateRabbit, python: str, length: float) -> Row:
    """One row. `length`: 1 for the full times."""
    row = Row(name)
    names, share = (list(HOME_ATTACKS), ALL_SHARE) if name == ALL else ([name], 1.0)
    quiet_s, beside_s, after_s = (seconds * length for seconds in (QUIET_S, BESIDE_S, AFTER_S))
    async with _field(root, rabbit, python) as (installation, url):
        where = [str(installation.data), str(installation.global_port), *map(str, installation.homes.values())]

        def attack(seconds: float, *rows: str) -> asyncio.Task[dict[str, int]]:
            told = ("bench.fair.homes.attacker", str(installation.data), url, str(seconds), str(share), *rows)
            return asyncio.create_task(program(*told, nice=FOES_NICE))

        await attack(0.1)  # it is enrolled
        async with _watched(installation) as grown, victims(where) as talk:
            phases = [await talk(quiet_s)]
            before = grown[-1]
            attacking = attack(beside_s + LEAD_S + 2.0, *names)
            await asyncio.sleep(LEAD_S)
            phases.append(await talk(beside_s))
            row.answers[name] = await attacking
            phases.append(await talk(after_s))
        row.more_mb = (max(grown) - before) / MB
        row.kept_mb = (_resident(installation) - before) / MB
        row.p50, row.p99, row.login = ([phase[figure] for phase in phases] for figure in ("p50", "p99", "login"))
        row.refused = int(phases[1]["refused"])
    return row


async def _run(names: Sequence[str], output: Path, root: Path, python: str, length: float) -> list[Row]:
    done = played(output)
    with on_core(OTHER_CORE):
        rabbit = PrivateRabbit(root / "rabbitmq")
        rabbit.start()
    try:
        with cancelled_when_told_to_stop():
            for name in names:
                if name not in (row.name for row in done):
                    row = await play(name, root / name, rabbit, python, length)
                    done.append(row)
                    with output.open("a") as file:
                        file.write(json.dumps(asdict(row)) + "\n")
                    print(table([HEAD, row.cells()]), flush=True)
    finally:
        rabbit.close()
    return [row for row in done if row.name in names]


def main() -> int:
    """Run the command line. Returns the exit code."""
    rows = [*HOME_ATTACKS, ALL]
    parser = argparse.ArgumentParser(prog="python -m bench.fair.homes", description="What everybody else notices of a hostile home.")
    parser.add_argument("row", nargs="*", metavar="ROW", help=f"one of {', '.join(rows)}; all of them by default")
    parser.add_argument("--output", type=Path, required=True, help="a file outside the tree: a second call goes on after it")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has the version installed")
    parser.add_argument("--length", type=float, default=1.0, help="a part of the full times")
    told = parser.parse_args()
    unknown = [name for name in told.row if name not in rows]
    if unknown:
        parser.error(f"unknown row {unknown[0]!r}; there are {', '.join(rows)}")
    with tempfile.TemporaryDirectory(prefix="flash-fair-") as root:
        done = uvloop.run(_run(told.row or rows, told.output, Path(root), told.python, told.length))
    print(table([HEAD, *(row.cells() for row in done)]))
    return int(any(row.missed for row in done))


if __name__ == "__main__":
    sys.exit(main())
