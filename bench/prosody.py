"""Prosody, an XMPP server, whose figures stand beside those of Flash. Rule: Prosody is configured for its best figures.

Debian's configuration lacks here only what would measure something else: encryption, limits on a connection, and links to other servers.
The garbage collector is generational, because with the default one a thousand clients take four times the CPU a message. With `archive`
Prosody keeps every message in SQLite (XEP-0313), which comes nearest to a popup that waits until it is confirmed.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.cost import cpu_s
from bench.processes import running as started
from tests.support.missing import Missing
from tests.support.ports import free_ports
from tests.support.rabbitmq import answers

HOST = "localhost"
PASSWORD = "a password for the bench"
MODULES = (
    *("disco", "roster", "saslauth", "blocklist", "bookmarks", "carbons", "pep", "private", "smacks", "vcard4", "vcard_legacy"),
    *("csi_simple", "ping", "time", "uptime", "version", "posix"),
)
CONFIGURATION = """
run_as_root = true
daemonize = false
gc = {{ mode = "generational" }}
pidfile = "{data}/prosody.pid"
data_path = "{data}"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
modules_enabled = {{ {modules} }}
modules_disabled = {{ "s2s", "tls" }}
log = {{ warn = "{data}/prosody.log" }}
{archive}
VirtualHost "{host}"
"""
ARCHIVE = """
storage = { archive = "sql" }
sql = { driver = "SQLite3", database = "archive.sqlite" }
"""


@dataclass(frozen=True, slots=True)
class Prosody:
    """A running server. `users` counts its users, who are called `user0`, `user1` and so on."""

    port: int
    users: int
    pid: int

    def cpu_s(self) -> float:
        """The CPU seconds of the server so far."""
        return cpu_s((self.pid,))


@contextlib.contextmanager
def running(data: Path, users: int, archive: bool) -> Iterator[Prosody]:
    """A server with this many users, which ends afterwards. Raises `Missing` when Prosody is not installed."""
    if shutil.which("prosody") is None or (archive and not list(Path("/usr/lib").glob("*/lua/*/dbd/sqlite3.so"))):
        raise Missing("no prosody here: apt-get install prosody lua-dbi-sqlite3")
    (port,) = free_ports(1)
    accounts = data / HOST / "accounts"
    accounts.mkdir(parents=True)
    for number in range(users):
        (accounts / f"user{number}.dat").write_text(f'return {{ ["password"] = "{PASSWORD}" }};\n')
    modules = ", ".join(f'"{name}"' for name in (*MODULES, *(("mam",) if archive else ())))
    configuration = data / "prosody.cfg.lua"
    configuration.write_text(
        CONFIGURATION.format(data=data, port=port, modules=modules, archive=ARCHIVE if archive else "", host=HOST), encoding="utf-8"
    )
    output = data / "prosody.out"
    command = ["prosody", "-F", "--config", str(configuration)]
    with started("prosody", command, output, os.environ | {"HOME": str(data)}, lambda: answers(port)) as pid:
        yield Prosody(port, users, pid)
