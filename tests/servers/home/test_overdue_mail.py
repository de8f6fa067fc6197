"""A home that stays away longer than a popup lives: the sender is told, nothing is queued late, and a late word corrects the bounce."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from servers.home.config import HousekeepingConfig
from servers.messaging.clock_check import ClockConfig
from tests.servers.homes import Person, Town, shown
from tests.support.waiting import eventually

TTL_S = 30 * 86_400.0


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(tmp_path)
    town.housekeeping = HousekeepingConfig(restart_grace_s=0.05, look_s=0.02, message_ttl_s=TTL_S, expire_every_s=1.0)
    town.clock_config = ClockConfig(wrong_s=float("inf"), silence_s=float("inf"))  # the month that passes is no fault of a clock
    await town.start("h1", "h2")
    yield town
    await town.stop()


@pytest.fixture
async def ann_and_bob(town: Town) -> tuple[Person, Person]:
    """Two people who know each other, and whose homes have exchanged mail."""
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.adds(bob)
    session, window = await bob.opens()
    await ann.sends(bob, "hello", id="hello")
    await shown(window.texts, ["hello"])
    await bob.acks(session, window)
    await town.settled()
    receivers = town.homes["h1"].lifecycle.outbox.receivers
    await eventually(lambda: receivers.of("h2").confirmed == receivers.of("h2").addressed)
    await town.settled()
    return ann, bob


async def falls_silent(town: Town) -> None:
    """h2 stops, and h1 has noticed it."""
    await town.closes("h2")
    town.monotonic.now += 60
    await eventually(lambda: not town.homes["h1"].lifecycle.peers.is_up("h2"))


async def test_the_sender_is_told_and_nothing_is_queued_when_the_home_comes_back_too_late(town: Town, ann_and_bob) -> None:
    ann, bob = ann_and_bob
    session, window = await ann.opens()
    await shown(window.states, [("hello", "delivered", None)])
    await ann.acks(session, window)
    await falls_silent(town)
    await ann.sends(bob, "are you there?", id="late")
    town.clock.now += TTL_S - 10
    await ann.sends(bob, "still not?", id="young")
    await town.settled()
    assert window.states() == [("hello", "delivered", None)]
    town.clock.now += 20
    await shown(window.states, [("hello", "delivered", None), ("late", "bounced", "expired")])
    await town.opens("h2")
    _, bobs = await bob.opens()
    await shown(bobs.texts, ["still not?"])  # not the other one, though the broker had kept it


async def test_what_the_other_home_is_known_to_have_does_not_bounce(town: Town, ann_and_bob) -> None:
    ann, bob = ann_and_bob
    _, bobs = await bob.opens()
    await ann.sends(bob, "taken", id="taken")
    await shown(bobs.texts, ["taken"])
    await town.settled()
    receivers = town.homes["h1"].lifecycle.outbox.receivers
    await eventually(lambda: receivers.of("h2").confirmed == receivers.of("h2").addressed, 20)
    await falls_silent(town)
    await town.closes("h1")
    await town.opens("h1")  # which must not have forgotten it
    _, window = await ann.opens()
    town.clock.now += TTL_S + 10
    await ann.sends(bob, "now", id="now")
    town.clock.now += TTL_S + 10
    await eventually(lambda: ("now", "bounced", "expired") in window.states())
    assert [id for id, state, _ in window.states() if state == "bounced"] == ["now"]


async def test_a_late_word_corrects_the_bounce(town: Town, ann_and_bob) -> None:
    """h2 took the popup, and h1 never heard so before its time was over."""
    ann, bob = ann_and_bob
    _, window = await ann.opens()
    await shown(window.states, [("hello", "delivered", None)])
    receivers = town.homes["h1"].lifecycle.outbox.receivers
    before = receivers.of("h2").confirmed
    await falls_silent(town)
    await ann.sends(bob, "one", id="one")
    town.housekeeping = HousekeepingConfig(restart_grace_s=0.05, look_s=0.02, message_ttl_s=100 * TTL_S)
    await town.opens("h2")
    _, bobs = await bob.opens()
    await shown(bobs.texts, ["one"])
    await falls_silent(town)
    receiver = receivers.of("h2")
    receiver.confirmed = receiver.settled = before  # as if it had gone before it could say so
    town.clock.now += TTL_S + 10
    await shown(lambda: window.states()[1:], [("one", "bounced", "expired")])
    await town.opens("h2")
    session, bobs = await bob.opens()
    await shown(bobs.texts, ["one"])
    await bob.acks(session, bobs)
    await shown(lambda: window.states()[1:], [("one", "bounced", "expired"), ("one", "delivered", None)])
