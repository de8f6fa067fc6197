"""At most so many a minute for each source. Rule: nothing is forgotten, and no source takes the place of another one."""

from servers.messaging.per_minute import MINUTE_S, MOST_SOURCES, PerMinute
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


def test_invented_names_share_one_bound() -> None:
    bound = PerMinute("lies", 1, Clock())
    assert all(bound.takes(f"x{number}") for number in range(MOST_SOURCES + 1))
    assert not bound.takes("one name more")
    assert bound.takes("x1") is False
    assert bound.left_out == 2
