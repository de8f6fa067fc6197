"""docker-compose.yml on a real engine. Rule: the file is used as it is; only variables choose images and the port.

Every method blocks; tests call them through `asyncio.to_thread`.
"""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.waiting import wait_until

UP_S = 180.0  # six containers on two cores, one after the other, each when the one before is healthy
PORT = os.environ.get("FLASH_PORT", "8443")
SERVER = f"https://localhost:{PORT}"
SERVICES = ("h1", "h2", "global", "rabbitmq", "postgres", "proxy")


class Compose:
    """One project. `command`: `docker compose` or `docker-compose`."""

    def __init__(self, command: Sequence[str], root: Path) -> None:
        self._command = [*command, "-p", "flash-test"]
        self._root = root

    def up(self) -> None:
        """`up -d`, and return when every service is healthy."""
        self._run(*self._command, "up", "-d")
        wait_until(self.healthy, UP_S, "every service is healthy")

    def down(self) -> None:
        """Take it down, volumes and all."""
        self._run(*self._command, "down", "-v", "--timeout", "20")

    def healthy(self) -> bool:
        """Whether every service is up and says that it is healthy."""
        return all(self.health(service) == "healthy" for service in SERVICES)

    def health(self, service: str) -> str:
        """`starting`, `healthy`, `unhealthy`; else the container's state, such as `exited`."""
        state = self.inspect(service)["State"]
        assert isinstance(state, dict)
        return str(state["Health"]["Status"]) if state["Running"] else str(state["Status"])

    def inspect(self, service: str) -> dict[str, object]:
        """What the engine knows of the service's container."""
        found: list[dict[str, object]] = json.loads(self._run("docker", "inspect", self._container(service)))
        return found[0]

    def kill(self, service: str) -> None:
        """`kill -9`."""
        self._run("docker", "kill", "--signal", "KILL", self._container(service))

    def start(self, service: str) -> float:
        """Start a killed service; seconds until everything is healthy again."""
        began = time.monotonic()
        self._run("docker", "start", self._container(service))
        wait_until(self.healthy, UP_S, f"healthy after {service}'s death")
        return time.monotonic() - began

    def restart_command(self) -> str:
        """What restarts service `{}`, for `deploy/rolling_restart.sh`."""
        return f"{' '.join(self._command)} restart {{}}"

    def execute(self, service: str, *command: str, entering: str = "") -> str:
        """What the command prints in the service's container; `entering`: what it reads."""
        return self._run("docker", "exec", "-i", self._container(service), *command, entering=entering)

    def write_logs(self, directory: Path) -> None:
        """Every service's log, a file each."""
        directory.mkdir(parents=True, exist_ok=True)
        for service in SERVICES:
            (directory / f"{service}.log").write_text(self._run(*self._command, "logs", "--no-color", service))

    def _container(self, service: str) -> str:
        found = self._run(
            "docker", "ps", "-aq", "-f", f"label=com.docker.compose.service={service}", "-f", "label=com.docker.compose.project=flash-test"
        )
        assert found.strip(), f"no container of {service}"
        return found.split()[0]

    def _run(self, *command: str, entering: str = "") -> str:
        done = subprocess.run(command, cwd=self._root, input=entering, capture_output=True, text=True, timeout=UP_S, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-3_000:]}"
        return done.stdout
