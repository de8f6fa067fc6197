"""Mail of a home that has turns at a tenth: it comes late, in order and whole, and keeps no room from the mail of others."""

import asyncio

import pytest

from domain.event import in_stream
from domain.events.throttles import ThrottleBegan
from domain.throttles.commands import EndThrottle, Throttle
from projections.server.throttles import Throttles
from servers.fairness.throttling import Throttling
from servers.messaging.slow_mail import MOST_HELD, SlowMail
from tests.servers.homes import Town, shown

DEED = {"kind": "home", "home": "h1", "by": 9, "handle": "opal", "cause": "c1"}


class Letter:
    """A delivery."""

    def __init__(self, source):
        self.source = source
        self.acked = False

    def ack(self):
        self.acked = True


class Desk:
    """What reads mail, without an inbox."""

    def __init__(self):
        self.read, self.timers, self.now = [], [], 0.0
        throttles = Throttles()
        (event,) = in_stream([ThrottleBegan(**DEED, homes=[], until=1e9, at=1.0)], "throttles-h2", 0)
        throttles.apply(1, event)
        throttling = Throttling(throttles, lambda: self.now, lambda after_s, call: self.timers.append(call))
        self.slow = SlowMail(throttling, lambda letter: letter.source, self.read.append)

    def goes_on(self):
        timers, self.timers = self.timers, []
        for call in timers:
            call()


@pytest.fixture
async def desk():
    return Desk()


async def test_one_at_a_time_and_others_wait_for_nothing(desk):
    slow, other = [Letter("h1") for _ in range(3)], Letter("h3")
    for letter in (*slow, other):
        desk.slow.arrive(letter, comes_again=True)
    assert desk.read == [slow[0], other]
    desk.slow.settled(slow[0])
    desk.goes_on()
    assert desk.read == [slow[0], other, slow[1]]
    assert desk.slow.waiting == 1


async def test_only_a_few_are_held_and_the_rest_is_acked_to_come_again(desk):
    letters = [Letter("h1") for _ in range(MOST_HELD + 11)]
    for letter in letters:
        desk.slow.arrive(letter, comes_again=True)
    assert desk.slow.waiting == MOST_HELD
    assert desk.slow.put_off == 10
    assert [letter.acked for letter in letters] == [False] * (MOST_HELD + 1) + [True] * 10


async def test_a_throttled_homes_popups_all_arrive_in_order(tmp_path, store_url):
    town = Town(tmp_path, store_url)
    await town.start("h1", "h2")
    try:
        ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
        await ann.adds(bob)
        await bob.adds(ann)
        await town.settled()
        home = town.homes["h2"]
        deed = {**DEED, "server": "h2"}
        await home.writer.submit((Throttle(**deed, until=home.writer.clock() + 3_600.0),))
        assert home.throttling.is_slow("h1")
        _, window = await bob.opens()
        await asyncio.gather(*(ann.sends(bob, str(number)) for number in range(20)))
        await shown(window.texts, [str(number) for number in range(20)])
        await home.writer.submit((EndThrottle(**deed),))
        assert not home.throttling.homes
    finally:
        await town.stop()
