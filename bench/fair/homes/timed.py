"""What rows of a hostile home time besides popups: the audit, and a new home. Rule: it is timed as somebody sees it who waits for it, and
when the victims do not talk.
"""

import asyncio
import contextlib
import math
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.fair.foe import post
from bench.fair.homes.resident import befriend, resident_of
from bench.fair.phases import Phase
from bench.fair.rows import Row
from bench.fair.town import SERVER_CORE, on_core
from bench.http_client import Failed, Poster, Stream
from bench.installation import Installation, adjacent_ports, environment_of, flash, server
from bench.people import Person

TIMED_S = 10.0  # by so much the attack of such a row is longer, so that it goes on while the audit reads
NEWCOMER_S = 60.0  # a home that nobody reaches by then is reached by nobody


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is played. `broker_url`: of the administrator, as whom the servers connect; `sender`: of h1, and no victim."""

    installation: Installation
    broker_url: str
    python: str
    sender: Person


async def audit_s(place: Place, phase: Phase) -> float:
    """How long `flash audit log` takes, which reads the whole history into a fresh store and matches a pattern with all topics."""
    with tempfile.TemporaryDirectory(dir=place.installation.data) as fresh:
        environment = environment_of(place.installation.data, {"FLASH_BROKER_URL": place.broker_url})
        command = flash(place.python, "audit", "log", "--topic", "user.*", "--store", str(Path(fresh, "audit.db")))
        began = time.perf_counter()
        with on_core(SERVER_CORE):
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, env=environment)
        if await process.wait():
            raise RuntimeError(f"the audit ended with {process.returncode}")
        return time.perf_counter() - began


async def newcomer_s(place: Place, phase: Phase) -> float:
    """How long it takes until an honest new home is ready, and a popup from h1 reaches somebody who lives there."""
    name, port = ("h5" if phase == "quiet" else "h4"), adjacent_ports(1)
    data = place.installation.data
    began = time.perf_counter()
    with contextlib.ExitStack() as stack, contextlib.suppress(TimeoutError):
        with on_core(SERVER_CORE):
            command = ["home", name, "--port", str(port)]
            stack.enter_context(server(place.python, command, data, port, {"FLASH_BROKER_URL": place.broker_url}))
        async with asyncio.timeout(NEWCOMER_S):
            await _popup(place, name, port)
        return time.perf_counter() - began
    return math.inf


async def _popup(place: Place, home: str, port: int) -> None:
    """A popup from h1 to somebody who lives at a home, which has a port. Returns when it is shown."""
    uid, token = await resident_of(home, place.installation.global_port, f"of-{home}")
    parts: asyncio.Queue[bytes] = asyncio.Queue()
    stream = await Stream.connect(port, token, lambda name, body: parts.put_nowait(name))
    poster = await Poster.connect(place.sender.port)
    await befriend(poster, place.sender, uid)
    popup = {"id": f"welcome-to-{home}", "to": uid, "text": "Welcome!"}
    status, body = await poster.call(post("/v1/messages", popup, place.sender.token))
    if status != 202:
        raise Failed(f"a popup to {home} was answered with {status}: {body[:200]!r}")
    while await parts.get() != b"message":
        pass
    stream.close()
    poster.close()


TIMED: Mapping[str, tuple[str, Phase, Callable[[Place, Phase], Awaitable[float]]]] = {
    "home-topics": ("audit", "beside", audit_s),
    "home-names": ("new home", "after", newcomer_s),
    "home-homes": ("new home", "after", newcomer_s),
}


async def time_besides(row: Row, place: Place, phase: Phase) -> None:
    """Time what belongs to this row in this phase, if anything does."""
    if row.name in TIMED:
        what, when, timed = TIMED[row.name]
        if phase in ("quiet", when):
            row.timed.setdefault(what, []).append(await timed(place, phase))
