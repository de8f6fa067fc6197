"""A RabbitMQ server of our own, from the local package. Rule: it shares nothing with another: ports, node, data, logs, cookie, epmd.

    rabbit = PrivateRabbit(directory)
    rabbit.start()
    ... rabbit.url, rabbit.new_vhost(), rabbit.kill(), rabbit.start() ...
    rabbit.close()

It listens on the loopback interface only, and needs neither pytest nor an event loop: benchmarks use it too.
"""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from tests.support.missing import Missing
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

START_TIMEOUT_S = 60  # a loaded machine needs 15; past that, something is wrong
# Debian's /usr/sbin wrapper insists on the user rabbitmq and on /var/lib; the scripts behind it do not.
_SCRIPT_FOLDERS = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin")


def find_scripts() -> Path | None:
    """The folder of `rabbitmq-server` and `rabbitmqctl`, or None when it is not installed."""
    for folder in _SCRIPT_FOLDERS:
        if Path(folder, "rabbitmq-server").exists() and Path(folder, "rabbitmqctl").exists():
            return Path(folder)
    found = shutil.which("rabbitmq-server")
    return Path(found).parent if found and shutil.which("epmd") else None


# One call where `add_vhost` and `set_permissions` would be two, each of half a second.
NEW_VHOST = (
    'rabbit_vhost:add(<<"VHOST">>, <<"test">>),'
    'rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"VHOST">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>).'
)


class PrivateRabbit:
    """One node. Its data is in `directory` and outlives `stop` and `kill`; its port stays the same."""

    can_be_controlled = True

    def __init__(self, directory: Path) -> None:
        scripts = find_scripts()
        if scripts is None:
            raise Missing("no rabbitmq-server here: apt-get install rabbitmq-server")
        self._scripts = scripts
        self.directory = directory.absolute()
        self._port, self._dist_port, self._epmd_port = free_ports(3)
        self._address = "127.0.0.1"
        self.node = f"flash{self._port}@localhost"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._vhosts = 0

    @property
    def url(self) -> str:
        """Of the default vhost."""
        return self.vhost_url("/")

    def vhost_url(self, vhost: str) -> str:
        """Of a vhost, as the administrator `guest`."""
        return f"amqp://guest:guest@{self._address}:{self._port}/{quote(vhost, safe='')}"

    def start(self) -> None:
        """Start it and return when it takes connections."""
        if self._server is not None:
            return
        self._prepare()
        self._start_epmd()
        self._server = self._spawn([str(self._scripts / "rabbitmq-server")], "server")
        wait_until(self._ready, START_TIMEOUT_S, f"RabbitMQ starts (its output is in {self.directory / 'server.out'})")

    def _start_epmd(self) -> None:
        self._epmd = self._spawn(["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"], "epmd")
        wait_until(lambda: answers(self._epmd_port), START_TIMEOUT_S, "epmd starts")

    def _ready(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            output = (self.directory / "server.out").read_text(errors="replace")
            raise AssertionError(f"RabbitMQ ended with {self._server.returncode}: {output[-2000:]}")
        return answers(self._port, AMQP_GREETING, self._address)

    def stop(self) -> None:
        """Stop it gracefully: it closes connections and writes everything to disk."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`: it writes nothing more to disk."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """`stop` and `start`."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End every process of it, in whatever state it is."""
        self.kill()

    def pause(self) -> None:
        """Make it hang: connections stay open and nothing answers."""
        pids = self._signal(signal.SIGSTOP)  # the kernel stops thread after thread, and an Erlang machine has many
        wait_until(lambda: all(_is_stopped(pid) for pid in pids), START_TIMEOUT_S, "RabbitMQ's threads stop")

    def resume(self) -> None:
        """Let it continue after `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, which: signal.Signals) -> list[int]:
        """Send the signal to the start script, the Erlang machine and its helpers; returns the processes that existed."""
        if self._server is None:
            return []
        pids = [self._server.pid, *_descendants(self._server.pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, which)
        return pids

    def reset_connections(self) -> None:
        """Close every client's connection from the server's side."""
        self.ctl("close_all_connections", "--global", "reset by a test")

    def new_vhost(self) -> str:
        """The URL of a fresh, empty vhost."""
        self._vhosts += 1
        vhost = f"test-{self._vhosts}"
        self.ctl("eval", NEW_VHOST.replace("VHOST", vhost))
        return self.vhost_url(vhost)

    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl <arguments>` prints. Raises `subprocess.CalledProcessError`."""
        command = [str(self._scripts / "rabbitmqctl"), "--quiet", "--node", self.node, *arguments]
        return subprocess.run(command, env=self._environment(), check=True, capture_output=True, text=True, timeout=START_TIMEOUT_S).stdout

    def pids(self) -> list[int]:
        """All its processes, to count their CPU time."""
        roots = [process.pid for process in (self._epmd, self._server) if process is not None]
        return [pid for root in roots for pid in [root, *_descendants(root)]]

    def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self._port}\n"
            "disk_free_limit.absolute = 50MB\n"
            "log.file.level = warning\n"
            "log.console = false\n"
        )  # fmt: skip
        (self.directory / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        here = self.directory
        return inherited | {
            "HOME": str(here),  # the Erlang cookie is made there
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(here / "rabbitmq-env.conf"),  # not there, so the machine's own is not read
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(here / "config"),
            "RABBITMQ_PID_FILE": str(here / "pid"),
            # No busy waiting, because the test shares the machine's few cores with RabbitMQ.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def _spawn(self, command: list[str], name: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.out").open("ab") as output:
            return subprocess.Popen(
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.directory
            )

    def _end(self, how: signal.Signals) -> None:
        if self._server is not None:
            if how == signal.SIGKILL:
                pids = self._signal(how)
            else:
                pids = self._signal(signal.SIGCONT)  # in case it is paused
                self._server.send_signal(how)  # the start script knows how to stop the rest
            self._server.wait(START_TIMEOUT_S)
            self._server = None
            wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), START_TIMEOUT_S, "RabbitMQ's processes end")
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait(START_TIMEOUT_S)
            self._epmd = None


AMQP_GREETING = b"AMQP\x00\x00\x09\x01"


def answers(port: int, greeting: bytes = b"", address: str = "127.0.0.1") -> bool:
    """Whether something listens there and, with a greeting, says something back."""
    try:
        with socket.create_connection((address, port), timeout=1) as connection:
            if not greeting:
                return True
            connection.sendall(greeting)
            return bool(connection.recv(8))
    except OSError:
        return False


def _is_stopped(pid: int) -> bool:
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in _stats(Path(f"/proc/{pid}/task")))


def _stats(folder: Path) -> list[str]:
    """The kernel's lines on the processes or threads in `folder`; empty where there is no /proc."""
    found = []
    for stat in folder.glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            found.append(stat.read_text())
    return found


def _descendants(pid: int) -> list[int]:
    children = [int(stat.split()[0]) for stat in _stats(Path("/proc")) if int(stat.rpartition(")")[2].split()[1]) == pid]
    return [each for child in children for each in [child, *_descendants(child)]]
