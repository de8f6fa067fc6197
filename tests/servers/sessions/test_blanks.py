"""Blanks and dead clients, on a wheel turned by hand."""

import pytest

from servers.sessions.blanks import SLOTS, BlankWheel
from servers.sessions.session import Session
from tests.servers.homes import Clock, Window, shown
from tests.servers.sessions.stored_mail import StoredMail


class Answering(Session):
    """A session whose client can be made to answer."""

    __slots__ = ()

    def answers(self, now):
        self.seen_at = now


def session(window, pong=False, id="s1"):
    return Answering(id, 1, window, pong, 0.0, 0, StoredMail())


class Wheel:
    """A wheel turned by hand, with its clock."""

    def __init__(self, interval_s=32.0):
        self.clock = Clock(0.0)
        self.dead = []
        self.wheel = BlankWheel(interval_s, self.clock, self._dies)

    def _dies(self, client):
        self.dead.append((client, self.clock.now))
        self.wheel.remove(client)

    def turn(self, intervals, each_tick=lambda: None):
        for _ in range(int(intervals * SLOTS)):
            self.clock.now += self.wheel.interval_s / SLOTS
            self.wheel.tick()
            each_tick()


def test_every_session_gets_one_blank_per_interval_and_not_all_at_once():
    house = Wheel()
    windows = [Window() for _ in range(100)]
    for number, window in enumerate(windows):
        house.wheel.add(session(window, id=str(number)))
    most = before = 0

    def count():
        nonlocal most, before
        written = sum(len(window.parts) for window in windows)
        most, before = max(most, written - before), written

    house.turn(3, count)
    assert {len(window.parts) for window in windows} == {3}
    assert most <= 100 // SLOTS + 1


def test_a_slow_client_gets_no_blanks_on_top():
    house = Wheel()
    window = Window()
    window.slow = True
    house.wheel.add(session(window))
    house.turn(2)
    assert window.parts == []


@pytest.mark.parametrize("phase", range(SLOTS))
@pytest.mark.parametrize("slot", [0, 7, 31])
def test_a_dead_client_is_noticed_within_two_and_a_quarter_intervals_whenever_it_died(phase, slot):
    house = Wheel()
    for number in range(slot):
        house.wheel.add(session(Window(), id=str(number)))
    client = session(Window(), pong=True)
    house.wheel.add(client)
    house.turn(phase / SLOTS)
    client.answers(house.clock.now)
    house.turn(4)
    ((dead, at),) = house.dead
    assert dead is client
    assert 2.0 * house.wheel.interval_s < at - client.seen_at <= 2.25 * house.wheel.interval_s + house.wheel.interval_s / SLOTS


def test_a_client_that_answers_its_blanks_lives():
    house = Wheel()
    window = Window()
    client = session(window, pong=True)
    house.wheel.add(client)
    answered = 0

    def answer():
        nonlocal answered
        if len(window.parts) > answered:
            answered = len(window.parts)
            client.answers(house.clock.now)

    house.turn(20, answer)
    assert house.dead == []


def test_a_client_that_never_promised_to_answer_is_left_to_tcp():
    house = Wheel()
    house.wheel.add(session(Window(), pong=False))
    house.turn(20)
    assert house.dead == []


def test_a_session_may_end_while_its_blank_is_written():
    house = Wheel()

    class Ending(Window):
        def write(self, parts):
            house.wheel.remove(client)

    client = session(Ending())
    house.wheel.add(client)
    for number in range(2 * SLOTS):
        house.wheel.add(session(Window(), id=str(number)))
    house.turn(2)


async def test_the_wheel_turns_by_itself():
    wheel = BlankWheel(0.05, Clock(0.0), lambda client: None)
    window = Window()
    wheel.add(session(window))
    wheel.start()
    await shown(lambda: len(window.parts) >= 2, True)
    await wheel.stop()
