"""What several files here stand on. Rule: whatever stores something is tested on each kind of database."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.servers.fragile import FragileBroker


@pytest.fixture
def url(store_url: Callable[[str], str]) -> str:
    """Where the events of a home named h1 lie."""
    return store_url("h1")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[FragileBroker]:
    """A real one, embedded."""
    broker = FragileBroker(tmp_path / "broker.db")
    await broker.start()
    await broker.wait_connected(5)
    yield broker
    await broker.close()
