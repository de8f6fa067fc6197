"""Keys in PostgreSQL, for servers that another process may take over. Rule: the keys have a schema of their own, `flash_keys_<server>`.

A destroyed key is gone from the table and, after the table was written anew, from its file. The database's own log and its backups still
hold it: how long those are kept is for the operator to decide.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from domain.errors import Unavailable
from runtime.postgres_options import KEEPALIVES
from servers.encryption.mac import OWN

CONNECT_TIMEOUT_S = 3  # a user who waits hears after this time that the keys are away
SETUP_LOCK = 0x6B657973  # "keys": a key that no other user of the database is likely to lock
T = TypeVar("T")


def rows_seen(url: str, server: str) -> tuple[dict[int, bool], bytes | None]:
    """Of each owner that has a row, whether the key is destroyed; and the server's own key. Raises `Unavailable`."""
    table = Identifier(schema_of_keys(server), "keys")
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as database:
            database.read_only = True
            rows = database.execute(SQL("SELECT owner, key IS NULL FROM {}").format(table)).fetchall()
            own = database.execute(SQL("SELECT key FROM {} WHERE owner = %s").format(table), (OWN,)).fetchone()
    except psycopg.Error as error:
        raise Unavailable(f"the keys of {server} cannot be seen: {error}") from error
    return dict(rows), bytes(own[0]) if own and own[0] is not None else None


def schema_of_keys(server: str) -> str:
    """The schema in which a server's keys lie."""
    return f"flash_keys_{server.replace('-', '$')}"


def has_records(url: str, server: str) -> bool:
    """Whether the trust records of `server` are there, and this user may change them. Raises `Unavailable`."""
    question = (
        "SELECT has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = 'trust' AND has_schema_privilege(n.oid, 'USAGE')"
    )
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as db:
            row = db.execute(question, (schema_of_keys(server),)).fetchone()
    except psycopg.Error as error:
        raise Unavailable(f"The key store is away: {type(error).__name__}") from error
    return row is not None and bool(row[0])


class PostgresKeys:
    """`KeyTable` in a schema. It uses one connection, which is replaced after it was lost, but never once the table was closed: a thread
    whose caller was cancelled may still ask, when a server stops, and nobody would close the connection that it opens."""

    def __init__(self, url: str, server: str) -> None:
        """Raises `Unavailable` when the database cannot be reached."""
        self._url = url
        schema = schema_of_keys(server)
        self._table, self._trust, self._words = (Identifier(schema, name) for name in ("keys", "trust", "words"))
        self._lock = threading.Lock()
        self._db: psycopg.Connection[Any] | None = None
        self._closed = False

        def set_up(db: psycopg.Connection[Any]) -> None:
            with db.transaction():  # `IF NOT EXISTS` does not hold between two processes that start in the same moment
                db.execute("SELECT pg_advisory_xact_lock(%s)", (SETUP_LOCK,))
                db.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema)))
                db.execute(self._sql("CREATE TABLE IF NOT EXISTS {} (owner bigint PRIMARY KEY, key bytea)"))
                db.execute(self._trust_sql("CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, value bytea NOT NULL)"))
                words = SQL("CREATE TABLE IF NOT EXISTS {} (uid bigint PRIMARY KEY, word bytea NOT NULL)")
                db.execute(words.format(self._words))

        self._run(set_up)

    def read(self, owners: Iterable[int]) -> dict[int, bytes | None]:
        wanted = list(owners)
        if not wanted:
            return {}
        rows = self._run(lambda db: db.execute(self._sql("SELECT owner, key FROM {} WHERE owner = ANY(%s)"), (wanted,)).fetchall())
        return {owner: bytes(key) if key is not None else None for owner, key in rows}

    def everything(self) -> dict[int, bytes | None]:
        rows = self._run(lambda db: db.execute(self._sql("SELECT owner, key FROM {}")).fetchall())
        return {owner: bytes(key) if key is not None else None for owner, key in rows}

    def lowest(self) -> int:
        row = self._run(lambda db: db.execute(self._sql("SELECT min(owner) FROM {}")).fetchone())
        return (row[0] if row else 0) or 0

    def add(self, keys: Mapping[int, bytes | None]) -> None:
        owners = sorted(keys)
        # One statement: a process that is stopped in the middle of it keeps no other from writing.
        insert = self._sql("INSERT INTO {} SELECT * FROM unnest(%s::bigint[], %s::bytea[]) ON CONFLICT DO NOTHING")
        self._run(lambda db: db.execute(insert, (owners, [keys[owner] for owner in owners])))

    def destroy(self, owner: int) -> None:

        def erase(db: psycopg.Connection[Any]) -> None:
            db.execute(self._sql("INSERT INTO {} VALUES (%s,NULL) ON CONFLICT (owner) DO UPDATE SET key=NULL"), (owner,))
            db.execute(self._sql("VACUUM FULL {}"))  # writes the table anew: deletion leaves old rows where they are

        self._run(erase)

    def records(self, prefix: str = "") -> dict[str, bytes]:
        question = self._trust_sql("SELECT name, value FROM {} WHERE starts_with(name, %s)")
        rows = self._run(lambda db: db.execute(question, (prefix,)).fetchall())
        return {name: bytes(value) for name, value in rows}

    def change_record(self, name: str, old: bytes | None, new: bytes | None) -> bool:
        values: tuple[str | bytes | None, ...]
        if old is None:
            statement, values = "INSERT INTO {} VALUES (%s,%s) ON CONFLICT DO NOTHING", (name, new)
        elif new is None:
            statement, values = "DELETE FROM {} WHERE name=%s AND value=%s", (name, old)
        else:
            statement, values = "UPDATE {} SET value=%s WHERE name=%s AND value=%s", (new, name, old)
        return (old, new) == (None, None) or self._run(lambda db: db.execute(self._trust_sql(statement), values).rowcount == 1)

    def words(self, uids: Collection[int]) -> dict[int, bytes]:
        question = SQL("SELECT uid, word FROM {} WHERE uid = ANY(%s)").format(self._words)
        return {uid: bytes(word) for uid, word in self._run(lambda db: db.execute(question, (list(uids),)).fetchall())}

    def every_word(self) -> dict[int, bytes]:
        question = SQL("SELECT uid, word FROM {}").format(self._words)
        return {uid: bytes(word) for uid, word in self._run(lambda db: db.execute(question).fetchall())}

    def add_words(self, words: Mapping[int, bytes]) -> None:
        insert = SQL("INSERT INTO {} SELECT * FROM unnest(%s::bigint[], %s::bytea[]) ON CONFLICT DO NOTHING").format(self._words)
        uids = sorted(words)
        self._run(lambda db: db.execute(insert, (uids, [words[uid] for uid in uids])))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._drop()

    def _sql(self, text: str) -> Composed:
        return SQL(text).format(self._table)

    def _trust_sql(self, text: str) -> Composed:
        return SQL(text).format(self._trust)

    def _run(self, call: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Call with a live connection; once more with a new one if that one had died."""
        with self._lock:
            if self._closed:
                raise Unavailable("The key store is closed.")
            try:
                fresh = self._db is None or self._db.closed
                try:
                    return call(self._connected())
                except psycopg.OperationalError:
                    if fresh:
                        raise
                    self._drop()
                    return call(self._connected())
            except psycopg.Error as error:
                self._drop()
                raise Unavailable(f"The key store is away: {type(error).__name__}") from error

    def _connected(self) -> psycopg.Connection[Any]:
        if self._db is None or self._db.closed:
            options: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, **KEEPALIVES}
            self._db = psycopg.connect(self._url, autocommit=True, **options)
        return self._db

    def _drop(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
