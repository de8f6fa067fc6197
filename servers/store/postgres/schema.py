"""How a server's log lies in PostgreSQL: the library's tables, and ours: the lease row and the function that commits.

Rule: a commit is one statement. Between its parts the database never waits for us, so a server that is stopped in the middle of
anything holds no lock.
"""

from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from eventsourcing.persistence import PersistenceError
from eventsourcing.postgres import PostgresFactory
from psycopg.sql import SQL, Composed, Identifier

from domain.errors import Unavailable
from runtime.postgres_options import KEEPALIVES

SETUP_LOCK = 0x666C617368  # "flash": a key that no other user of the database is likely to lock
CONNECT_TIMEOUT_S = 3  # a user who waits hears after this time that the store is away
FENCED = "FL001"  # the SQLSTATE with which the database refuses a commit under an old lease; class FL is nobody else's
COLUMNS = "notification_id, originator_id, originator_version, topic, state"
EVENTS, TRACKINGS, SNAPSHOTS = "stored_events", "notification_tracking", "stored_snapshots"

# One row. `epoch` is the fencing number and the key: a commit's KEY SHARE lock keeps it from rising, and lets renewals of `until` pass.
_LEASE = """
CREATE TABLE IF NOT EXISTS {schema}.lease (
    epoch bigint PRIMARY KEY, holder text NOT NULL, process text NOT NULL, until timestamptz NOT NULL
)
"""
_NOBODY = "INSERT INTO {schema}.lease SELECT 0, '', '', '-infinity' WHERE NOT EXISTS (SELECT FROM {schema}.lease)"

# The advisory lock makes positions rise in the order of the commits when two servers write to one log: readers go by position. The
# table itself stays open to VACUUM, which a commit would wait for: one that prevents a wraparound does not give way.
# An inbox position that does not rise means that another process consumed it: a conflict; one of an outbox does no harm.
_COMMIT = """
CREATE OR REPLACE FUNCTION {schema}.flash_commit(
    fence bigint, streams text[], versions bigint[], topics text[], states bytea[],
    sources text[], seen bigint[], relays text[], published bigint[]
) RETURNS bigint[] LANGUAGE plpgsql AS $body$
DECLARE
    numbers bigint[];
    risen bigint;
BEGIN
    IF fence > 0 THEN
        PERFORM FROM {schema}.lease WHERE epoch = fence FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'fenced out: lease % is over', fence USING ERRCODE = {fenced};
        END IF;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema}.{events}', 0));
    IF cardinality(sources) > 0 THEN
        INSERT INTO {schema}.{trackings} AS t (application_name, notification_id) SELECT * FROM unnest(sources, seen)
        ON CONFLICT (application_name) DO UPDATE SET notification_id = excluded.notification_id
        WHERE t.notification_id < excluded.notification_id;
        GET DIAGNOSTICS risen = ROW_COUNT;
        IF risen < cardinality(sources) THEN
            RAISE unique_violation USING MESSAGE = 'a tracking position does not rise';
        END IF;
    END IF;
    IF cardinality(relays) > 0 THEN
        INSERT INTO {schema}.{trackings} AS t (application_name, notification_id) SELECT * FROM unnest(relays, published)
        ON CONFLICT (application_name) DO UPDATE SET notification_id = excluded.notification_id
        WHERE t.notification_id < excluded.notification_id;
    END IF;
    WITH fresh AS (
        INSERT INTO {schema}.{events} (originator_id, originator_version, topic, state)
        SELECT * FROM unnest(streams, versions, topics, states) RETURNING notification_id
    )
    SELECT array_agg(notification_id) INTO numbers FROM fresh;
    RETURN numbers;
END
$body$
"""
_CALL = (
    "SELECT {schema}.flash_commit(%b, %b::text[], %b::bigint[], %b::text[], %b::bytea[], "
    "%s::text[], %s::bigint[], %s::text[], %s::bigint[])"
)


def make_tables(url: str, server: str) -> None:
    """Make schema, tables and function where they are missing. Raises `psycopg.Error`, `Unavailable`."""
    schema = Identifier(schema_of(server))
    options: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, **KEEPALIVES}
    with (
        psycopg.connect(url, autocommit=True, **options) as turn,
        psycopg.connect(url, autocommit=True, **options) as database,
        turn.transaction(),
    ):
        # `IF NOT EXISTS` does not hold between two servers that start in the same moment; a lock of the whole database does.
        turn.execute("SELECT pg_advisory_xact_lock(%s)", (SETUP_LOCK,))
        database.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        for table in (EVENTS, TRACKINGS, SNAPSHOTS):
            found = database.execute("SELECT to_regclass(format('%%I.%%I', %s::text, %s::text))", (schema_of(server), table)).fetchone()
            if found is None or found[0] is None:
                _librarys_tables(url, server)
                break
        names = {"schema": schema, "events": Identifier(EVENTS), "trackings": Identifier(TRACKINGS), "fenced": FENCED}
        for statement in (_LEASE, _NOBODY, _COMMIT):
            database.execute(SQL(statement).format(**names))


def _librarys_tables(url: str, server: str) -> None:
    """Events, positions and snapshots lie as the library lays them."""
    parts = urlsplit(url)
    factory = PostgresFactory(
        {
            "POSTGRES_DBNAME": parts.path.lstrip("/"),
            "POSTGRES_HOST": parts.hostname or "127.0.0.1",
            "POSTGRES_PORT": str(parts.port or 5432),
            "POSTGRES_USER": unquote(parts.username or ""),
            "POSTGRES_PASSWORD": unquote(parts.password or ""),
            "POSTGRES_SCHEMA": schema_of(server),
            "POSTGRES_POOL_SIZE": "1",
            "POSTGRES_MAX_OVERFLOW": "1",
            "ORIGINATOR_ID_TYPE": "text",
        }
    )
    try:
        factory.process_recorder()
        factory.aggregate_recorder("snapshots")
    except PersistenceError as error:
        raise Unavailable(f"The store cannot be opened: {error}") from error
    finally:
        factory.close()


def commit_call(server: str) -> Composed:
    """The statement that commits: fence, columns of the events, inbox positions, outbox positions; it returns the events' positions."""
    return SQL(_CALL).format(schema=Identifier(schema_of(server)))


def schema_of(server: str) -> str:
    """A server's own schema. "-" would need quotes, which the library forgets in one place."""
    return f"flash_{server.replace('-', '$')}"


def program_name(server: str) -> str:
    """How the connections of a server at work are named in the database; the number of its process follows."""
    return f"flash {server}"
