"""Workload `audit`: an audit store reads a history of a million events from the file of an embedded broker, and answers questions.

Rule: every answer is compared with the history that was made up.
"""

import shutil
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench.history import PEER, PROGRAM, START, MadeHistory
from bench.report import Run, Target
from bench.rig import Rig
from broker import topology
from broker.embedded.broker import EmbeddedBroker
from broker.embedded.reader import EmbeddedReader
from broker.port import Outgoing
from projections.audit.rows import AuditFilter, Order
from servers.audit.audit import Audit

EVENTS, USERS = 1_000_000, 5_000  # the targets are stated for these numbers
QUICK_EVENTS, QUICK_USERS = 20_000, 200
BODIES = 50  # messages published at a time
TIMES = 5  # how often each question is asked; the median counts

AUDIT = {
    "events/s": Target(20_000, 40_000, more=True),
    "page ms": Target(50.0, 10.0),
    "state ms": Target(200.0, 50.0),
    "window ms": Target(1_000.0, 100.0),
    "online ms": Target(1_000.0, 100.0),
}

_made: dict[Path, MadeHistory] = {}


async def audit(rig: Rig, run_s: float) -> Run:
    """Feed a fresh store and ask every question of the console."""
    rig.leave()
    file = rig.root / "history.db"
    made = _made.get(file)
    if made is None:
        made = _made[file] = await _make(file, *((QUICK_EVENTS, QUICK_USERS) if rig.quick else (EVENTS, USERS)))
    folder = rig.root / "audit"
    folder.mkdir()
    store = Audit(EmbeddedReader(file), folder / "audit.db")
    await store.open()
    cpu, start = time.process_time(), time.perf_counter()
    reached = await store.catch_up()
    took_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    faults = [] if reached.entries == made.events else [f"{reached.entries} of {made.events} events are in the store"]
    figures = {
        "events/s": reached.entries / took_s,
        "CPU µs/event": cpu_s / reached.entries * 1e6,
        "bytes/event": (folder / "audit.db").stat().st_size / reached.entries,
        **await _questions(store, made, faults),
    }
    await store.stop()
    shutil.rmtree(folder)
    return Run(figures, faults)


async def _make(file: Path, events: int, users: int) -> MadeHistory:
    """Write a history into the file of an embedded broker."""
    made = MadeHistory(users)
    broker = EmbeddedBroker(file)
    await broker.start()
    await broker.wait_connected(10)
    batch: list[Outgoing] = []
    for body in made.bodies(events):
        batch.append(Outgoing(topology.EVENTS, "h1.200", body))
        if len(batch) == BODIES:
            await broker.publish(batch)
            batch = []
    await broker.publish(batch)
    await broker.close()
    return made


async def _questions(store: Audit, made: MadeHistory, faults: list[str]) -> dict[str, float]:
    """Times of the slowest page of all filters and of each other question, for a busy user, in the middle and at the end of the history."""
    middle = (START + made.now) / 2
    moments = (middle, made.now)
    filters = [
        AuditFilter(),
        AuditFilter(user=PROGRAM),
        AuditFilter(user=made.users),
        AuditFilter(source="h1"),
        AuditFilter(source="global", topics=("user.logged_in",)),
        AuditFilter(topics=("account.user_registered",)),
        AuditFilter(topics=("user.logged_in", "user.message_sent")),
        AuditFilter(user=PROGRAM, source="h2", topics=("user.logged_off",)),
        AuditFilter(user=PROGRAM, source="global", topics=("user.message_sent",)),
        AuditFilter(user=PEER, source="h1", since=middle, until=middle + 60),
        AuditFilter(since=middle, until=middle + 1),
        AuditFilter(message=made.last_message),
        AuditFilter(cause=f"s{PROGRAM}", source="global"),
    ]
    orders: tuple[Order, ...] = ("newest", "oldest")
    pages = [await _ms(lambda wanted=wanted, order=order: store.log(wanted, order=order)) for wanted in filters for order in orders]
    lives = await store.trace(made.last_message)
    if [len(life.steps) for life in lives] != [6]:
        faults.append(f"the last popup's life has {[step.name for life in lives for step in life.steps]}")
    if not (await store.state_at(PROGRAM, made.now)).complete:
        faults.append("events are missing from a stream")
    return {
        "page ms": max(pages),
        "trace ms": await _ms(lambda: store.trace(made.last_message)),
        "state ms": max(
            [await _ms(lambda uid=uid, at=at: store.state_at(uid, at)) for uid in (PROGRAM, PEER) for at in (middle, made.now)]
        ),
        "window ms": max([await _ms(lambda at=at: store.window_at(PROGRAM, at)) for at in moments]),
        "online ms": max([await _ms(lambda at=at: store.online_at(at)) for at in moments]),
    }


async def _ms(question: Callable[..., Awaitable[Any]]) -> float:
    took: list[float] = []
    for _ in range(TIMES):
        start = time.perf_counter()
        await question()
        took.append((time.perf_counter() - start) * 1e3)
    return statistics.median(took)
