"""`python -m bench.fair.homes [ROW…] --output FILE`: play the rows of a hostile home, and print a table. Rule: as `bench/fair/__main__.py`,
with two homes, a Global Server and a RabbitMQ of its own; popups go from h1 to h2.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import uvloop

from bench.fair.homes.attacks import HOME_ATTACKS
from bench.fair.homes.broker_user import let_it_make_its_queue
from bench.fair.homes.hostile import NAME
from bench.fair.homes.own_queue import SENDERS
from bench.fair.homes.timed import TIMED, TIMED_S, Place, time_besides
from bench.fair.phases import machine_ms, pass_through
from bench.fair.programs import Attack, nothing
from bench.fair.rows import ALL, ALL_SHARE, Row, command_line, conclude, play_missing
from bench.fair.town import LINES, OTHER_CORE, SERVER_CORE, on_core
from bench.installation import real_installation
from bench.people import add_contacts, register, save
from flash.process.compose import cancelled_when_told_to_stop
from tests.support.rabbitmq import PrivateRabbit
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.rabbitmq_users import allow, user_url


@contextlib.asynccontextmanager
async def _place(root: Path, rabbit: AnyRabbit, python: str) -> AsyncIterator[Place]:
    """Running servers with the victims registered, and others at h1; the hostile home has its user of the broker."""
    url = rabbit.new_vhost()
    with contextlib.ExitStack() as stack:
        with on_core(SERVER_CORE):
            installation = stack.enter_context(real_installation(root / "data", ("h1", "h2"), url, rabbit.pids, python=python))
        people = await register(installation, 2 * (LINES + SENDERS))
        at_h1, at_h2 = ([person for person in people if person.home == home] for home in ("h1", "h2"))
        await add_contacts(zip(at_h1[:LINES], at_h2, strict=False))
        save([*at_h1[:LINES], *at_h2[:LINES], *at_h1[LINES:]], installation.data)
        allow(rabbit, url, NAME)
        yield Place(installation, url, python, at_h1[-1])


async def play(name: str, root: Path, rabbit: AnyRabbit, python: str, length: float) -> Row:
    """One row. `length`: 1 for the full times."""
    row = Row(name)
    names, share = (list(HOME_ATTACKS), ALL_SHARE) if name == ALL else ([name], 1.0)
    async with _place(root / name, rabbit, python) as place:
        installation = place.installation
        where = [str(installation.data), str(installation.global_port), *map(str, installation.homes.values())]
        told = [*where, user_url(place.broker_url, NAME)]
        await Attack("bench.fair.homes.attacker", told, []).run(0.1)  # it is enrolled
        if "home-queue" in names:
            let_it_make_its_queue(rabbit, place.broker_url)
        attack = Attack("bench.fair.homes.attacker", told, names, share)
        more_s = TIMED_S if name in TIMED else 0.0
        await pass_through(row, installation.pids, where, attack, length, partial(time_besides, row, place), more_s)
        # The servers go on with what the attack asks of them, and this program takes the place of RabbitMQ on the core of the attackers.
        with nothing(installation.data, len(installation.homes), OTHER_CORE) as where:
            row.machine = await machine_ms(where, attack, length)
    return row


async def _run(names: Sequence[str], output: Path, root: Path, python: str, length: float) -> list[Row]:
    with on_core(OTHER_CORE):
        rabbit = PrivateRabbit(root / "rabbitmq")
        rabbit.start()
    try:
        with cancelled_when_told_to_stop():
            return await play_missing(names, output, partial(play, root=root, rabbit=rabbit, python=python, length=length))
    finally:
        rabbit.close()


def main() -> int:
    """Run the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.fair.homes", description="What everybody else notices of a hostile home. See docs/benchmarks.md."
    )
    told = command_line(parser, [*HOME_ATTACKS, ALL])
    with tempfile.TemporaryDirectory(prefix="flash-fair-") as root:
        return conclude(uvloop.run(_run(told.row, told.output, Path(root), told.python, told.length)))


if __name__ == "__main__":
    sys.exit(main())
