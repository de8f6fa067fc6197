"""A home on PostgreSQL that can be served by two processes, `a` and `b`, behind HAProxy. Rule: the proxy knows only what `/readyz` says.

Each process reaches the database through a line of its own, which a test can cut.
"""

import asyncio
import contextlib
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.faults.installation import Installation, Server
from tests.faults.proxy import Proxy
from tests.support.ports import free_ports
from tests.support.waiting import eventually

STARTED_S = 60.0
HAPROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout check 1s
frontend h1
    bind 127.0.0.1:{port}
    default_backend h1
backend h1
    option httpchk GET /readyz
    default-server check inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
    server a 127.0.0.1:{a}
    server b 127.0.0.1:{b}
"""

# Written by the database itself in each commit's transaction: which process committed, and who held which lease at that moment.
WITNESS = """
CREATE TABLE flash_h1.witness (n bigserial, position bigint, process text, epoch bigint, holder text);
CREATE FUNCTION flash_h1.witness() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
    INSERT INTO flash_h1.witness (position, process, epoch, holder)
    SELECT (SELECT max(notification_id) FROM fresh), current_setting('application_name'), lease.epoch, lease.process FROM flash_h1.lease;
    RETURN NULL;
END $body$;
CREATE TRIGGER witness AFTER INSERT ON flash_h1.stored_events REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION flash_h1.witness();
"""


class Node:
    """One of the two processes, and its line to the database."""

    def __init__(self, server: Server, line: Proxy) -> None:
        self.server = server
        self.line = line

    async def says(self) -> str:
        """What `/readyz` says: "" when it is ready, else why not."""
        return await asyncio.to_thread(self._says)

    def _says(self) -> str:
        try:
            with urllib.request.urlopen(f"{self.server.url}/readyz", timeout=1):  # noqa: S310 - our own address
                return ""
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError as error:
            return str(error) or type(error).__name__

    async def serves(self) -> bool:
        """Whether it is ready."""
        return await self.says() == ""

    async def stands_by(self) -> None:
        """Start it, if it does not run; return when it is the standby."""
        self.server.spawn()
        await eventually(self._is_standby, STARTED_S)

    async def _is_standby(self) -> bool:
        return "Standby" in await self.says()


class Pair:
    """Both processes. `serving` and `standby` change places with each takeover."""

    def __init__(self, a: Node, b: Node, database: str) -> None:
        self.serving, self.standby = a, b
        self._database = database

    def swap(self) -> None:
        """Note that the standby serves now."""
        self.serving, self.standby = self.standby, self.serving

    def call_witness(self) -> None:
        """From now on the database records which process commits."""
        with psycopg.connect(self._database, autocommit=True) as connection:
            connection.execute(WITNESS)

    def testimony(self) -> list[tuple[str, int, str]]:
        """(process, epoch, holder) of each commit, in the order of the log."""
        with psycopg.connect(self._database) as connection:
            rows = connection.execute("SELECT process, epoch, holder FROM flash_h1.witness WHERE position IS NOT NULL ORDER BY position")
            return [(str(process), int(epoch), str(holder)) for process, epoch, holder in rows.fetchall()]


@contextlib.asynccontextmanager
async def standing_by(directory: Path, amqp_url: str, database: str, pace: Mapping[str, str]) -> AsyncIterator[tuple[Installation, Pair]]:
    """A Global Server, `h2`, and `h1` twice. `pace`: `FLASH_*` variables that are not to be the defaults."""
    port, second = free_ports(2)
    parts = urlsplit(database)
    async with Proxy(parts.port or 5432) as line_a, Proxy(parts.port or 5432) as line_b:
        installation = Installation(directory, amqp_url, {"FLASH_STORE_URL": database}, pace)
        nodes: list[Node] = []
        for name, where, line in (("a", installation.homes["h1"].port, line_a), ("b", second, line_b)):
            through = parts._replace(netloc=f"{parts.username}:{parts.password}@{line.url.removeprefix('http://')}").geturl()
            environment = installation.environment | {
                "FLASH_STORE_URL": through,
                "FLASH_DATA_DIR": str(directory / f"data-{name}"),
                "FLASH_PUBLIC_URL": f"http://127.0.0.1:{port}",
            }
            nodes.append(Node(Server("h1", ["home", "h1"], where, environment, directory / f"h1-{name}.log"), line))
        installation.homes["h1"] = nodes[0].server
        pair = Pair(nodes[0], nodes[1], database)
        configuration = directory / "haproxy.cfg"
        configuration.write_text(HAPROXY.format(port=port, a=nodes[0].server.port, b=nodes[1].server.port))
        with (directory / "haproxy.log").open("wb") as log:
            haproxy = subprocess.Popen(["haproxy", "-f", str(configuration)], stdout=log, stderr=log)  # noqa: ASYNC220 - it returns at once
        try:
            await asyncio.to_thread(installation.start)
            await nodes[1].stands_by()
            yield installation, pair
        finally:
            haproxy.kill()
            haproxy.wait()
            await asyncio.to_thread(installation.kill)
            await asyncio.to_thread(nodes[1].server.kill)
