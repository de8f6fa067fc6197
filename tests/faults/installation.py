"""An installation of real `flash` processes. Rule: each can be killed, stopped, paused and started at will; data, ports and logs stay.

Every method blocks; tests call them through `asyncio.to_thread`.
"""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.ports import free_ports
from tests.support.waiting import wait_until

READY_S = 45.0  # two cores that are shared with a starting RabbitMQ need 10
END_S = 30.0  # SIGTERM drains for 5 s at most, several times
FLASH = str(Path(sys.executable).with_name("flash"))

# Faster than in real life, and still slow against two busy cores: a client is given up after 2.5 blanks.
PACE = {"FLASH_BLANK_S": "2", "FLASH_RESTART_GRACE_S": "4", "FLASH_REGISTRATIONS_PER_S": "1000", "FLASH_INTEGRATORS": "crm=all"}
BLANK_S = float(PACE["FLASH_BLANK_S"])
GRACE_S = float(PACE["FLASH_RESTART_GRACE_S"])


class Server:
    """One `flash` process over all its lives."""

    def __init__(self, name: str, command: Sequence[str], port: int, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.starts = 0
        self._command = [FLASH, *command, "--port", str(port)]
        self.environment = {**os.environ, **environment}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the present life."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives (paused counts)."""
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> None:
        """Start the process and return at once."""
        if not self.running:
            self.starts += 1
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._log.parent
                )

    def start(self) -> None:
        """Start the process and return when it is ready."""
        self.spawn()
        wait_until(self.ready, READY_S, f"{self.name} is ready ({self._log})")

    def ready(self) -> bool:
        """What `/readyz` says. Raises `AssertionError` when the process has ended."""
        assert self.running, f"{self.name} ended: {self.log_tail()}"
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: the process hangs, and its connections stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM; return at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def ended(self) -> int | None:
        """The exit status, or None while it lives."""
        assert self._process is not None
        return self._process.poll()

    def restart(self) -> None:
        """`kill -9`, then start again."""
        self.kill()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)  # in case it is paused
        self._process.wait(END_S)
        self._process = None

    def rss_bytes(self) -> int:
        """Memory that the process holds now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def log_tail(self, characters: int = 2_000) -> str:
        """The end of the process's output."""
        return self._log.read_text(errors="replace")[-characters:] if self._log.exists() else ""

    def metric(self, name: str) -> float:
        """The present value of an unlabelled metric."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:  # noqa: S310 - our own address
            for line in answer.read().decode().splitlines():
                if line.startswith((f"{name} ", f"{name}_total ")):
                    return float(line.rpartition(" ")[2])
        raise AssertionError(f"{self.name} has no metric {name}")


class Installation:
    """A Global Server and two homes on one broker. `environment`: more `FLASH_*` variables for all of them; `own`: those of one server."""

    def __init__(
        self,
        directory: Path,
        amqp_url: str,
        environment: Mapping[str, str] | None = None,
        pace: Mapping[str, str] = PACE,
        own: Callable[[str], Mapping[str, str]] = lambda server: {},
    ) -> None:
        self.directory = directory
        self.amqp_url = amqp_url
        self.data = directory / "data"
        directory.mkdir(parents=True, exist_ok=True)
        ports = free_ports(3)
        self.environment = {"FLASH_BROKER_URL": amqp_url, "FLASH_DATA_DIR": str(self.data), **pace, **(environment or {})}
        self._own = own
        self.global_server = self._server("global", ["global"], ports[0])
        self.homes = {name: self._server(name, ["home", name], port) for name, port in (("h1", ports[1]), ("h2", ports[2]))}

    def _server(self, name: str, command: Sequence[str], port: int) -> Server:
        return Server(name, command, port, {**self.environment, **self._own(name)}, self.directory / f"{name}.log")

    @property
    def servers(self) -> list[Server]:
        """All of them."""
        return [self.global_server, *self.homes.values()]

    def store(self, server: str) -> Path:
        """The SQLite file of one server."""
        return self.data / f"{server}.db"

    def store_url(self, server: str) -> str:
        """The store's URL, as the server has it."""
        return self.environment.get("FLASH_STORE_URL") or f"sqlite:///{self.store(server)}"

    def start(self) -> None:
        """Start whatever does not run; return when all are ready."""
        for server in self.servers:
            server.spawn()
        for server in self.servers:
            server.start()

    def connected(self) -> bool:
        """Whether every home has its connection to the broker."""
        return all(home.metric("flash_broker_connected") for home in self.homes.values())

    def published(self) -> bool:
        """Whether the broker has everything that the homes have committed."""
        return all(home.metric("flash_relay_lag") == 0 for home in self.homes.values())

    def kill(self) -> None:
        """End every process at once."""
        for server in self.servers:
            server.kill()
