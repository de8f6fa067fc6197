"""The victims: `python -m bench.fair.victim DIRECTORY PORT PORT… [--nothing SECONDS]`. Rule: they do what people do, and time it from when
it was due.

Twenty popups a second between twenty pairs, and one sign-in a second. Each line of the input says for how many seconds, and is answered by
one JSON object. With `--nothing` the ports belong to the program that answers 503: requests are sent at the same times, and their answers
are timed.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import uvloop

from bench.fair.town import Town, town_of
from bench.http_client import Poster, request
from bench.lines import Line
from bench.load import Load
from bench.people import PASSWORD
from bench.report import percentile

PER_S = 20.0
WARM_S = 1.0


async def _sign_in(town: Town, number: int, port: int, took: list[float], refused: list[int]) -> None:
    handle = f"user{number % (len(town.senders) + len(town.recipients))}"
    start = time.perf_counter()
    poster = await Poster.connect(port)
    status, _ = await poster.call(request("POST", "/v1/tokens", None, json.dumps({"handle": handle, "password": PASSWORD}).encode()))
    took.append(time.perf_counter() - start)
    if status != 200:
        refused.append(status)
    poster.close()


async def _every_second(town: Town, port: int, took: list[float], refused: list[int]) -> None:
    async with asyncio.TaskGroup() as signing:
        for number in range(10_000):
            signing.create_task(_sign_in(town, number, port, took, refused))
            await asyncio.sleep(1.0)


async def talk(town: Town, port: int, phases: Iterable[float]) -> None:
    """Popups and sign-ins, for so many seconds in each phase. Prints a line for each."""
    popups = Load(lambda: 0.0, {})
    for number, (sender, recipient) in enumerate(zip(town.senders, town.recipients, strict=True)):
        await popups.line(number, Line).open(sender, recipient)
    loop = asyncio.get_running_loop()
    told = iter(phases)
    while (seconds := await loop.run_in_executor(None, next, told, None)) is not None:
        took: list[float] = []
        refused: list[int] = []
        signing = asyncio.create_task(_every_second(town, port, took, refused))
        run = await popups.run(WARM_S, seconds, per_s=PER_S)
        signing.cancel()
        await asyncio.wait([signing])
        for fault in run.faults[:5]:
            print(fault, file=sys.stderr)
        figures = {
            "p50": run.figures["p50 ms"],
            "p99": run.figures["p99 ms"],
            "login": max(took, default=0.0) * 1e3,
            "refused": len(refused) + len(run.faults),
        }
        print(json.dumps(figures), flush=True)


async def ask_nothing(town: Town, port: int, seconds: float) -> dict[str, float]:
    """The same requests at the same times, to a program that does nothing."""
    posters = [await Poster.connect(port) for _ in town.senders]
    data = request("POST", "/v1/messages", town.senders[0].token, b'{"id":"1","to":1,"text":"Pop over?"}')
    late: list[float] = []
    start = time.perf_counter()
    for number in range(int(seconds * PER_S)):
        due = start + number / PER_S
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        poster = posters[number % len(posters)]
        if not poster.busy:
            poster.post(data, lambda status, body, due=due: late.append(time.perf_counter() - due))  # type: ignore[misc]
    await asyncio.sleep(1.0)
    return {"p50": percentile(late, 0.5) * 1e3, "p99": percentile(late, 0.99) * 1e3}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.fair.victim")
    parser.add_argument("directory", type=Path)
    parser.add_argument("ports", type=int, nargs="+")
    parser.add_argument("--nothing", type=float, metavar="SECONDS")
    arguments = parser.parse_args()
    town = town_of(arguments.directory, arguments.ports)
    if arguments.nothing:
        print(json.dumps(uvloop.run(ask_nothing(town, arguments.ports[1], arguments.nothing))))
    else:
        uvloop.run(talk(town, arguments.ports[0], map(float, sys.stdin)))


if __name__ == "__main__":
    main()
