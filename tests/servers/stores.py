"""Stores to test on, and the events to fill them with. Rule: a test sees a store only through `servers.store.event_store.Store`, but for
what a server of today no longer does."""

import contextlib
import sqlite3
from collections.abc import Iterable
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier

from domain.event import Event, in_stream
from domain.events.home import MessageSent, UserAdopted
from domain.personal import owners
from domain.rules.home import rules_for
from servers.store.event_store import Committed, Store
from servers.store.postgres.schema import schema_of

NOW = 1_700_000_000.0
HOME = rules_for("h1")


def adopted(number: int = 1) -> UserAdopted:
    """An event of a `user-…` stream; `number` tells it from others."""
    return UserAdopted(at=NOW, cause=f"c{number}", handle=f"ann{number}", name="Ann")


def sent(number: int) -> MessageSent:
    """Another, about as large as a popup."""
    return MessageSent(
        at=NOW, cause=f"m{number}", id=f"m{number}", uid=1, handle="ann", name="Ann", to=2, to_home="h2", text="x" * 100,
        in_reply_to=None, urgent=False,
    )  # fmt: skip


def plant_snapshots(url: str, *snapshots: tuple[str, int, bytes], server: str = "h1") -> None:
    """Put snapshots beside those that are there, as versions until 30 November 2026 did."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(urlsplit(url).path.removeprefix("/"))) as file, file:
            file.executemany("INSERT INTO stored_snapshots VALUES (?, ?, 'snapshot', ?)", snapshots)
    else:
        with psycopg.connect(url) as database, database.cursor() as cursor:
            statement = SQL("INSERT INTO {} VALUES (%s, %s, 'snapshot', %s)").format(Identifier(schema_of(server), "stored_snapshots"))
            cursor.executemany(statement, snapshots)


def put(store: Store, stream: str, version: int, events: Iterable[Event], trackings=()) -> list[Committed]:
    """Store fresh `events` of `stream` after `version`."""
    fresh = in_stream(events, stream, version)
    store.keys.make({owner for event in fresh for owner in owners(event)})
    return store.put(fresh, store.codec.encode(fresh), trackings)
