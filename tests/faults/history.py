"""What the history stream and the stores tell of one installation. Rule: read only; both sides are read when nothing changes any more."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from broker import envelope, topology
from broker.envelope import EventRecord
from broker.rabbitmq.broker import RabbitBroker
from domain.rules.by_server import rules_of
from projections.by_server import HomeProjections, by_name
from servers.store.event_store import Store
from servers.writing.projector import Projection
from tests.faults.installation import Installation

CONNECT_S = 20.0
READ = 5_000  # events at a time


@dataclass(frozen=True, slots=True)
class History:
    """The stream, sorted by source. `repeats`: records that had come before; `disorder`: first records that came too late, as they do where
    an era was filled again; `everything`: with those."""

    records: dict[str, list[EventRecord]]
    repeats: int
    disorder: list[tuple[str, int]]
    everything: dict[str, list[EventRecord]]


async def read_history(amqp_url: str) -> History:
    """The whole stream, each record once, as docs/protocol.md tells readers to read it."""
    broker = RabbitBroker(amqp_url, "history-test")
    await broker.start()
    try:
        await broker.wait_connected(CONNECT_S)
        records: dict[str, list[EventRecord]] = {}
        known: dict[str, set[int]] = {}
        repeats = 0
        disorder: list[tuple[str, int]] = []
        everything: dict[str, list[EventRecord]] = {}
        async for item in broker.read_stream(topology.HISTORY, "first", follow=False):
            told = envelope.decode(item.body)
            everything.setdefault(told.source, []).extend(told.events)
            mine, seen = records.setdefault(told.source, []), known.setdefault(told.source, set())
            for record in told.events:
                if record.position in seen:
                    repeats += 1
                    continue
                if mine and record.position <= mine[-1].position:
                    disorder.append((told.source, record.position))
                    continue
                seen.add(record.position)
                mine.append(record)
        return History(records, repeats, disorder, everything)
    finally:
        await broker.close()


def open_store(url: str, server: str) -> Store:
    """A second look at a server's database."""
    return Store(url, server, rules_of(server))


async def stored_records(store: Store) -> list[EventRecord]:
    """Every event of a store that may leave it, as a record."""
    records: list[EventRecord] = []
    position = 0
    while batch := await store.run_reader(store.read, position, READ):
        position = batch[-1].position
        records += [record for _, event, record in batch if not event.PRIVATE]
    return records


def fold(store: Store, records: Iterable[EventRecord]) -> dict[str, Projection]:
    """A home's indices, from nothing but the history."""
    indices = by_name(HomeProjections())
    for record in records:
        event: Any = store.codec.decode(record.stream, record.version, record.topic, record.data)
        for index in indices.values():
            index.apply(record.position, event)
    return indices


def first_difference(left: Sequence[EventRecord], right: Sequence[EventRecord]) -> str | None:
    """The first difference between two rows of records; None when they are equal."""
    for number, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return f"record {number}: position {one.position} {one.topic} / position {other.position} {other.topic}"
    return None if len(left) == len(right) else f"{len(left)} and {len(right)} records"


async def close(store: Store) -> None:
    """Let go of the database."""
    await asyncio.to_thread(store.close)


async def is_whole(town: Installation) -> bool:
    """Whether the history has every event of every log that may leave it."""
    history = await read_history(town.amqp_url)
    for server in town.servers:
        store = open_store(town.store_url(server.name), server.name)
        try:
            stored = {record.position for record in await stored_records(store)}
        finally:
            await close(store)
        if not stored <= {record.position for record in history.everything.get(server.name, [])}:
            return False
    return True
