"""The phases of a row: quiet, beside the attack, and after it. Rule: every row has the same ones, and its victims do the same in each."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal

from bench.cost import memory
from bench.fair.programs import Attack, program, victims
from bench.fair.rows import Row

QUIET_S, BESIDE_S, AFTER_S = 30.0, 60.0, 60.0
SPARE_S = 2.0  # the victims warm up for a second, and wait for what is under way
MACHINE_QUIET_S, MACHINE_BESIDE_S = 10.0, 20.0
LOOK_S = 0.5  # between two looks at the servers' memory
MB = 1_000_000

Phase = Literal["quiet", "beside", "after"]
Besides = Callable[[Phase], Awaitable[None]]


async def _nothing_else(phase: Phase) -> None:
    """Only the victims are timed."""


async def pass_through(
    row: Row,
    pids: Sequence[int],
    where: Sequence[str],
    attack: Attack,
    length: float,
    besides: Besides = _nothing_else,
    more_s: float = 0.0,
) -> None:
    """Fill in a row. `pids`: the servers; `where`: what victims are told; `length`: 1 for the full times; `besides`: times something else
    when the victims have had their time in a phase: `beside` while the attack goes on, for which it has `more_s`, `after` at its end."""
    async with _watched(pids) as grown, victims(where) as talk:
        phases = [await talk(QUIET_S * length)]
        await besides("quiet")
        before = grown[-1]
        async with attack.beside(BESIDE_S * length + SPARE_S + more_s) as row.answers:
            phases.append(await talk(BESIDE_S * length))
            await besides("beside")
        await besides("after")
        phases.append(await talk(AFTER_S * length))
    row.more_mb, row.kept_mb = (max(grown) - before) / MB, (_resident(pids) - before) / MB
    row.p50, row.p99, row.login = ([phase[figure] for phase in phases] for figure in ("p50", "p99", "login"))
    row.refused = int(phases[1]["refused"])


async def machine_ms(where: Sequence[str], attack: Attack, length: float) -> float:
    """By how many ms the victims of a program that does nothing are later beside the attack, because the attackers share their core."""
    quiet = await program("bench.fair.victim", *where, "--nothing", str(MACHINE_QUIET_S * length))
    async with attack.beside(MACHINE_BESIDE_S * length):
        beside = await program("bench.fair.victim", *where, "--nothing", str(MACHINE_BESIDE_S * length))
    return max(float(beside["p99"]) - float(quiet["p99"]), 0.0)


@contextlib.asynccontextmanager
async def _watched(pids: Sequence[int]) -> AsyncIterator[list[int]]:
    """The resident bytes of processes, which grow by one figure every half a second."""
    grown = [_resident(pids)]

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            grown.append(_resident(pids))

    looking = asyncio.create_task(look())
    try:
        yield grown
    finally:
        looking.cancel()
        await asyncio.wait([looking])


def _resident(pids: Sequence[int]) -> int:
    return sum(memory(pid).rss for pid in pids)
