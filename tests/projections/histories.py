"""The history of a town, read for the audit, and what an audit store holds. Rule: tests compare whole stores, table by table."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from broker.port import Broker, StreamItem
from broker.topology import HISTORY
from projections.audit.feeding import Feeder
from servers.audit.audit import message_of
from servers.audit.decoder import HistoryDecoder
from servers.trust.publications import HistoryJudge

KEY = b"k" * 32  # with which the stores of tests prove their checkpoints
CHECKPOINT_EVERY = 7  # the streams of the tests are short: a checkpoint at every seventh version makes them long ones
TABLES = ("entries", "popups", "presence", "people", "checkpoints", "words", "kinds", "sources", "reached", "eras", "covered")


async def items_of(broker: Broker) -> list[StreamItem]:
    """Everything that is in the history now."""
    return [item async for item in broker.read_stream(HISTORY, follow=False)]


def fed(path: Path, *batches: Sequence[StreamItem]) -> Feeder:
    """A store fed with these batches. Its clock stands still: how old an event was when it came is no part of what is compared."""
    feeder = Feeder(path, HistoryDecoder().decode, clock=lambda: 0.0, checkpoint_every=CHECKPOINT_EVERY, key=KEY)
    judge = HistoryJudge()
    for batch in batches:
        feeder.feed([message_of(item, judge) for item in batch])
    return feeder


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    database = sqlite3.connect(path)
    try:
        return {table: sorted(database.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in TABLES}  # noqa: S608
    finally:
        database.close()
