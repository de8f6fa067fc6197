"""A PostgreSQL server of our own, from the local package. Rule: it shares nothing with another: port, data, socket folder.

    postgres = PrivatePostgres(directory)
    postgres.start()
    ... postgres.new_database(), postgres.kill(), postgres.start() ...
    postgres.close()

It listens on the loopback interface only. PostgreSQL refuses to run as root: there it runs as the package's user `postgres`.
`FLASH_TEST_POSTGRES_URL=postgresql://user:password@host/database` names one that runs already; its user must be allowed to make databases.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier

from tests.support.missing import Missing
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

URL_VARIABLE = "FLASH_TEST_POSTGRES_URL"
START_TIMEOUT_S = 60  # a loaded machine needs 5; past that, something is wrong
LOCK_TIMEOUT_MS = 10_000  # a transaction that a test left open ends with an error, instead of blocking others for ever
USER = "postgres"  # made by the Debian package; also the name of the cluster's superuser


def find_binaries() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest version first; None when it is not installed."""
    folders = [p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if folders:
        return max(folders, key=lambda folder: int(folder.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class AnyPostgres(Protocol):
    """What tests may do with a PostgreSQL. Only with `can_be_controlled` does more than `new_database` work."""

    can_be_controlled: bool

    def new_database(self) -> str:
        """The URL of a fresh, empty database."""

    def lend_database(self) -> contextlib.AbstractContextManager[str]:
        """The URL of an empty database, for as long as it is needed."""

    def start(self) -> None:
        """Start it and return when it takes connections."""

    def kill(self) -> None:
        """End its processes at once; what was committed stays."""

    def close(self) -> None:
        """End it for good."""


class GivenPostgres:
    """The PostgreSQL behind `FLASH_TEST_POSTGRES_URL`, which tests may not stop."""

    can_be_controlled = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: list[str] = []
        self._idle: list[str] = []

    def new_database(self) -> str:
        """A database beside the given one."""
        name = f"flash_test_{secrets.token_hex(6)}"
        self._run(f'CREATE DATABASE "{name}"')
        self._made.append(name)
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    @contextlib.contextmanager
    def lend_database(self) -> Iterator[str]:
        """A database that was made before, if there is one, because emptying it takes a tenth of the time of making one."""
        url = self._idle.pop() if self._idle else self.new_database()
        yield url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}".encode())
            for (schema,) in connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'flash%'").fetchall():
                connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))
        self._idle.append(url)

    def _run(self, statement: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """It runs."""

    def kill(self) -> None:
        """Refuse."""
        raise RuntimeError(f"the server of {URL_VARIABLE} is not ours to control")

    def close(self) -> None:
        """Leave nothing behind."""
        for name in self._made:
            self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class PrivatePostgres(GivenPostgres):
    """One cluster. Its data outlives `kill`; its port stays the same."""

    can_be_controlled = True

    def __init__(self) -> None:
        binaries = find_binaries()
        if binaries is None:
            raise Missing(f"these tests need PostgreSQL: set {URL_VARIABLE}, or `apt-get install postgresql-15` (13 or later)")
        self._binaries = binaries
        self._owner: dict[str, str] = {"user": USER, "group": USER} if os.geteuid() == 0 else {}
        # not pytest's own folder, because only its owner may enter that, and the server may run as another user
        self.directory = Path(tempfile.mkdtemp(prefix="flash-postgres-"))
        if self._owner:
            shutil.chown(self.directory, USER, USER)
        (self._port,) = free_ports(1)
        self._server: subprocess.Popen[bytes] | None = None
        super().__init__(f"postgresql://{USER}:x@127.0.0.1:{self._port}/postgres")

    def start(self) -> None:
        """Start it, for the first time with an empty cluster."""
        if self._server is not None:
            return
        data = self.directory / "data"
        if not data.exists():
            made = [str(self._binaries / "initdb"), "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
            subprocess.run(made, check=True, capture_output=True, cwd=self.directory, timeout=START_TIMEOUT_S, **self._owner)  # type: ignore[call-overload]
        settings = {"listen_addresses": "127.0.0.1", "port": self._port, "unix_socket_directories": "", "max_connections": 200}
        settings["fsync"] = "off"  # tests kill processes and never the machine, so what the kernel was given survives
        command = [str(self._binaries / "postgres"), "-D", str(data), *[f"--{name}={value}" for name, value in settings.items()]]
        with (self.directory / "server.out").open("ab") as output:
            self._server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.directory, **self._owner
            )  # type: ignore[call-overload]
        wait_until(self._ready, START_TIMEOUT_S, "PostgreSQL starts")

    def _ready(self) -> bool:
        assert self._server is not None
        if self._server.poll() is not None:
            output = (self.directory / "server.out").read_text(errors="replace")
            raise AssertionError(f"PostgreSQL ended with {self._server.returncode}: {output[-2000:]}")
        try:
            psycopg.connect(self._url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """`kill -9` of every process; the next start recovers from its log."""
        if self._server is not None:
            processes = self.pids()  # each process is in a session of its own
            self._server.kill()
            self._server.wait(START_TIMEOUT_S)
            for pid in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), START_TIMEOUT_S, "PostgreSQL is gone")
            self._server = None

    def keep_a_replica(self) -> None:
        """Have an asynchronous replica that hears nothing more from this moment on."""
        replica = self.directory / "replica"
        shutil.rmtree(replica, ignore_errors=True)
        command = [str(self._binaries / "pg_basebackup"), "-d", self._url, "-D", str(replica), "-c", "fast", "-X", "stream", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.directory, timeout=START_TIMEOUT_S, **self._owner)  # type: ignore[call-overload]

    def fail_over(self) -> None:
        """The primary dies, and the replica becomes primary at its address: what was committed after `keep_a_replica` is gone."""
        self.kill()
        shutil.rmtree(self.directory / "data")
        (self.directory / "replica").rename(self.directory / "data")
        self.start()

    def pids(self) -> list[int]:
        """Its processes, those of connections included."""
        if self._server is None:
            return []
        own = self._server.pid
        return [own, *map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split())]

    def close(self) -> None:
        """End every process of it, and remove its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def connected(url: str) -> list[str]:
    """The names of those who are connected to a database, except for this look."""
    with psycopg.connect(url) as connection:
        query = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return sorted(name for (name,) in connection.execute(query))


def every_row(url: str) -> list[str]:
    """All that a database holds of Flash, a text for each row of each table; bytes are shown as characters where possible."""
    with psycopg.connect(url) as connection:
        connection.execute("SET bytea_output = 'escape'")
        tables = connection.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'flash%'").fetchall()
        queries = [SQL("SELECT t::text FROM {} AS t").format(Identifier(*table)) for table in tables]
        return [row for query in queries for (row,) in connection.execute(query)]


def choose_postgres() -> AnyPostgres:
    """The first PostgreSQL that is available, not yet started. Raises `RuntimeError` that says what to install when there is none."""
    url = os.environ.get(URL_VARIABLE)
    return GivenPostgres(url) if url else PrivatePostgres()
