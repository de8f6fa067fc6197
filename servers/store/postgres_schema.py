"""What Flash adds to the library's tables in a server's schema: the lease row and the function that commits.

Rule: a commit is one statement. Between its parts the database never waits for us, so a server that is stopped in the middle of
anything holds no lock.
"""

from psycopg.sql import SQL, Composed, Identifier

from servers.store.lease import FENCED

# One row. `epoch` is the fencing number and the key: a commit's KEY SHARE lock keeps it from rising, and lets renewals of `until` pass.
_LEASE = """
CREATE TABLE IF NOT EXISTS {schema}.lease (
    epoch bigint PRIMARY KEY, holder text NOT NULL, process text NOT NULL, until timestamptz NOT NULL
)
"""
_NOBODY = "INSERT INTO {schema}.lease SELECT 0, '', '', '-infinity' WHERE NOT EXISTS (SELECT FROM {schema}.lease)"

# The advisory lock makes positions rise in the order of the commits when two servers write to one log: readers go by position. The
# table itself stays open to VACUUM, which a commit would wait for: one that prevents a wraparound does not give way.
# An inbox position that does not rise means that another process consumed it: a conflict; one of a relay does no harm.
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


def lease_table(schema: Identifier) -> list[Composed]:
    """Statements that make the lease, held by nobody."""
    return [SQL(_LEASE).format(schema=schema), SQL(_NOBODY).format(schema=schema)]


def commit_function(schema: Identifier, events: Identifier, trackings: Identifier) -> Composed:
    """The statement that makes the function."""
    return SQL(_COMMIT).format(schema=schema, events=events, trackings=trackings, fenced=FENCED)


def commit_call(schema: Identifier) -> Composed:
    """The statement that commits: fence, columns of the events, inbox positions, relay positions; it returns the events' positions."""
    return SQL(_CALL).format(schema=schema)
