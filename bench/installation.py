"""Server processes to measure. Rule: they are real `flash` commands with default settings on the loopback interface, and end afterwards."""

import contextlib
import http.client
import os
import random
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cost import cpu_s
from bench.processes import running

FLASH = "from flash.cli import main; main()"  # does not depend on the folder of the interpreter's scripts
ALL_OF_THEM = "1000000"  # everybody comes from one address here
REGISTRATIONS_PER_S = "100000"  # all users of a workload come from one address, so the limit for an address is lifted


@dataclass(frozen=True, slots=True)
class Installation:
    """Running servers. `homes` maps names to ports; `data` is their directory; `broker_pids` and `store_pids` return the processes of the
    broker and of the database."""

    data: Path
    global_port: int
    homes: dict[str, int]
    pids: tuple[int, ...]
    broker_pids: Callable[[], Sequence[int]]
    store_pids: Callable[[], Sequence[int]] = tuple

    def cpu_s(self) -> float:
        """The CPU seconds of all servers, their broker and their database so far."""
        return cpu_s(self.pids) + self.broker_cpu_s() + self.store_cpu_s()

    def store_cpu_s(self) -> float:
        """The part of the database; 0 for SQLite, which is inside the servers."""
        return cpu_s(self.store_pids())

    def broker_cpu_s(self) -> float:
        """The part of the broker; 0 for the embedded broker, which is inside the servers."""
        return cpu_s(self.broker_pids())


@contextlib.contextmanager
def one_process(data: Path, python: str = sys.executable, **settings: str) -> Iterator[Installation]:
    """`flash serve --homes 1`: Global Server, home h1 and the embedded broker in one process. `python`: the interpreter of the version."""
    port = adjacent_ports(2)
    command = ["serve", "--homes", "1", "--port", str(port), "--data", str(data)]
    with server(python, command, data, port + 1, settings) as pid:
        yield Installation(data, port, {"h1": port + 1}, (pid,), tuple)


@contextlib.contextmanager
def real_installation(
    data: Path,
    homes: Sequence[str],
    broker_url: str,
    broker_pids: Callable[[], Sequence[int]],
    store_pids: Callable[[], Sequence[int]] = tuple,
    python: str = sys.executable,
    **settings: str,
) -> Iterator[Installation]:
    """`flash global` and a `flash home` for each name, each a process, on RabbitMQ and SQLite or what `settings` say."""
    first = adjacent_ports(1 + len(homes))
    settings = {"FLASH_BROKER_URL": broker_url, **settings}
    ports = {name: first + 1 + number for number, name in enumerate(homes)}
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(server(python, ["global", "--port", str(first)], data, first, settings))]
        for name, port in ports.items():
            pids.append(stack.enter_context(server(python, ["home", name, "--port", str(port)], data, port, settings)))
        yield Installation(data, first, ports, tuple(pids), broker_pids, store_pids)


@contextlib.contextmanager
def server(python: str, command: Sequence[str], data: Path, port: int, settings: Mapping[str, str]) -> Iterator[int]:
    """One server, from the moment at which it is ready. Yields its pid."""
    data.mkdir(parents=True, exist_ok=True)
    ours = {"FLASH_LOG_LEVEL": "warning", "FLASH_REGISTRATIONS_PER_S": REGISTRATIONS_PER_S,
            "FLASH_MAX_CONNECTIONS_PER_ADDRESS": ALL_OF_THEM}  # fmt: skip
    output = data / f"{command[0]}-{port}.out"
    environment = environment_of(data, {**ours, **settings})
    with running(f"flash {' '.join(command)}", flash(python, *command), output, environment, lambda: _ready(port)) as pid:
        yield pid


def flash(python: str, *command: str) -> list[str]:
    """A command of the version that this interpreter has installed, which with -P is not that of this folder."""
    return [python, "-P", "-c", FLASH, *command]


def environment_of(data: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """What a command of this installation finds in its environment: no setting but these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FLASH_")}
    return {**inherited, "FLASH_DATA_DIR": str(data), **settings}


def _ready(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def adjacent_ports(count: int) -> int:
    """The first of `count` free ports in a row, below those that the kernel gives to outgoing connections."""
    while True:
        first = random.randrange(20_000, 32_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
