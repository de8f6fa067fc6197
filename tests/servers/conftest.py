"""What several files here stand on. Rule: whatever stores something is tested on each kind of database."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from broker.embedded.broker import EmbeddedBroker
from servers.messaging import inbox
from servers.messaging import outbox_publisher as relay_lane


@pytest.fixture
def url(store_url: Callable[[str], str]) -> str:
    """Where the events of a home named h1 lie."""
    return store_url("h1")


@pytest.fixture
async def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedBroker]:
    """A real one, embedded; who waits for it or for a store tries again soon."""
    monkeypatch.setattr(relay_lane, "RETRY_S", (0.01, 0.05))
    monkeypatch.setattr(inbox, "RETRY_S", 0.01)
    broker = EmbeddedBroker(tmp_path / "broker.db")
    await broker.start()
    await broker.wait_connected(5)
    yield broker
    await broker.close()
