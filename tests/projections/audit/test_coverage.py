"""Which positions were told: ranges hold what a plain set of the same positions holds, and never touch."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.audit.coverage import Ranges

POSITIONS = range(-1, 14)
TOLD = st.lists(st.tuples(st.integers(-1, 12), st.integers(-1, 12)), max_size=8)


def ranges(told: list[tuple[int, int]]) -> tuple[Ranges, set[int]]:
    """The same positions as ranges and as a set."""
    known, plain = Ranges(), set[int]()
    for after, last in told:
        known.add(after, last)
        plain |= set(range(after + 1, last + 1))
    return known, plain


@settings(deadline=None)
@given(TOLD)
def test_they_hold_what_was_told(told):
    known, plain = ranges(told)
    assert {position for position in POSITIONS if known.holds(position)} == plain
    assert known.last == max(plain, default=-1)
    assert all(after < last for after, last in known.ranges)
    assert all(last < after for (_, last), (after, _) in pairwise(known.ranges))


@settings(deadline=None)
@given(TOLD, st.integers(-1, 13))
def test_another_life_agrees_with_what_stands_before_the_point_where_they_part(told, agreed):
    known, plain = ranges(told)
    shared = known.up_to(agreed)
    assert {position for position in POSITIONS if shared.holds(position)} == {position for position in plain if position <= agreed}
    assert all(after < last for after, last in shared.ranges)
    shared.add(agreed, agreed + 1)
    assert {position for position in POSITIONS if known.holds(position)} == plain, "the other life is as it was"
