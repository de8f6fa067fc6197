"""Two homes that know each other, and a third one whose owner lies. Rule: a test that needs another town has a fixture of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from servers.trust.trust import Trust
from tests.servers.homes import Town
from tests.servers.strangers import enrols


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(tmp_path)
    await town.start("h1", "h2")
    yield town
    await town.stop()


@pytest.fixture
async def liar(town: Town) -> Trust:
    """What h3 has."""
    trust = await enrols(town.broker, town.registry.trust.records, "h3", "http://h3", town.clock)
    for home in town.homes.values():
        home.lifecycle.trust.peers.learn(trust.card)
        trust.peers.learn(home.lifecycle.trust.card)
    return trust
