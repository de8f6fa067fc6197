"""Rate limits: bursts, recovery, strangers, memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import TooManyRequests
from servers.security.rate_limit import RateLimit


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def allowed(limiter: RateLimit, key: str, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            limiter.take(key)
            count += 1
        except TooManyRequests:
            pass
    return count


def test_a_burst_then_a_trickle():
    clock = Clock()
    limiter = RateLimit(5 / 60, 5, clock)
    assert allowed(limiter, "ann", 8) == 5
    clock.now += 12
    assert allowed(limiter, "ann", 8) == 1
    clock.now += 600
    assert allowed(limiter, "ann", 8) == 5


def test_a_refusal_says_when_to_come_again():
    clock = Clock()
    limiter = RateLimit(1 / 60, 1, clock, "Slow down, please.")
    limiter.take("ann")
    clock.now += 20.5
    with pytest.raises(TooManyRequests, match="Slow down") as refusal:
        limiter.take("ann")
    assert refusal.value.extra == {"retry_after_s": 40}
    clock.now += 40
    limiter.take("ann")


def test_one_does_not_pay_for_another():
    limiter = RateLimit(2 / 60, 2, Clock())
    assert allowed(limiter, "ann", 5) == 2
    assert allowed(limiter, "bob", 5) == 2


def test_what_was_taken_in_advance_can_be_given_back():
    limiter = RateLimit(2 / 60, 2, Clock())
    for _ in range(10):
        limiter.take("ann")
        limiter.give_back("ann")
    assert len(limiter) == 0
    limiter.give_back("ann")
    assert allowed(limiter, "ann", 5) == 2


def test_memory_is_bounded():
    limiter = RateLimit(1 / 60, 1, Clock(), max_keys=10)
    for number in range(100):
        limiter.take(f"stranger {number}")
    assert len(limiter) == 10


@pytest.mark.parametrize(("burst", "per_s"), [(0, 1), (1, 0)])
def test_a_rate_that_allows_nothing_is_a_mistake(burst, per_s):
    with pytest.raises(ValueError, match="rate"):
        RateLimit(per_s, burst, Clock())


@given(st.integers(1, 7), st.floats(0.01, 10), st.lists(st.floats(0, 30), max_size=60))
def test_never_more_than_a_burst_and_what_came_back(burst: int, per_s: float, pauses: list[float]) -> None:
    clock = Clock()
    limiter = RateLimit(per_s, burst, clock)
    began, count = clock.now, 0
    for pause in pauses:
        clock.now += pause
        count += allowed(limiter, "ann", 1)
    assert count <= burst + (clock.now - began) * per_s + 1e-6


def test_nobody_is_kept_whose_bucket_is_full_again():
    clock = Clock()
    limiter = RateLimit(10, 5, clock)
    for number in range(1_000):
        limiter.take(number)
        clock.now += 1
    assert len(limiter) <= 2


def test_a_call_takes_as_many_tokens_as_it_costs_and_never_more_than_there_can_be():
    clock = Clock()
    limiter = RateLimit(1, 10, clock)
    limiter.take("ann", 7)
    assert limiter.taken("ann") == 7
    with pytest.raises(TooManyRequests) as refusal:
        limiter.take("ann", 5)
    assert refusal.value.extra["retry_after_s"] == 2
    limiter.take("ann", 3)
    clock.now += 10
    limiter.take("ann", 1_000)
    assert limiter.taken("ann") == 10
