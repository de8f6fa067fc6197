"""The tables of one user's file on this machine, and rows as values. Rule: `disk/` alone knows SQL.

Each Global Server and user has one file, 0600 in a 0700 folder, which one client holds exclusively. Every commit reaches the disk before
it returns (`synchronous=FULL`), because a message is acknowledged to the home after that, and the home then forgets it.
"""

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clients.tk.model.values import Entry, Received, Sent, SentState

VERSION = 1
_SCHEMA = """
CREATE TABLE entries (
    n INTEGER PRIMARY KEY,          -- the order in which this client learned of them
    uid INTEGER NOT NULL,           -- with whom
    mine INTEGER NOT NULL,
    id TEXT NOT NULL,
    text TEXT NOT NULL,
    at REAL NOT NULL,               -- seconds since 1970
    in_reply_to TEXT,
    urgent INTEGER NOT NULL,
    handle TEXT NOT NULL DEFAULT '',
    name TEXT NOT NULL DEFAULT '',
    state INTEGER NOT NULL DEFAULT 0,   -- mine: a SentState
    why TEXT,
    open INTEGER NOT NULL DEFAULT 0,    -- received: neither done nor answered
    read INTEGER NOT NULL DEFAULT 1,
    shown INTEGER NOT NULL DEFAULT 1,   -- has had its popup
    untold INTEGER NOT NULL DEFAULT 0,  -- done here, and the home does not know yet
    seen TEXT UNIQUE,                   -- the SDK's key of a received message
    UNIQUE (mine, uid, id)
);
CREATE INDEX entries_by_person ON entries (uid, n);
CREATE INDEX entries_by_id ON entries (id);
CREATE INDEX entries_under_way ON entries (n) WHERE open OR untold OR (mine AND state <= 2);
CREATE VIRTUAL TABLE words USING fts5 (text, content='entries', content_rowid='n', tokenize='unicode61 remove_diacritics 2', prefix='2 3');
CREATE TRIGGER entries_words AFTER INSERT ON entries BEGIN INSERT INTO words (rowid, text) VALUES (new.n, new.text); END;
CREATE TABLE people (uid INTEGER PRIMARY KEY, handle TEXT NOT NULL, name TEXT NOT NULL);
CREATE TABLE contacts (uid INTEGER PRIMARY KEY, handle TEXT NOT NULL, name TEXT NOT NULL, alias TEXT, notify INTEGER NOT NULL);
CREATE TABLE wishes (
    uid INTEGER PRIMARY KEY, handle TEXT NOT NULL, name TEXT NOT NULL, alias TEXT,
    notify INTEGER NOT NULL, listed INTEGER NOT NULL, not_before REAL
);
CREATE TABLE own_status (
    one INTEGER PRIMARY KEY CHECK (one = 1), status TEXT NOT NULL, note TEXT NOT NULL, until REAL, saved INTEGER NOT NULL
);
"""

COLUMNS = "uid, mine, id, text, at, in_reply_to, urgent, handle, name, state, why, open, read"


class AlreadyOpen(Exception):
    """Another client of this user runs on this machine."""


class Unusable(Exception):
    """The file is damaged or comes from a newer version of this program, or the disk refuses."""


def file_of(data: Path, server: str, uid: int) -> Path:
    """Where this user's file is, under the folder for data."""
    return data / quote(server.rstrip("/"), safe="") / f"{uid}.sqlite3"


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, or make it. Raises `AlreadyOpen`, `Unusable`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives the same mode to its own files beside it
        database = sqlite3.connect(path, timeout=0.2, isolation_level=None)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("BEGIN EXCLUSIVE")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise Unusable(f"{path} was written by a newer version of this program")
            if version == 0:
                for statement in _statements():
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {VERSION}")
            database.execute("COMMIT")
        except BaseException:
            database.close()
            raise
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_BUSY":
            raise AlreadyOpen("Flash is open for this user on this machine already.") from None
        raise Unusable(f"{path} cannot be used: {error}") from error
    except (sqlite3.Error, OSError) as error:
        raise Unusable(f"{path} cannot be used: {error}") from error
    return database


def _statements() -> list[str]:
    """The statements of the schema. `executescript` would commit between them, and a kill would leave half of the schema."""
    statements, pending = [], ""
    for line in _SCHEMA.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


def instant(at: datetime | None) -> float | None:
    """A moment in the form in which the file keeps it."""
    return None if at is None else at.timestamp()


def moment(at: float | None) -> datetime | None:
    """A moment that the file has kept."""
    return None if at is None else datetime.fromtimestamp(at, UTC)


def entry_of(row: tuple[Any, ...]) -> Entry:
    """A row of `COLUMNS` as a value."""
    uid, mine, id, text, at, in_reply_to, urgent, handle, name, state, why, is_open, read = row
    when = datetime.fromtimestamp(at, UTC)
    if mine:
        return Sent(id, uid, text, when, in_reply_to, bool(urgent), SentState(state), why)
    return Received((uid, id), handle, name, text, when, in_reply_to, bool(urgent), bool(is_open), bool(read))
