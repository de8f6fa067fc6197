"""The attackers of a row: `python -m bench.fair.attacker DIRECTORY PORT PORT SECONDS SHARE ATTACK…`. Rule: they end after their time, and
say what they were answered, by status; 0 is a connection that was lost."""

import argparse
import asyncio
import json
from pathlib import Path

import uvloop

from bench.fair.attacks import ATTACKS
from bench.fair.foe import Foe
from bench.fair.town import town_of


async def attack(names: list[str], directory: Path, ports: tuple[int, int], seconds: float, share: float) -> dict[str, dict[int, int]]:
    """Do all of it at once. The answers, by attack."""
    town = town_of(directory, ports)
    foes = {name: Foe(town, ports, share, list(ATTACKS).index(name)) for name in names}
    working = [asyncio.ensure_future(ATTACKS[name](foe)) for name, foe in foes.items()]
    ended, _ = await asyncio.wait(working, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for work in ended:
        work.result()  # an attack that failed would make a row without an attack
    for work in working:
        work.cancel()
    await asyncio.wait(working)
    return {name: foe.counted for name, foe in foes.items()}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.fair.attacker")
    parser.add_argument("directory", type=Path)
    parser.add_argument("ports", type=int, nargs=2)
    parser.add_argument("seconds", type=float)
    parser.add_argument("share", type=float)
    parser.add_argument("attacks", nargs="+", choices=ATTACKS)
    told = parser.parse_args()
    ports = (told.ports[0], told.ports[1])
    print(json.dumps(uvloop.run(attack(told.attacks, told.directory, ports, told.seconds, told.share))))


if __name__ == "__main__":
    main()
