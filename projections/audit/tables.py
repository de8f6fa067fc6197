"""The tables of the audit, and how they are opened. Rule: everything that only SQLite understands is written here.

Elsewhere the SQL is plain: `?` for a value, no upserts but `ON CONFLICT … DO UPDATE`, row values and `LIMIT`. For PostgreSQL, `BLOB` is
`bytea`, `REAL` `double precision`, `INTEGER` `bigint`, `?` is `%s`, and nothing is `WITHOUT ROWID`.
"""

import sqlite3
from pathlib import Path

FORMAT = 4  # of the tables and of the states in `checkpoints`; a store of another format is thrown away and fed anew

FEEDING_KIB = 65_536  # ids and causes are random, so the pages of their indices must stay in memory while a million events are fed
CALM_KIB = 4_096  # of a store that gets some events at a time, and of questions: they find the other pages in the system's cache
BUSY_S = 30.0  # two commands may feed one store; the second one waits for the first

# `reached`: how far the store has come, and a `mark` of the last message, by which the same history is recognised. `sources`: of each
# server, its last position and latest time. `entries`: one row per event, in the order of the history; `source` and `topic` are numbers of
# `words`; `time` is the moment that counts, `told` the event's own time where that is another (`clocks.py`). `kinds`: the pairs of source
# and topic that occur. `presence`: one row per event that moves a user's presence. `people`: where they live, `source` as a number; `sure`
# once the Global Server has said it. `eras`: the eras of the stream that were read, each with what its ids begin at. `covered`: which
# positions the history has told (`coverage.py`). `checkpoints`: a stream's state, every so many versions.
_SCHEMA = """
CREATE TABLE words (number INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
CREATE TABLE kinds (source INTEGER NOT NULL, topic INTEGER NOT NULL, PRIMARY KEY (source, topic)) WITHOUT ROWID;
CREATE TABLE sources (source INTEGER PRIMARY KEY, position INTEGER NOT NULL, newest REAL);
CREATE TABLE reached (only_row INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL, entries INTEGER NOT NULL,
    newest REAL, behind_s REAL, unreadable INTEGER NOT NULL, mark BLOB, base INTEGER NOT NULL, global_key BLOB);
CREATE TABLE eras (base INTEGER PRIMARY KEY, era INTEGER NOT NULL);
CREATE TABLE covered (source INTEGER NOT NULL, life INTEGER NOT NULL, after INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (source, life, after)) WITHOUT ROWID;
CREATE TABLE entries (id INTEGER PRIMARY KEY, source INTEGER NOT NULL, position INTEGER NOT NULL, stream TEXT NOT NULL,
    version INTEGER NOT NULL, topic INTEGER NOT NULL, time REAL NOT NULL, uid INTEGER, cause TEXT NOT NULL, data BLOB NOT NULL,
    told REAL);
CREATE INDEX entries_by_time ON entries (time, id);
CREATE INDEX entries_by_user ON entries (uid, time, id, topic, source) WHERE uid IS NOT NULL;
CREATE INDEX entries_by_kind ON entries (source, topic, time, id);
CREATE INDEX entries_by_cause ON entries (cause, time, id, topic, source);
CREATE INDEX entries_by_stream ON entries (stream, version, source, time);
CREATE INDEX entries_doubtful ON entries (source, position) WHERE told IS NOT NULL;
CREATE TABLE popups (message TEXT NOT NULL, sender INTEGER NOT NULL, id INTEGER NOT NULL,
    PRIMARY KEY (message, sender, id)) WITHOUT ROWID;
CREATE TABLE presence (uid INTEGER NOT NULL, source INTEGER NOT NULL, version INTEGER NOT NULL, time REAL NOT NULL, status TEXT NOT NULL,
    changed BOOLEAN NOT NULL, login BOOLEAN NOT NULL, restart BOOLEAN NOT NULL, id INTEGER NOT NULL,
    PRIMARY KEY (uid, source, version)) WITHOUT ROWID;
CREATE INDEX presence_restarts ON presence (time) WHERE restart;
CREATE TABLE people (uid INTEGER PRIMARY KEY, handle TEXT NOT NULL, home TEXT NOT NULL, source INTEGER NOT NULL, sure BOOLEAN NOT NULL);
CREATE INDEX people_by_handle ON people (handle);
CREATE TABLE checkpoints (stream TEXT NOT NULL, version INTEGER NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (stream, version)) WITHOUT ROWID;
INSERT INTO reached VALUES (1, 0, 0, NULL, NULL, 0, NULL, 0, NULL);
INSERT INTO eras VALUES (0, 0);
"""

BY_ID = "NOT INDEXED"  # read the entries in the order of their ids


def using(index: str) -> str:
    """Make SQLite read through this index. It would sometimes choose another one, and then sort the whole store."""
    return f"INDEXED BY {index}"


def open_for_feeding(path: Path) -> sqlite3.Connection:
    """The store at `path`, made when it is missing or of another format. Raises `sqlite3.Error`, `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = _connect(path)
    if database.execute("PRAGMA user_version").fetchone()[0] not in (0, FORMAT):
        database.close()
        for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            file.unlink(missing_ok=True)
        database = _connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")  # a power cut loses the last batches together with their offset, so they are read again
    database.execute("BEGIN IMMEDIATE")
    if database.execute("PRAGMA user_version").fetchone()[0] == 0:
        for statement in _SCHEMA.split(";\n"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {FORMAT}")
    database.execute("COMMIT")
    return database


def open_for_reading(path: Path) -> sqlite3.Connection:
    """The same store, for questions. `open_for_feeding` must have made it."""
    database = _connect(path)
    database.execute("PRAGMA query_only = ON")
    return database


def hold_pages(database: sqlite3.Connection, kib: int) -> None:
    """Hold so much of the store in memory at most, from now on; what is over it is let go at once."""
    database.execute(f"PRAGMA cache_size = -{kib}")


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    hold_pages(database, CALM_KIB)
    database.execute("PRAGMA temp_store = MEMORY")
    return database
