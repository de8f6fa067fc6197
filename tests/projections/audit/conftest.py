"""What the tests of the audit share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projections.audit.by_hand import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A history that the test goes on writing."""
    world = World(tmp_path / "audit.db")
    yield world
    world.reader.close()
