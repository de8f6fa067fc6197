"""The programs of a row: attackers, victims, and one that does nothing. Rule: they share the core that the servers do not have, and the
victims go before the attackers."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bench.fair.town import OTHER_CORE, on_core
from bench.installation import adjacent_ports
from bench.processes import running

LEAD_S = 5.0  # an attack that prepares something begins so long before the victims
FOES_NICE = "10"  # the victims go before the attackers

Answers = dict[str, dict[str, int]]
Talk = Callable[[float], Awaitable[dict[str, float]]]


async def program(*command: str, nice: str = "0") -> Any:
    """Run a program to its end. What it printed, a JSON object. Raises `RuntimeError` when it failed."""
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
async def victims(where: Sequence[str]) -> AsyncIterator[Talk]:
    """Victims who are logged in. They talk for so many seconds, and tell how it was."""
    with on_core(OTHER_CORE):
        talking = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.fair.victim", *where, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
    told, answered = talking.stdin, talking.stdout
    assert told is not None
    assert answered is not None

    async def talk(seconds: float) -> dict[str, float]:
        told.write(f"{seconds}\n".encode())
        return cast(dict[str, float], json.loads(await answered.readline()))

    try:
        yield talk
        told.close()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself, and said why
            talking.terminate()
        raise
    finally:
        await talking.wait()


@dataclass(frozen=True, slots=True)
class Attack:
    """The attackers of a row. The `module` is told `where`, a time in seconds, the `share` of the full rate, and `names` of attacks."""

    module: str
    where: Sequence[str]
    names: Sequence[str]
    share: float = 1.0

    async def run(self, seconds: float) -> Answers:
        """Attack so long. What the attackers were answered, by attack."""
        told = await program(self.module, *self.where, str(seconds), str(self.share), *self.names, nice=FOES_NICE)
        return cast(Answers, told)

    @contextlib.asynccontextmanager
    async def beside(self, seconds: float) -> AsyncIterator[Answers]:
        """Attack beside what the block does, which begins when the attack is prepared. The answers are there after the block."""
        answers: Answers = {}
        attacking = asyncio.create_task(self.run(LEAD_S + seconds))
        try:
            await asyncio.sleep(LEAD_S)
            yield answers
            answers.update(await attacking)
        finally:
            attacking.cancel()
            await asyncio.wait([attacking])


@contextlib.contextmanager
def nothing(data: Path, homes: int, core: int) -> Iterator[list[str]]:
    """A program that answers 503 in the place of a Global Server and of so many homes. Where attackers and victims find it."""
    first = adjacent_ports(1 + homes)
    ports = [str(port) for port in range(first, first + 1 + homes)]
    command = [sys.executable, "-m", "bench.fair.nothing", *ports]
    with contextlib.ExitStack() as stack:
        with on_core(core):
            stack.enter_context(running("nothing", command, data / "nothing.out", os.environ, lambda: _listens(first + homes)))
        yield [str(data), *ports]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False
