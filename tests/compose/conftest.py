"""The installation of docker-compose.yml, up for the whole folder. Rule: run by `make test-compose`, which provides engine and images."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compose.containers import Compose
from tests.support import telling

ENGINE = os.environ.get("FLASH_TEST_COMPOSE", "")  # the compose command, e.g. "docker compose"
collect_ignore_glob = [] if ENGINE else ["test_*.py"]


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """Everything up and healthy; taken down, with its volumes, at the end."""
    installation = Compose(ENGINE.split(), Path(__file__).parents[2])
    try:
        installation.up()
        yield installation
    finally:
        if directory := os.environ.get("FLASH_TEST_COMPOSE_LOGS"):
            installation.write_logs(Path(directory))
        installation.down()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say it at the end of the run: the transcript."""
    return lambda line: telling.tell(request.node, "compose", line)
