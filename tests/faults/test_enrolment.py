"""Homes on machines of their own: nothing is shared with the Global Server but the broker. Rule: each server is a process with its own
directory, and what the ops do they type.
"""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.installation import FLASH, PACE, Server
from tests.support.ports import free_ports
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import wait_until

SEEN_S = 30.0


class Machines:
    """One machine for each server."""

    def __init__(self, directory: Path, amqp_url: str) -> None:
        self.directory = directory
        self.settings = {"FLASH_BROKER_URL": amqp_url, **PACE}
        ports = iter(free_ports(3))
        self.servers = {name: self._server(name, next(ports)) for name in ("global", "h1", "h2")}

    def _server(self, name: str, port: int) -> Server:
        command = ["global"] if name == "global" else ["home", name]
        return Server(name, command, port, {**self.settings, "FLASH_DATA_DIR": str(self.data(name))}, self.directory / f"{name}.log")

    def data(self, name: str) -> Path:
        return self.directory / name

    def ops(self, *command: str) -> str:
        """What ops type on the Global Server's machine, and what it prints."""
        arguments = [FLASH, *command, "--data", str(self.data("global"))]
        return subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60).stdout

    def says(self, name: str, text: str) -> None:
        wait_until(lambda: text in self.servers[name].log_tail(20_000), SEEN_S, f"{name} says {text!r}")

    def homes(self) -> int:
        """How many the Global Server has announced."""
        return int(self.servers["global"].metric("flash_homes_announced"))

    def restarts(self, name: str, **environment: str) -> None:
        server = self.servers[name]
        server.stop()
        server.environment.update(environment)
        server.spawn()


@pytest.fixture
def machines(rabbit: AnyRabbit, tmp_path: Path) -> Iterator[Machines]:
    machines = Machines(tmp_path, rabbit.new_vhost())
    try:
        machines.servers["global"].start()
        yield machines
    finally:
        for server in machines.servers.values():
            server.kill()


def story(machines: Machines) -> None:
    h1 = machines.servers["h1"]
    h1.spawn()
    machines.says("h1", "is not enrolled: give it what `flash enroll h1` prints")
    assert machines.homes() == 0, "nobody is enrolled because they came first"

    machines.restarts("h1", FLASH_ENROLL=machines.ops("enroll", "h1").strip())
    wait_until(lambda: machines.homes() == 1, SEEN_S, "h1 is announced")
    assert "believed" in machines.ops("servers")
    wait_until(lambda: machines.servers["global"].metric("flash_homes_alive") == 1, SEEN_S, "h1 is heard")

    del h1.environment["FLASH_ENROLL"]
    machines.restarts("h1", FLASH_PUBLIC_URL="https://new.example")
    machines.says("h1", "`flash servers allow h1 https://new.example` allows it")
    machines.ops("servers", "allow", "h1", "https://new.example")
    wait_until(lambda: h1.metric("flash_home_refused") == 0, SEEN_S, "h1 may be there")

    second = machines.servers["h2"]
    second.environment["FLASH_ENROLL"] = machines.ops("enroll", "h2", "--url", second.url).strip()
    second.spawn()
    wait_until(lambda: machines.homes() == 2, SEEN_S, "h2 is announced")

    assert "no server believes it any more" in machines.ops("servers", "revoke", "h1")
    assert "revoked" in machines.ops("servers")
    machines.says("h2", "trust.revoked")
    machines.restarts("h1")
    machines.says("h1", "global does not know this server: was it enrolled, and not revoked?")
    assert machines.servers["global"].metric("flash_homes_announced") == 2, "its users stay its own"


@pytest.mark.timeout(300)  # a dozen processes, one after another
async def test_homes_on_other_machines_are_enrolled_moved_and_revoked(machines: Machines) -> None:
    await asyncio.to_thread(story, machines)
