"""A home whose log lost its end uses versions of its users' streams again. Rule: what it says in its new life counts at the other homes."""

from pathlib import Path

from projections.server.presence import Presence
from tests.servers.homes import Town, shown


async def test_how_users_stand_in_another_life_counts_though_its_versions_are_lower(tmp_path: Path) -> None:
    """h2 knows how ann stood by an event that h1 has lost."""
    town = Town(tmp_path)
    await town.start("h1", "h2")
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.opens()
    _, window = await bob.opens()
    await bob.adds(ann)
    await town.settled()
    h1, h2 = town.homes["h1"], town.homes["h2"]
    reported = h2.projections.presence.reported
    reported[ann.uid] = Presence(99, "dnd", town.clock(), "", "Ann")
    h2.lifecycle.peer_presence.came_up("h1")
    await shown(lambda: window.statuses(ann.uid)[-1:], [("dnd", "home_up")])

    h1.lifecycle.store.life += 1
    h2.lifecycle.peer_presence.came_up("h1")
    await shown(lambda: window.statuses(ann.uid)[-1:], [("online", "home_up")])
    assert reported[ann.uid].version < 99
    h1.lifecycle.store.life -= 1
    await town.stop()
