"""The heaviest of many, in a fixed number of entries: what is promised holds whatever comes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from runtime.heavy_hitters import Minute, Sketch

MOST = 5
SLACK = 1e-6  # sums of floats differ in their last digits
weights = st.integers(1, 1_000).map(float)
additions = st.lists(st.tuples(st.integers(0, 30), weights), max_size=300)


@given(additions)
def test_no_key_is_said_to_have_more_than_it_has_and_none_is_short_of_more_than_a_share(added):
    sketch, truth = Sketch(MOST), Counter()
    for key, weight in added:
        sketch.add(key, weight)
        truth[key] += weight
    surely = sketch.surely()
    assert len(surely) <= MOST
    assert sketch.total == sum(truth.values())
    assert sketch.short_of <= sketch.total / MOST + SLACK
    for key in truth:
        assert surely.get(key, 0.0) <= truth[key] + SLACK
        assert truth[key] <= surely.get(key, 0.0) + sketch.short_of + SLACK


@given(additions)
def test_who_has_more_than_a_share_of_the_whole_is_kept(added):
    sketch, truth = Sketch(MOST), Counter()
    for key, weight in added:
        sketch.add(key, weight)
        truth[key] += weight
    heavy = {key for key, weight in truth.items() if weight > sketch.total / MOST}
    assert heavy <= set(sketch.surely())


def test_ten_thousand_others_do_not_hide_the_heaviest():
    sketch = Sketch()
    for number in range(10_000):
        sketch.add(f"user {number}", 1.0)
        sketch.add("heavy", 1.0)
    assert sketch.surely()["heavy"] >= 10_000 - sketch.short_of
    assert sketch.short_of <= 20_000 / 50


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(0, 3), weights), max_size=60))
def test_a_minute_forgets_what_is_older(added):
    now = 1_000.0
    minute, truth = Minute(lambda: now), []
    for later_s, key, weight in added:
        now += later_s
        minute.add(key, weight)
        truth.append((now, key, weight))
    heaviest = minute.heaviest()
    for key in range(4):
        surely = sum(weight for at, of, weight in truth if of == key and at > now - 50.0)
        at_most = sum(weight for at, of, weight in truth if of == key and at > now - 60.0 - 10.0)
        assert surely - SLACK <= heaviest.get(key, 0.0) <= at_most + SLACK
    assert list(heaviest.values()) == sorted(heaviest.values(), reverse=True)
    now += 61.0
    assert (minute.heaviest(), minute.total) == ({}, 0.0)
