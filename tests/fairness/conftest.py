"""The village of these tests. Rule: it is made once for all of them, because passwords are hashed at the full cost."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fairness.village import Village, Villager, build, living

People = tuple[list[Villager], list[Villager]]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, People]:
    """The village's data, and its people."""
    directory = tmp_path_factory.mktemp("village")
    with ThreadPoolExecutor(1) as elsewhere:  # no event loop of a test runs here
        return directory, elsewhere.submit(asyncio.run, build(directory)).result()


@pytest.fixture
async def village(built: tuple[Path, People], tmp_path: Path) -> AsyncIterator[Village]:
    """A program with the village's data."""
    async with living(*built, tmp_path) as village:
        yield village
