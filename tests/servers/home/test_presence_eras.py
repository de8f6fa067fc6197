"""What a home tells integrators names the era of the stream. Rule: a stream begun anew is told from one that was cut off."""

import json
from pathlib import Path

from broker.topology import PRESENCE_LOG
from servers.messaging.eras import Era
from tests.servers.homes import Town
from tests.support.waiting import eventually


async def told(town: Town) -> list[tuple[str, str | None]]:
    """The id of each change, and the era that it names."""
    stream = town.broker.read_stream(PRESENCE_LOG, "first", follow=False)
    changes = [json.loads(item.body) async for item in stream]
    return [(change["id"], change.get("era")) for change in changes]


async def test_every_change_names_the_era_that_the_home_knows_also_after_a_restart_without_the_global_server(tmp_path: Path) -> None:
    town = Town(tmp_path)
    await town.start("h1")
    ann, bob = town.person("ann", "h1"), town.person("bob", "h1")
    home = town.homes["h1"]
    home.lifecycle.peers.eras.learn(PRESENCE_LOG, Era(7))
    await ann.opens()
    await town.settled()
    assert await told(town) == [("h1/user-1/2", "7")]

    await town.closes("h1")
    town.global_is_away = True
    await town.opens("h1")
    await eventually(lambda: town.homes["h1"].idle)
    await bob.opens()
    await town.settled()

    async def ann_was_lost() -> bool:
        return {id for id, _ in await told(town)} == {"h1/user-1/2", "h1/user-1/3", "h1/user-2/2"}

    await eventually(ann_was_lost)
    assert {era for _, era in await told(town)} == {"7"}

    town.homes["h1"].lifecycle.peers.eras.learn(PRESENCE_LOG, Era(8))

    async def told_again() -> bool:
        return [id for id, era in await told(town) if era == "8"] == ["h1/user-1/3", "h1/user-2/2"]

    await eventually(told_again)
    await town.stop()
