"""A RabbitMQ of our own in a container, where a Docker engine answers. Rule: the same methods as `PrivateRabbit`."""

import os
from urllib.parse import quote

from docker.models.containers import Container  # type: ignore[import-untyped]
from testcontainers.core.container import DockerContainer

from tests.support.ports import free_ports
from tests.support.rabbitmq import AMQP_GREETING, NEW_VHOST, START_TIMEOUT_S, answers
from tests.support.waiting import wait_until

# The newest that Flash supports; the local package stands for the oldest, 3.10.
IMAGE = os.environ.get("FLASH_TEST_RABBITMQ_IMAGE") or "rabbitmq:4"


class ContainerRabbit:
    """One container. Its data and its port outlive `stop` and `kill`."""

    can_be_controlled = True

    def __init__(self) -> None:
        (self._port,) = free_ports(1)
        self._container = DockerContainer(IMAGE).with_bind_ports(5672, self._port).with_kwargs(hostname="flash-test")
        self._made = False
        self._vhosts = 0

    @property
    def url(self) -> str:
        """Of the default vhost."""
        return self.vhost_url("/")

    def vhost_url(self, vhost: str) -> str:
        """Of a vhost. The image's `guest` may come from outside the container."""
        return f"amqp://guest:guest@{self._container.get_container_host_ip()}:{self._port}/{quote(vhost, safe='')}"

    @property
    def _wrapped(self) -> Container:
        return self._container.get_wrapped_container()

    def start(self) -> None:
        """Start it and return when it takes connections."""
        if self._made:
            self._wrapped.start()
        else:
            self._container.start()
            self._made = True
        wait_until(lambda: answers(self._port, AMQP_GREETING), START_TIMEOUT_S, "RabbitMQ starts in its container")

    def stop(self) -> None:
        """Stop it gracefully."""
        self._wrapped.stop(timeout=START_TIMEOUT_S)

    def kill(self) -> None:
        """`kill -9`."""
        self._wrapped.kill()

    def restart(self) -> None:
        """`stop` and `start`."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Remove the container and its data."""
        if self._made:
            self._container.stop()

    def pause(self) -> None:
        """Make it hang: connections stay open and nothing answers."""
        self._wrapped.pause()

    def resume(self) -> None:
        """Let it continue after `pause`. Does nothing when it is not paused, which the engine would call an error."""
        container = self._wrapped
        container.reload()
        if container.status == "paused":
            container.unpause()

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
        """What `rabbitmqctl <arguments>` prints. Raises `RuntimeError`."""
        result = self._wrapped.exec_run(["rabbitmqctl", "--quiet", *arguments])
        output: str = result.output.decode()
        if result.exit_code:
            raise RuntimeError(f"rabbitmqctl {arguments[0]}: {output}")
        return output

    def pids(self) -> list[int]:
        """All its processes, with the process ids of the engine's host."""
        return [int(row[1]) for row in self._wrapped.top()["Processes"]]
