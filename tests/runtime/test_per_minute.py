"""At most so many a minute for each source. Rule: nothing is forgotten, and no source takes the place of another one for long."""

from runtime.per_minute import MINUTE_S, MOST_SOURCES, PerMinute
from tests.servers.homes import Clock


def test_what_is_over_the_bound_is_counted_until_it_is_told() -> None:
    clock = Clock()
    bound = PerMinute("lies", 2, clock)
    assert [bound.takes("h3") for _ in range(5)] == [True, True, False, False, False]
    assert bound.takes("h2")
    clock.now += MINUTE_S
    assert bound.takes("h3")
    assert (bound.rest("h3"), bound.rest("h3"), bound.rest("h2"), bound.rest("h9")) == (3, 0, 0, 0)
    assert bound.left_out == 3


def test_sizes_have_a_bound_and_one_more() -> None:
    clock = Clock()
    bound = PerMinute("letters", 60, clock, most_size=1_000)
    assert [bound.takes("h3", 600) for _ in range(3)] == [True, True, False]
    assert bound.takes("h2", 5_000)
    clock.now += MINUTE_S
    assert bound.takes("h3", 600)


def test_invented_names_share_one_bound() -> None:
    bound = PerMinute("lies", 1, Clock())
    assert all(bound.takes(f"x{number}") for number in range(MOST_SOURCES + 1))
    assert not bound.takes("one name more")
    assert bound.takes("x1") is False
    assert bound.left_out == 2


def test_an_honest_source_is_heard_for_itself_once_invented_names_are_silent() -> None:
    clock = Clock()
    bound = PerMinute("lies", 1, clock)
    for number in range(12 * MOST_SOURCES):
        bound.takes(f"x{number}")
    clock.now += MINUTE_S
    assert bound.takes("h2")
    assert not bound.takes("h2")
    assert bound.takes("h4")
