"""Workload `verify`: `flash audit verify` over the log of a home, with its seals, the copies of the Global Server and the history.

Rule: the unchanged log must be found right; then one event is changed, and must be named. It also measures what seals add to a commit.
"""

import asyncio
import json
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bench.report import Run, Target
from bench.rig import Rig
from broker import envelope, topology
from broker.embedded.broker import EmbeddedBroker
from broker.port import Outgoing
from domain.event import Event, in_stream
from domain.events.home import MessagesDelivered
from domain.events.integrity import LogSealed
from domain.integrity.commands import WitnessSeal
from domain.integrity.decide import witness_seal
from domain.integrity.state import SealedState
from domain.mailbox.commands import MarkDone
from domain.rules.global_server import RULES
from domain.rules.home import rules_for
from servers.integrity.policy import SealPolicy
from servers.integrity.sealer import Sealer
from servers.messaging.recent_commits import RecentCommits
from servers.store.event_store import Committed, Store
from servers.writing.writer import Writer

EVENTS, QUICK_EVENTS = 1_000_000, 20_000  # the target is stated for the first; the second is enough for twenty seals
BATCH = 1_000  # events per commit while the log is made
COMMANDS = 20_000  # run with and without seals, to measure the cost of seals
ROUNDS = 5  # of each kind, in turns; the cheapest counts, because other programs only ever add to it

VERIFY = {"s": Target(60.0), "CPU µs/event, sealing": Target(3.0)}


async def verify(rig: Rig, run_s: float) -> Run:
    """Verify the log twice: unchanged, and with one event changed."""
    events = QUICK_EVENTS if rig.quick else EVENTS
    data = rig.root / "verify"
    if not data.exists():
        await _make(data, events)
        rig.notes.append(f"verify: the log's file has {(data / 'h1.db').stat().st_size / events:.0f} bytes an event")
    took_s, cpu_s, honest = await asyncio.to_thread(_verify, data)
    faults = [] if honest["honest"] and honest["events"] > events else [f"an honest log: {honest['findings'][:3]}"]
    position = events // 2
    with _changed(data / "h1.db", position):
        told = (await asyncio.to_thread(_verify, data))[2]["findings"]
    if [(finding["kind"], finding["position"]) for finding in told] != [("changed", position)]:
        faults.append(f"position {position} was changed, and found was {told[:3]}")
    figures = {"s": took_s, "events/s": honest["events"] / took_s, "CPU µs/event": cpu_s / honest["events"] * 1e6}
    bare, sealed = await _cost(rig.root / f"cost-{time.monotonic_ns()}")
    return Run({**figures, "CPU µs/event, sealing": sealed - bare, "CPU µs/commit without": bare}, faults)


def _verify(data: Path) -> tuple[float, float, dict]:  # type: ignore[type-arg]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "flash", "audit", "verify", "h1", "--data", str(data), "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    took_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took_s, cpu_s, json.loads(done.stdout)


class _changed:  # noqa: N801 - reads as a sentence
    """Gives one event another topic inside a `with` block."""

    def __init__(self, path: Path, position: int) -> None:
        self._path, self._position = path, position

    def __enter__(self) -> None:
        self._set("mailbox.message_done")

    def __exit__(self, *_: object) -> None:
        self._set(MessagesDelivered.TOPIC)

    def _set(self, topic: str) -> None:
        with closing(sqlite3.connect(self._path)) as database, database:
            database.execute("UPDATE stored_events SET topic = ? WHERE rowid = ?", (topic, self._position))


def _events(start: int, count: int) -> Iterator[Event]:
    for number in range(start, start + count):
        messages = [(f"{number:021d}-{part}", 7, "h2") for part in range(3)]
        yield MessagesDelivered(at=1.7e9 + number, cause=f"s{number}", upto=number, session=f"{number:032x}", messages=messages)


async def _make(data: Path, events: int) -> None:
    """A log of `events` events with its seals, as servers write it."""
    store = Store(f"sqlite:///{data}/h1.db", "h1", rules_for("h1"))
    broker = EmbeddedBroker(data / "broker.db")
    await broker.start()
    await broker.wait_connected(10)
    copies: list[LogSealed] = []
    told: list[Outgoing] = []

    def committed(batch: list[Committed]) -> None:
        recent.offer(batch)
        copies.extend(c.event for c in batch if isinstance(c.event, LogSealed))
        records = [c.record for c in batch]
        told.append(Outgoing(topology.EVENTS, f"h1.{len(records)}", envelope.encode("h1", records)))

    recent = RecentCommits()
    writer = Writer(store, time.time, [committed])
    sealer = Sealer(store, writer, "h1", SealPolicy(), recent)
    for start in range(0, events, BATCH):
        fresh = in_stream(_events(start, min(BATCH, events - start)), f"mailbox-{start // BATCH}", 0)
        committed(await store.run(store.put, fresh, store.codec.encode(fresh)))
        await broker.publish([told.pop() for _ in range(len(told))])
    writer.start()
    sealer.start()
    await sealer.stop()
    await writer.stop()
    await broker.publish(told)
    await broker.close()
    await asyncio.to_thread(store.close)
    await asyncio.to_thread(_keep, data, copies)


def _keep(data: Path, copies: list[LogSealed]) -> None:
    """Store what the Global Server would have stored."""
    store = Store(f"sqlite:///{data}/global.db", "global", RULES)
    state = SealedState("witness-h1")
    kept: list[Event] = []
    for event in copies:
        for command in RULES.react(event, "h1"):
            assert isinstance(command, WitnessSeal)
            fresh = in_stream(witness_seal(state, command, event.at), state.stream, state.version)
            RULES.evolve(state, fresh[0])
            kept += fresh
    store.put(kept, store.codec.encode(kept))
    store.close()


async def _cost(directory: Path) -> tuple[float, float]:
    """CPU µs of a writer for each event, without and with seals."""
    bare, sealed = [], []
    for number in range(ROUNDS):
        bare.append(await _write(directory / f"bare-{number}", with_seals=False))
        sealed.append(await _write(directory / f"sealed-{number}", with_seals=True))
    return min(bare), min(sealed)


async def _write(directory: Path, *, with_seals: bool) -> float:
    home = rules_for("h1")
    rules = replace(home, deciders={**home.deciders, MarkDone: _decide})
    store = Store(f"sqlite:///{directory}/h1.db", "h1", rules)
    recent = RecentCommits()
    writer = Writer(store, time.time, [recent.offer] if with_seals else [])
    sealer = Sealer(store, writer, "h1", SealPolicy(), recent)
    writer.start()
    if with_seals:
        sealer.start()
    start = time.process_time()
    for first in range(0, COMMANDS, BATCH):
        commands = [MarkDone(uid=n % 100, cause="x", id=f"{n:024d}", sender=7, reply=False) for n in range(first, first + BATCH)]
        await asyncio.gather(*(writer.submit((command,)) for command in commands))
    if with_seals:
        await sealer.stop()
    spent = time.process_time() - start
    await writer.stop()
    await asyncio.to_thread(store.close)
    return spent / COMMANDS * 1e6


def _decide(state: object, command: MarkDone, now: float) -> list[Event]:
    return list(_events(int(command.id), 1))
