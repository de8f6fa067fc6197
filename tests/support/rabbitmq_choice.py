"""Which RabbitMQ the tests get. Rule: a running one if its URL is given, else one in a container, else the local package, else an error."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Protocol

from tests.support.rabbitmq import PrivateRabbit, find_scripts

URL_VARIABLE = "FLASH_TEST_AMQP_URL"


class AnyRabbit(Protocol):
    """What tests may do with a RabbitMQ. Only with `can_be_controlled` does more than `url` and `new_vhost` work."""

    can_be_controlled: bool

    @property
    def url(self) -> str:
        """Of the default vhost."""

    def new_vhost(self) -> str:
        """The URL of a fresh, empty vhost; the given URL when tests may make no vhost."""

    def start(self) -> None:
        """Start it and return when it takes connections."""

    def stop(self) -> None:
        """Stop it gracefully."""

    def kill(self) -> None:
        """`kill -9`."""

    def restart(self) -> None:
        """`stop` and `start`."""

    def pause(self) -> None:
        """It hangs."""

    def resume(self) -> None:
        """It goes on."""

    def reset_connections(self) -> None:
        """Close every client's connection from the server's side."""

    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl <arguments>` prints."""

    def pids(self) -> list[int]:
        """All its processes, to count their CPU time."""

    def close(self) -> None:
        """End it for good."""


class GivenRabbit:
    """The one behind `FLASH_TEST_AMQP_URL`: an empty vhost of a server that tests may not stop."""

    can_be_controlled = False

    def __init__(self, url: str) -> None:
        self.url = url

    def new_vhost(self) -> str:
        """The virtual host that we were given; each test that uses it empties it first."""
        return self.url

    def start(self) -> None:
        """It runs."""

    def close(self) -> None:
        """It is not ours."""

    def _refuse(self, *arguments: str) -> Any:
        raise RuntimeError(f"the broker of {URL_VARIABLE} is not ours to control")

    stop = kill = restart = pause = resume = reset_connections = ctl = pids = _refuse


def choose_rabbit(directory: Path) -> AnyRabbit:
    """The first RabbitMQ that is available, not yet started. Raises `RuntimeError` that says what to install when there is none."""
    if url := os.environ.get(URL_VARIABLE):
        return GivenRabbit(url)
    if _docker_answers():
        from tests.support.rabbitmq_container import ContainerRabbit  # slow to import, and mostly not needed

        return ContainerRabbit()
    if find_scripts() is not None:
        return PrivateRabbit(directory)
    raise RuntimeError(
        f"these tests need a RabbitMQ: set {URL_VARIABLE}=amqp://user:password@host/vhost, "
        "or start a Docker engine, or `apt-get install rabbitmq-server` (3.10 or later)"
    )


def _docker_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "version"], check=False, capture_output=True, timeout=30).returncode == 0
