"""What a home says when it is asked how it is. Rule: asked over the broker, as the ops console does it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from broker.port import Outgoing
from broker.topology import HOMES
from servers.messaging.questions import AskHealth
from tests.servers.homes import Town
from tests.servers.strangers import ask_as
from tests.support.waiting import eventually


@pytest.fixture
async def town(tmp_path: Path, store_url: Callable[[str], str]) -> AsyncIterator[Town]:
    town = Town(tmp_path, store_url)
    await town.start("h1", "h2")
    yield town
    await town.stop()


async def test_a_home_tells_its_figures_over_the_broker(town: Town) -> None:
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.opens()
    await bob.opens()
    await ann.adds(bob)
    await ann.sends(bob, "hello")
    await town.broker.publish([Outgoing(HOMES, "h2", b"junk")])
    await eventually(lambda: town.homes["h2"].lifecycle.inbox.dead == 1)
    await town.settled()
    await eventually(lambda: town.homes["h2"].projections.waiting.mailboxes)
    health = {name: await ask_as(town.registry.trust, town.broker, name, AskHealth()) for name in town.homes}
    assert [health[name]["sessions"] for name in ("h1", "h2")] == [1, 1]
    assert [health[name]["waiting"] for name in ("h1", "h2")] == [0, 1]
    assert [health[name]["dead"] for name in ("h1", "h2")] == [0, 1]
    assert [(health[name]["inbox"], health[name]["relay_lag"]) for name in ("h1", "h2")] == [(0, 0), (0, 0)]
    assert all(health[name]["position"] > 0 and health[name]["commits"] > 0 for name in health)
    assert health["h1"]["projections"] == {"presence": 0, "contacters": 0, "waiting": 0, "closed": 0, "handles": 0, "throttles": 0}
    assert health["h1"]["ready"] == "The Global Server's public key is not known yet."  # the town's stand-in has none
