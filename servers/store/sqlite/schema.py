"""How a server's log lies in SQLite: events in the order of the log, and for each stream a way back through it from its newest event.

Rule: the database makes the links, whichever program inserts a row, and refuses a version that is not above the last of its stream.

The library's index over (stream, version) has a page for each stream that is alive: every event then writes, reads and checkpoints a page
of its own, more than half of what a commit costs. The ends of all streams lie on a few pages, the links next to each other.
"""

import sqlite3
import time
from pathlib import Path

import structlog
from eventsourcing.persistence import PersistenceError
from eventsourcing.sqlite import SQLiteFactory

from domain.errors import Unavailable

COLUMNS = "originator_id, originator_version, topic, state"

# `rowid` has a name, so that VACUUM does not number the log anew.
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS stored_events ("
    "rowid INTEGER PRIMARY KEY, originator_id TEXT, originator_version INTEGER, topic TEXT, state BLOB)",
    # Where the newest event of each stream lies, and which one it is.
    "CREATE TABLE IF NOT EXISTS stream_ends ("
    "originator_id TEXT PRIMARY KEY, originator_version INTEGER NOT NULL, position INTEGER NOT NULL) WITHOUT ROWID",
    # For every event but the first of its stream: where the one before lies, and which one that is.
    "CREATE TABLE IF NOT EXISTS stream_links (position INTEGER PRIMARY KEY, previous INTEGER NOT NULL, previous_version INTEGER NOT NULL)",
    "CREATE TRIGGER IF NOT EXISTS link_event AFTER INSERT ON stored_events BEGIN "
    "INSERT INTO stream_links SELECT NEW.rowid, position, CASE WHEN originator_version < NEW.originator_version THEN originator_version "
    "ELSE RAISE(ABORT, 'the stream has this version already') END FROM stream_ends WHERE originator_id = NEW.originator_id; "
    "INSERT INTO stream_ends VALUES (NEW.originator_id, NEW.originator_version, NEW.rowid) ON CONFLICT (originator_id) "
    "DO UPDATE SET originator_version = excluded.originator_version, position = excluded.position; "
    "END",
)

# The events of stream ? above version ?, newest first; then they are put in order.
STREAM = (
    "WITH RECURSIVE back (position, version) AS ("
    "SELECT position, originator_version FROM stream_ends WHERE originator_id = ? "
    "UNION ALL SELECT link.previous, link.previous_version FROM back JOIN stream_links AS link ON link.position = back.position "
    "WHERE link.previous_version > ?) "
    "SELECT rowid, originator_id, originator_version, topic, state FROM back JOIN stored_events ON stored_events.rowid = back.position "
    "WHERE originator_version > ? ORDER BY originator_version"
)

log = structlog.get_logger()


def make_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables that are missing; a log that lies as the library lays it is brought into our form first. Raises `sqlite3.Error`,
    `Unavailable`."""
    connection.execute("BEGIN IMMEDIATE")
    _convert(connection)
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute("COMMIT")
    if connection.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('tracking', 'stored_snapshots')").fetchone()[0] == 2:
        return
    factory = SQLiteFactory({"SQLITE_DBNAME": str(path), "ORIGINATOR_ID_TYPE": "text"})
    try:  # positions and snapshots lie as the library lays them
        factory.process_recorder()
        factory.aggregate_recorder("snapshots")
    except PersistenceError as error:
        raise Unavailable(f"The store cannot be opened: {error}") from error
    finally:
        factory.close()


def _convert(connection: sqlite3.Connection) -> None:
    """Bring a log that lies as the library lays it into our form, in the open transaction. 4 s for 300,000 events."""
    if not connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_autoindex_stored_events_1'").fetchone()[0]:
        return
    began = time.monotonic()
    connection.execute("ALTER TABLE stored_events RENAME TO stored_events_before")
    for statement in SCHEMA:
        connection.execute(statement)
    copied = connection.execute(
        f"INSERT INTO stored_events (rowid, {COLUMNS}) SELECT rowid, {COLUMNS} FROM stored_events_before ORDER BY rowid"  # noqa: S608
    )
    connection.execute("DROP TABLE stored_events_before")
    log.info("store.converted", events=copied.rowcount, took_s=round(time.monotonic() - began, 1))
