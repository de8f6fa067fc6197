"""The brake: a tenth of the turns, in order, and nothing is lost."""

import heapq
import itertools

import pytest

from runtime.brake import LONGEST_S, Brake


class Timers:
    """A loop of one's own: `run` goes on until nothing is due any more."""

    def __init__(self):
        self.now = 0.0
        self._due = []
        self._number = itertools.count()

    def call_later(self, after_s, call):
        heapq.heappush(self._due, (self.now + after_s, next(self._number), call))

    def run(self, until=float("inf")):
        while self._due and self._due[0][0] <= until:
            self.now, _, call = heapq.heappop(self._due)
            call()


@pytest.fixture
def timers():
    return Timers()


def braked(timers, slow):
    return Brake(slow, lambda: timers.now, timers.call_later)


def work(timers, brake, key, took_s, done):
    def begin(turn):
        timers.call_later(took_s, lambda: (done.append((key, timers.now)), turn.end()))

    brake.take(key, begin)


def test_a_key_has_a_tenth_of_the_turns_that_it_could_have(timers):
    done, brake = [], braked(timers, {"ann"})
    for _ in range(101):
        work(timers, brake, "ann", 0.01, done)
    timers.run()
    assert len(done) == 101
    assert done[-1][1] == pytest.approx(100 * 0.1 + 0.01)


def test_one_key_waits_for_no_other(timers):
    done, brake = [], braked(timers, {"ann", "bob"})
    for _ in range(5):
        work(timers, brake, "ann", 0.2, done)
    work(timers, brake, "bob", 0.01, done)
    timers.run()
    assert done[0] == ("bob", pytest.approx(0.01))


def test_what_takes_long_keeps_its_place_for_a_bounded_time(timers):
    done, brake = [], braked(timers, {"ann"})
    work(timers, brake, "ann", 30.0, done)
    work(timers, brake, "ann", 0.0, done)
    timers.run()
    assert done[0][1] == pytest.approx(10 * LONGEST_S)
    assert len(done) == 2


def test_who_is_let_off_waits_for_no_pause_any_more(timers):
    slow = {"ann"}
    done, brake = [], braked(timers, slow)
    for _ in range(10):
        work(timers, brake, "ann", 0.1, done)
    assert brake.waiting("ann") == brake.size == 9
    slow.clear()
    timers.run()
    assert done[-1][1] == pytest.approx(1.0)
    assert (brake.waiting("ann"), brake.size) == (0, 0)


def test_a_turn_that_is_ended_twice_counts_once(timers):
    turns, brake = [], braked(timers, {"ann"})
    for _ in range(3):
        brake.take("ann", turns.append)
    turns[0].end()
    turns[0].end()
    timers.run(until=0.0)
    assert len(turns) == 2
