"""The hostile home of a row: `python -m bench.fair.homes.attacker DIRECTORY PORT PORT PORT URL SECONDS SHARE ATTACK…`. Rule: it ends after
its time, and says what came of it."""

import argparse
import asyncio
import json
import logging
from pathlib import Path

import structlog
import uvloop

from bench.fair.homes.attacks import HOME_ATTACKS
from bench.fair.homes.hostile import NAME, Answers, HostileHome


async def attack(names: list[str], directory: Path, ports: list[int], url: str, seconds: float, share: float) -> Answers:
    """Do all of it at once."""
    foe = HostileHome(directory, ports, url, share)
    await foe.open()
    waiting = asyncio.ensure_future(asyncio.sleep(seconds))  # with no attack, the home is enrolled and does nothing
    working = [waiting, *(asyncio.ensure_future(HOME_ATTACKS[name](foe)) for name in names)]
    ended, _ = await asyncio.wait(working, timeout=seconds + 0.1, return_when=asyncio.FIRST_EXCEPTION)
    for work in ended:
        work.result()  # an attack that failed would make a row without an attack
    for work in working:
        work.cancel()
    await asyncio.wait(working)
    await foe.broker.close()
    return foe.counted


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.fair.homes.attacker")
    parser.add_argument("directory", type=Path)
    parser.add_argument("ports", type=int, nargs=3)
    parser.add_argument("url")
    parser.add_argument("seconds", type=float)
    parser.add_argument("share", type=float)
    parser.add_argument("attacks", nargs="*")
    told = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # the output is for the answers
    print(json.dumps({NAME: uvloop.run(attack(told.attacks, told.directory, told.ports, told.url, told.seconds, told.share))}))


if __name__ == "__main__":
    main()
