"""Rounds in which servers, stores and the broker forget while people talk. Rule: every message of every round is accounted for.

    python -m bench.forgetting --rounds 100 --seed 7 --output /var/tmp/forgetting.jsonl
    python -m bench.forgetting --postgres --rounds 20 --seed 7 --output /var/tmp/replaced.jsonl
    python -m bench.forgetting --kinds history "is killed" --rounds 12 --output /var/tmp/some.jsonl

Two homes and a Global Server run on a RabbitMQ of their own. Each round plays one deed of `tests/faults/forgetting.py`, in an order that
the seed gives, so that each kind comes equally often; with `--postgres` each round replaces the primary by a replica without its
tail. Each round adds a line to the output; a second call goes on after the last line, with the same seed and kinds.
"""

import argparse
import asyncio
import contextlib
import functools
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from flash.process.compose import cancelled_when_told_to_stop
from tests.faults.checker import Accepted, Ledger, Pending, doubled, lost, out_of_order, unreceipted
from tests.faults.forgetting import Forgetting
from tests.faults.history import is_whole
from tests.faults.installation import Installation
from tests.faults.people import Crowd, Person, chatter
from tests.support.postgres import PrivatePostgres
from tests.support.rabbitmq import PrivateRabbit
from tests.support.waiting import eventually

PEOPLE = 8  # half of them at each home
TALK = 30  # messages before and after each deed
SETTLE_S = 120.0  # until everything that was accepted has arrived, on two busy cores


class BadChoice(ValueError):
    """The options do not fit what there is."""


@dataclass(slots=True)
class Round:
    """What one round gave. `lost`: accepted, and neither shown nor bounced; `excused`: of these, what a home had accepted in the moments
    before its store was lost; `problems` is empty when every promise was kept."""

    number: int
    deed: str
    seed: int = 0
    kinds: list[str] = field(default_factory=list)  # that were asked for; empty: all
    accepted: int = 0
    lost: int = 0
    excused: int = 0
    bounced: int = 0
    doubled: int = 0
    out_of_order: int = 0
    accepted_by_ops: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


async def play(
    directory: Path, seed: int, rounds: int, first: int = 0, postgres: PrivatePostgres | None = None, kinds: Sequence[str] = ()
) -> AsyncGenerator[Round, None]:
    """Rounds `first` to `rounds` - 1, one after the other on one installation. `postgres`: it runs, and all stores lie there; `kinds`: as
    for `chosen`. Raises `Missing` without RabbitMQ, `BadChoice` for kinds that there are not."""
    rabbit = PrivateRabbit(directory / "rabbitmq")
    try:
        await asyncio.to_thread(rabbit.start)
        environment = {} if postgres is None else {"FLASH_STORE_URL": postgres.new_database()}
        installation = Installation(directory / "flash", rabbit.url, environment)
        try:
            await asyncio.to_thread(installation.start)
            async with Crowd(installation.global_server.url, f"r{first}") as crowd:
                people = await crowd.settle_in(PEOPLE)
                # A store that is lost before the history has anything is a loss of both, and servers first write it a second after a start.
                await eventually(functools.partial(is_whole, installation), SETTLE_S)
                for number in range(first, rounds):
                    yield await _round(number, seed, kinds, people, functools.partial(Forgetting, installation, rabbit, postgres))
        finally:
            await asyncio.to_thread(installation.kill)
    finally:
        await asyncio.to_thread(rabbit.close)


async def _round(
    number: int,
    seed: int,
    kinds: Sequence[str],
    people: Sequence[Person],
    forgetting_with: Callable[[Ledger, random.Random], Forgetting],
) -> Round:
    chance, ledger, start = random.Random(f"{seed} {number}"), Ledger(), time.monotonic()
    forgetting = forgetting_with(ledger, chance)
    deed = deed_of(number, seed, chosen(list(forgetting.deeds), kinds))
    for window in (window for person in people for window in person.windows):
        window.shown.clear()
    result = Round(number, deed, seed, list(kinds))
    try:
        async with chatter(people, ledger, chance):
            await ledger.grown(TALK)
            await forgetting.deeds[deed]()
            await ledger.grown(TALK)
    except Exception as error:  # a refusal that nobody should get, or a server that does not come back
        result.problems.append(f"{type(error).__name__}: {error}")
    await _account(result, ledger, people, forgetting)
    result.accepted_by_ops = forgetting.accepted_by_ops
    try:
        await forgetting.mended()
    except AssertionError:
        result.problems.append("the history is not whole again")
    result.seconds = round(time.monotonic() - start, 1)
    return result


def chosen(names: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """The deeds whose names hold one of `kinds`; all without any. Raises `BadChoice` when one of them is in no name."""
    if unknown := [kind for kind in kinds if not any(kind in name for name in names)]:
        raise BadChoice(f"no deed is called {unknown[0]!r}; there are: {'; '.join(names)}")
    return [name for name in names if not kinds or any(kind in name for kind in kinds)]


def deed_of(number: int, seed: int, names: Sequence[str]) -> str:
    """All kinds in a random order, then all of them in another order."""
    turn, place = divmod(number, len(names))
    order = list(names)
    random.Random(f"{seed} turn {turn}").shuffle(order)
    return order[place]


async def _account(result: Round, ledger: Ledger, people: Sequence[Person], forgetting: Forgetting) -> None:
    by_uid = {person.uid: person for person in people}
    missing, without_receipt = lost(ledger, by_uid), unreceipted(ledger, by_uid)

    def without_excuse(pending: Pending) -> list[Accepted]:
        return [each for each in pending.all() if not forgetting.may_be_lost(each, by_uid[each.sender].home)]

    for pending, what in ((missing, "neither shown nor bounced"), (without_receipt, "the sender has no receipt")):
        try:
            await eventually(functools.partial(_none, without_excuse, pending), SETTLE_S)
        except AssertionError:
            left = without_excuse(pending)
            result.problems.append(f"{len(left)} × {what}: {[str(each) for each in left[:5]]}")
    result.accepted = len(ledger.accepted)
    result.lost = len(missing.all())
    result.excused = result.lost - len(without_excuse(missing))
    result.bounced = sum((each.id, "bounced") in by_uid[each.sender].receipts for each in ledger.accepted)
    result.doubled = len(found := [one for person in people for one in doubled(person)])
    result.problems += [f"shown twice: {one}" for one in found[:5]]
    result.out_of_order = len(found := [one for person in people for one in out_of_order(ledger, person)])
    result.problems += [f"out of order: {one}" for one in found[:5]]


def _none(find: Callable[[Pending], list[Accepted]], pending: Pending) -> bool:
    return not find(pending)


def table(rounds: Sequence[Round]) -> str:
    """The figures for each kind of deed, and for all."""
    kinds: dict[str, list[Round]] = defaultdict(list)
    for one in rounds:
        kinds[one.deed].append(one)
    names = ("accepted", "lost", "excused", "bounced", "doubled", "out_of_order", "accepted_by_ops")
    lines = [f"{'deed':42} rounds " + " ".join(f"{name.replace('_', ' '):>15}" for name in names)]
    for kind, some in [*sorted(kinds.items()), ("all", list(rounds))]:
        lines.append(f"{kind:42} {len(some):6} " + " ".join(f"{sum(getattr(one, name) for one in some):15,}" for name in names))
    return "\n".join(lines)


def played(output: Path) -> list[Round]:
    """The rounds of an earlier call."""
    return [Round(**json.loads(line)) for line in output.read_text().splitlines()] if output.exists() else []


def go_on(done: Sequence[Round], seed: int | None, kinds: Sequence[str]) -> tuple[int, list[str]]:
    """Seed and kinds of the rounds that are missing: those of the rounds that were played. Raises `BadChoice` for others."""
    if not done:
        return random.randrange(10**6) if seed is None else seed, list(kinds)
    were = done[-1]
    if seed not in (None, were.seed) or list(kinds) not in ([], were.kinds):
        raise BadChoice(f"the output holds rounds of the seed {were.seed} and the kinds {were.kinds or 'all'}; name another file")
    return were.seed, were.kinds


async def _run(seed: int | None, rounds: int, output: Path, with_postgres: bool, asked: Sequence[str]) -> int:
    done = played(output)
    seed, kinds = go_on(done, seed, asked)
    with cancelled_when_told_to_stop(), contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="flash-forgetting-"))
        postgres = PrivatePostgres() if with_postgres else None
        if postgres is not None:
            stack.callback(postgres.close)
            await asyncio.to_thread(postgres.start)
        coming = play(Path(directory), seed, rounds, first=len(done), postgres=postgres, kinds=kinds)
        async with contextlib.aclosing(coming):
            async for one in coming:
                done.append(one)
                with output.open("a") as file:
                    file.write(json.dumps(asdict(one)) + "\n")
                print(f"{one.number + 1}/{rounds} {one.deed}: {one.accepted} accepted, {one.problems or 'all right'}", flush=True)
    print(f"\nseed {seed}\n{table(done)}")
    return int(any(one.problems for one in done))


def main() -> int:
    """Play the rounds that are missing in the output."""
    parser = argparse.ArgumentParser(prog="python -m bench.forgetting", description="Parts of an installation forget while people talk.")
    parser.add_argument("--rounds", type=int, default=100, help="how many in all, those of earlier calls included (100)")
    parser.add_argument("--seed", type=int, help="gives the order of the deeds and all else that is left to chance")
    parser.add_argument("--kinds", nargs="+", default=[], metavar="WORDS", help="only deeds whose names hold one of these words")
    parser.add_argument(
        "--output", type=Path, required=True, help="a file outside the tree: one line a round; a second call goes on after it"
    )
    parser.add_argument("--postgres", action="store_true", help="replace PostgreSQL's primary by a replica without its tail")
    arguments = parser.parse_args()
    try:
        return asyncio.run(_run(arguments.seed, arguments.rounds, arguments.output, arguments.postgres, arguments.kinds))
    except BadChoice as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
