"""Workload `idle`: thousands of users are online and send nothing. Rule: memory is measured after every session got a blank.

The sessions are back connections of strangers with minted tokens. They have no second connection for acknowledgements, so a session
costs its back connection, its own state, the state and indices of its user, and a cached token.
"""

import asyncio
import time

from bench.cost import memory
from bench.http_client import Stream
from bench.people import mint
from bench.report import Run, Target
from bench.rig import Rig
from tests.support.waiting import eventually

SESSIONS, QUICK_SESSIONS = 10_000, 500
BLANK_S, QUICK_BLANK_S = 30.0, 2.0  # the default, and a shorter one for a quick run
LOGINS_AT_ONCE = 32
BLANK_TIMEOUT_S = 90.0  # three rounds
KB, MB = 1_000, 1_000_000  # the stricter meaning of KB in a target

IDLE = {"KB/session": Target(4, 2), "process MB": Target(100)}


class Sitter:
    """A user who is online. `blanks` counts the blanks since it was last set to zero."""

    __slots__ = ("blanks", "faults", "stream", "welcomed")

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        self.blanks = 0
        self.stream: Stream | None = None
        self.welcomed: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()

    def hear(self, name: bytes, body: bytes) -> None:
        """A part came."""
        if name == b"blank":
            self.blanks += 1
        elif name == b"welcome" and self.welcomed is not None:
            self.welcomed.set_result(None)
            self.welcomed = None
        else:
            self.faults.append(f"an idle session got {name!r}: {body[:120]!r}")


async def idle(rig: Rig, run_s: float) -> Run:
    """Log all users in, wait until each got a blank, and measure."""
    quick = rig.quick
    count = QUICK_SESSIONS if quick else SESSIONS
    faults: list[str] = []
    blank_s = QUICK_BLANK_S if quick else BLANK_S
    async with rig.fresh("people", FLASH_BLANK_S=str(blank_s)) as (installation, _):
        pid = installation.pids[0]
        people = iter(mint(installation, "h1", count))
        sitters: list[Sitter] = []
        before, start = memory(pid), time.perf_counter()

        async def log_in() -> None:
            for person in people:
                sitter = Sitter(faults)
                sitters.append(sitter)
                assert sitter.welcomed is not None
                welcomed = sitter.welcomed
                sitter.stream = await Stream.connect(person.port, person.token, sitter.hear)
                await welcomed

        await asyncio.gather(*(log_in() for _ in range(LOGINS_AT_ONCE)))
        logins_s = time.perf_counter() - start
        for sitter in sitters:
            sitter.blanks = 0
        cpu, start = installation.cpu_s(), time.perf_counter()
        try:
            await eventually(lambda: all(sitter.blanks for sitter in sitters), BLANK_TIMEOUT_S)
        except AssertionError:
            faults.append(f"{sum(not sitter.blanks for sitter in sitters)} of {count} sessions got no blank")
        round_s, cpu, after = time.perf_counter() - start, installation.cpu_s() - cpu, memory(pid)
        for sitter in sitters:
            sitter.faults = []  # faults from now on are caused by closing the lines
            if sitter.stream is not None:
                sitter.stream.close()
    figures = {
        "KB/session": (after.rss - before.rss) / count / KB,
        "process MB": after.rss / MB,
        "USS KB/session": (after.uss - before.uss) / count / KB,
        "PSS MB": after.pss / MB,
        "MB before": before.rss / MB,
        "idle CPU % of a core": cpu / round_s * 100,
        "logins/s": count / logins_s,
    }
    return Run(figures, faults)
