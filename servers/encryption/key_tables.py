"""Where keys lie: in a SQLite file of their own, or in a PostgreSQL schema of their own. Rule: never among the events.

Keys lie beside the events unless `FLASH_KEYS_URL` says otherwise: `data/h1.db` has its keys in `data/keys/h1.db`, a PostgreSQL store in the
schema `flash_keys_<server>` of the same database, where another process that takes the server over finds them.
"""

import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from domain.errors import Unavailable
from runtime.database_urls import sqlite_file
from servers.encryption.key_store import KeyStore, KeyTable
from servers.encryption.mac import OWN

ROWS_PER_QUESTION = 500  # below every limit on the number of parameters
LOCK_TIMEOUT_S = 5.0  # for another process that reads the file, such as an audit


def open_keys(keys_url: str, store_url: str, server: str) -> KeyStore:
    """The key store of a server, over what `open_table` opens."""
    return KeyStore(open_table(keys_url, store_url, server))


def open_table(keys_url: str, store_url: str, server: str) -> KeyTable:
    """The keys of a server whose events lie in `store_url`. `keys_url`: `sqlite:///path` or `postgresql://…`; empty: beside the
    events. Raises `Unavailable`, `ValueError` for another kind of URL."""
    url = keys_url or _beside(store_url)
    if (path := sqlite_file(url)) is not None:
        return SqliteKeys(path)
    from servers.encryption.postgres_keys import PostgresKeys

    return PostgresKeys(url, server)


class KeysSeen(NamedTuple):
    """What a reader of the keys may know: of each owner that has a row, whether the key is destroyed; and the server's own key."""

    destroyed: Mapping[int, bool]
    own: bytes | None


def keys_seen(keys_url: str, store_url: str, server: str) -> KeysSeen:
    """Look at the keys. Nothing is made, and no person's key is read. Raises `Unavailable` where the keys cannot be seen."""
    url = keys_url or _beside(store_url)
    if (path := sqlite_file(url)) is None:
        from servers.encryption.postgres_keys import rows_seen

        return KeysSeen(*rows_seen(url, server))
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=LOCK_TIMEOUT_S)) as database:
            rows = database.execute("SELECT owner, key IS NULL FROM keys").fetchall()
            own = database.execute("SELECT key FROM keys WHERE owner = ?", (OWN,)).fetchone()
    except sqlite3.Error as error:
        raise Unavailable(f"the keys in {path} cannot be seen: {error}") from error
    return KeysSeen({owner: bool(gone) for owner, gone in rows}, own[0] if own else None)


def existing_table(keys_url: str, store_url: str, server: str) -> KeyTable | None:
    """What `open_table` opens, if it was made already and this user may read it; nothing is made. Raises `Unavailable`."""
    url = keys_url or _beside(store_url)
    if (path := sqlite_file(url)) is not None:
        return SqliteKeys(path) if path.exists() and os.access(path, os.R_OK | os.W_OK) else None
    from servers.encryption.postgres_keys import PostgresKeys, has_records

    return PostgresKeys(url, server) if has_records(url, server) else None


def keys_file(keys_url: str, store_url: str) -> Path | None:
    """The file in which `open_keys` finds the keys, or makes them; None when they lie in PostgreSQL."""
    return sqlite_file(keys_url or _beside(store_url))


def _beside(store_url: str) -> str:
    path = sqlite_file(store_url)
    return store_url if path is None else f"sqlite:///{path.parent / 'keys' / path.name}"


class SqliteKeys:
    """`KeyTable` in a SQLite file that only its owner can read. What is deleted is overwritten, in the file and in its journal."""

    def __init__(self, path: Path) -> None:
        """Raises `Unavailable` when the file cannot be opened."""
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # before SQLite makes it: its journals then get the same mode
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=LOCK_TIMEOUT_S)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "temp_store=MEMORY"):
                self._db.execute(f"PRAGMA {pragma}")
            self._db.execute("CREATE TABLE IF NOT EXISTS keys (owner INTEGER PRIMARY KEY, key BLOB)")
            self._db.execute("CREATE TABLE IF NOT EXISTS trust (name TEXT PRIMARY KEY, value BLOB NOT NULL)")
            self._db.execute("CREATE TABLE IF NOT EXISTS words (uid INTEGER PRIMARY KEY, word BLOB NOT NULL)")
        except (OSError, sqlite3.Error) as error:
            raise Unavailable(f"The key store cannot be opened: {error}") from error

    def read(self, owners: Iterable[int]) -> dict[int, bytes | None]:
        wanted, found = list(owners), dict[int, bytes | None]()
        for start in range(0, len(wanted), ROWS_PER_QUESTION):
            some = wanted[start : start + ROWS_PER_QUESTION]
            found.update(self._run(f"SELECT owner, key FROM keys WHERE owner IN ({','.join('?' * len(some))})", some))  # noqa: S608
        return found

    def everything(self) -> dict[int, bytes | None]:
        return dict(self._run("SELECT owner, key FROM keys"))

    def lowest(self) -> int:
        lowest: int | None = self._run("SELECT min(owner) FROM keys")[0][0]
        return lowest or 0

    def add(self, keys: Mapping[int, bytes | None]) -> None:
        with self._lock, _refusals():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT INTO keys VALUES (?,?) ON CONFLICT DO NOTHING", keys.items())
            finally:
                self._db.execute("COMMIT")

    def destroy(self, owner: int) -> None:
        self._run("INSERT INTO keys VALUES (?,NULL) ON CONFLICT DO UPDATE SET key=NULL", (owner,))
        self._run("VACUUM")  # writes the pages anew: a page that was split may hold a copy that no deletion reaches
        if self._run("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            raise Unavailable("Another process reads the key store: the journal still holds a destroyed key.")

    def records(self, prefix: str = "") -> dict[str, bytes]:
        with self._lock, _refusals():
            found = self._db.execute("SELECT name, value FROM trust WHERE substr(name, 1, ?) = ?", (len(prefix), prefix))
            return dict(found.fetchall())

    def change_record(self, name: str, old: bytes | None, new: bytes | None) -> bool:
        values: tuple[str | bytes | None, ...]
        if old is None:
            statement, values = "INSERT INTO trust VALUES (?,?) ON CONFLICT DO NOTHING", (name, new)
        elif new is None:
            statement, values = "DELETE FROM trust WHERE name=? AND value=?", (name, old)
        else:
            statement, values = "UPDATE trust SET value=? WHERE name=? AND value=?", (new, name, old)
        with self._lock, _refusals():
            return (old, new) == (None, None) or self._db.execute(statement, values).rowcount == 1

    def words(self, uids: Collection[int]) -> dict[int, bytes]:
        wanted, found = list(uids), dict[int, bytes]()
        for start in range(0, len(wanted), ROWS_PER_QUESTION):
            some = wanted[start : start + ROWS_PER_QUESTION]
            with self._lock, _refusals():
                marks = ",".join("?" * len(some))
                found.update(self._db.execute(f"SELECT uid, word FROM words WHERE uid IN ({marks})", some).fetchall())  # noqa: S608
        return found

    def every_word(self) -> dict[int, bytes]:
        with self._lock, _refusals():
            return dict(self._db.execute("SELECT uid, word FROM words").fetchall())

    def add_words(self, words: Mapping[int, bytes]) -> None:
        with self._lock, _refusals():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT INTO words VALUES (?,?) ON CONFLICT DO NOTHING", words.items())
            finally:
                self._db.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _run(self, statement: str, values: Iterable[int] = ()) -> list[tuple[int, bytes | None]]:
        with self._lock, _refusals():
            return self._db.execute(statement, tuple(values)).fetchall()


class _refusals:  # noqa: N801 - used as a word in `with`
    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise Unavailable(f"The key store is away: {error}") from error
