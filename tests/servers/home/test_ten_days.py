"""The Global Server is away for ten days. Rule: the homes go on, with keys that change meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.registry.registered_home import GLOBAL
from servers.messaging.cards import CardsConfig
from servers.messaging.questions import AskPresence
from tests.servers.homes import START, Town, shown
from tests.servers.strangers import ask_as
from tests.support.waiting import eventually

DAY_S = 86_400.0


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(tmp_path)
    town.cards = CardsConfig(retry_s=0.02, look_s=0.02)
    await town.start("h1", "h2")
    yield town
    await town.stop()


def seconds_pass(town: Town) -> bool:
    """Somebody waits: what is tried again after some seconds is tried."""
    town.monotonic.now += 0.5
    return True


def knows(town: Town, one: str, other: str) -> bool:
    """Whether `one` knows the newest box key of `other`."""
    card = town.homes[one].lifecycle.trust.peers.card(other)
    return card is not None and card.box_keys[0].number == town.homes[other].lifecycle.trust.box_keys.newest.number


@pytest.mark.parametrize("days", [10, 22])  # in three weeks no key of the first day is left
async def test_mail_questions_and_heartbeats_go_on_without_the_global_server(town: Town, days: int) -> None:
    """Both homes change their box keys in these days, and learn each other's from each other; both are started anew in between."""
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    _, window = await bob.opens()
    await ann.adds(bob)
    await bob.adds(ann)
    await ann.sends(bob, "day 0")
    await shown(window.texts, ["day 0"])
    town.global_is_away = True
    for day in range(1, days + 1):
        town.clock.now += DAY_S
        if day % 7 == 1:
            for home in town.homes.values():
                await eventually(lambda home=home, day=day: home.lifecycle.trust.box_keys.newest.number >= START + (day - 1) * DAY_S)
        await ann.sends(bob, f"day {day}")
        await eventually(lambda day=day: seconds_pass(town) and window.texts() == [f"day {number}" for number in range(day + 1)])
        await town.settled()  # no question is on its way when a day passes, because it would be a day old
    for one, other in (("h1", "h2"), ("h2", "h1")):
        cards = town.homes[one].lifecycle.cards
        cards.want(other)
        await eventually(lambda one=one, other=other: knows(town, one, other))
        assert town.homes[one].lifecycle.peers.is_up(other)
    told = await ask_as(town.homes["h1"].lifecycle.trust, town.broker, "h2", AskPresence([bob.uid]))
    assert [user[0] for user in told["users"]] == [bob.uid]
    await town.closes("h1")
    await town.opens("h1")
    await town.meet()
    assert town.homes["h1"].lifecycle.trust.enrolled
    assert knows(town, "h1", "h2")
    await ann.sends(bob, "and again")
    await eventually(lambda: seconds_pass(town) and window.texts()[-1] == "and again")
    assert town.homes["h1"].lifecycle.trust.peers.card(GLOBAL) is not None
