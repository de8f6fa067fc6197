"""Lanes: everybody's turn comes, and the order inside a lane stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.lanes import Lanes


def filled(*items):
    lanes = Lanes()
    for key, item in items:
        lanes.put(key, item)
    return lanes


def test_lanes_are_taken_from_in_turn():
    lanes = filled(("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5), ("c", 6))
    assert [lanes.take() for _ in range(6)] == [1, 4, 5, 2, 6, 3]
    assert (lanes.size, len(lanes)) == (0, 0)


def test_one_that_comes_late_waits_for_one_item_of_each_other():
    lanes = filled(*(("a", n) for n in range(1_000)), ("b", 1_000))
    lanes.put("c", "late")
    assert [lanes.take() for _ in range(3)] == [0, 1_000, "late"]


def test_what_is_put_back_is_next_and_stays_in_its_order():
    lanes = filled(("a", 1), ("a", 2), ("b", 3))
    taken = [("a", lanes.take()), ("b", lanes.take()), ("a", lanes.take())]
    lanes.put("c", 4)
    for key, item in reversed(taken):
        lanes.put_back(key, item)
    assert [lanes.take() for _ in range(4)] == [1, 3, 4, 2]


def test_what_is_not_kept_is_gone():
    lanes = filled(("a", 1), ("a", 2), ("b", 3))
    lanes.keep(lambda item: item == 2)
    assert (lanes.size, len(lanes), lanes.length("a"), lanes.length("b")) == (1, 1, 1, 0)
    assert lanes.take() == 2
    with pytest.raises(IndexError):
        lanes.take()


def test_whoever_fills_it_is_refused_first():
    lanes = filled(*(("a", item) for item in range(4)))
    assert lanes.put_within(4, "a", 4) == 4
    assert lanes.put_within(4, "b", 5) == 3, "the newest of the one that has most makes room"
    assert lanes.put_within(4, "c", 6) == 2
    assert lanes.put_within(4, "b", 7) == 7, "nobody has two more than b"
    assert lanes.size == 4
    assert [lanes.take() for _ in range(4)] == [0, 5, 6, 1]
    assert lanes.put_within(4, "b", 8) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers()) | st.none()))
def test_nothing_is_lost_and_no_lane_changes_its_order(steps):
    """None takes an item and puts it back, or takes it for good, by turns."""
    lanes, waiting, back = Lanes(), {key: [] for key in "abc"}, False
    for step in steps:
        if step is not None:
            lanes.put(step[0], step)
            waiting[step[0]].append(step)
        elif lanes:
            key, _ = item = lanes.take()
            assert item == waiting[key][0]
            if back := not back:
                lanes.put_back(key, item)
            else:
                waiting[key].pop(0)
        assert lanes.size == sum(map(len, waiting.values()))
        assert len(lanes) == sum(map(bool, waiting.values()))
