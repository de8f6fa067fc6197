"""Faults of a server's database that a test causes, and reads of its rows. Rule: the same faults on each kind of database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from servers.store.postgres.schema import schema_of
from tests.faults.history import close, open_store, stored_records
from tests.faults.installation import Installation


def on_postgresql(installation: Installation) -> bool:
    """Whether its servers share a PostgreSQL; else each has a SQLite file."""
    return installation.store_url("global").startswith("postgresql")


@contextmanager
def locked(installation: Installation, server: str) -> Iterator[None]:
    """Another process holds a lock under which the server can neither write nor read."""
    if on_postgresql(installation):
        with psycopg.connect(installation.store_url(server)) as other:  # all of it is one transaction
            other.execute(f"LOCK TABLE {schema_of(server)}.stored_events IN ACCESS EXCLUSIVE MODE".encode())
            yield
        return
    with closing(sqlite3.connect(installation.store(server), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def lose(installation: Installation, server: str) -> None:
    """The server's events and keys are gone."""
    if on_postgresql(installation):
        with psycopg.connect(installation.store_url(server), autocommit=True) as database:
            schema = schema_of(server)
            database.execute(f"DROP SCHEMA {schema}, {schema.replace('flash_', 'flash_keys_', 1)} CASCADE".encode())
        return
    for path in (*installation.data.glob(f"{server}.db*"), *installation.data.glob(f"keys/{server}.db*")):
        path.unlink()


async def stored(installation: Installation, id_: str) -> int:
    """Events in the store of `h1` that say that a message was sent."""
    store = open_store(installation.store_url("h1"), "h1")
    try:
        records = await stored_records(store)
        return sum(record.topic == "user.message_sent" and id_.encode() in record.data for record in records)
    finally:
        await close(store)
