"""The lease row in the schema of a server. Rule: only the clock of the database says whether a lease is over."""

from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Composed, Identifier

from domain.errors import Unavailable

TIMEOUT_S = 2  # a database that does not answer a one-row statement in this time is away; libpq knows nothing shorter

# A commit of the last holder may have passed the fence and be on its way. It comes first: its row is locked and skipped, and we look again
# soon. Waiting for it could take longer than `TIMEOUT_S`, which would look as if the database were away.
_TAKE = """
UPDATE {schema}.lease SET epoch = epoch + 1, holder = %s, process = current_setting('application_name'),
    until = clock_timestamp() + make_interval(secs => %s)
WHERE epoch = (SELECT epoch FROM {schema}.lease WHERE until < clock_timestamp() OR (%s AND holder = %s) FOR UPDATE SKIP LOCKED)
RETURNING epoch
"""
_RENEW = "UPDATE {schema}.lease SET until = clock_timestamp() + make_interval(secs => %s) WHERE epoch = %s RETURNING epoch"
_RELEASE = "UPDATE {schema}.lease SET until = '-infinity' WHERE epoch = %s"
_HOLDER = "SELECT holder FROM {schema}.lease"


class PostgresLease:
    """`LeaseTable` in PostgreSQL. `options`: how to connect. A connection that fails is replaced at the next call."""

    def __init__(self, options: dict[str, Any], schema: str) -> None:
        self._options = {**options, "row_factory": tuple_row, "connect_timeout": TIMEOUT_S, "options": f"-c statement_timeout={TIMEOUT_S}s"}
        self._schema = Identifier(schema)
        self._connection: psycopg.Connection[Any] | None = None

    def take(self, holder: str, lasts_s: float, restarted: bool) -> int | None:
        row = self._run(_TAKE, holder, lasts_s, restarted, holder)
        return None if row is None else int(row[0])

    def renew(self, epoch: int, lasts_s: float) -> bool:
        return self._run(_RENEW, lasts_s, epoch) is not None

    def release(self, epoch: int) -> None:
        self._run(_RELEASE, epoch)

    def holder(self) -> str:
        row = self._run(_HOLDER)
        return "" if row is None else str(row[0])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, text: str, *values: Any) -> tuple[Any, ...] | None:
        statement: Composed = SQL(text).format(schema=self._schema)
        try:
            if self._connection is None:
                self._connection = psycopg.connect(autocommit=True, **self._options)
            cursor = self._connection.execute(statement, values)
            return cursor.fetchone() if cursor.description is not None else None
        except psycopg.Error as error:
            self.close()
            raise Unavailable(f"The database is away: {type(error).__name__}") from error
