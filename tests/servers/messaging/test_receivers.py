"""What one server knows of those that get its mail: bounded in what is sent again, and never past what was addressed."""

from dataclasses import replace

import pytest

from servers.messaging.receivers import FIRST_PAUSE_S, LONGEST_PAUSE_S, Receivers
from servers.store.log.positions import mailed, settled, taken


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rows() -> dict[str, int]:
    return {}


@pytest.fixture
def receivers(clock: Clock, rows: dict[str, int]) -> Receivers:
    receivers = Receivers(clock, lambda delay_s: None, rows.update)
    receivers.load({mailed("h2"): 100, settled("h2"): 40, mailed("h3"): 7})
    return receivers


def test_what_is_stored_is_known_after_a_restart(receivers: Receivers) -> None:
    h2 = receivers.of("h2")
    assert (h2.addressed, h2.settled, h2.confirmed) == (100, 40, 40)
    assert receivers.of("h3").addressed == 7


def test_nobody_confirms_more_than_was_addressed(receivers: Receivers) -> None:
    receivers.confirm("h2", 2**62)
    receivers.confirm("h2", 50)
    receivers.confirm("a stranger", 5)
    assert receivers.of("h2").confirmed == 100
    assert "a stranger" not in receivers.known


def test_one_sending_at_a_time_and_the_next_one_after_a_growing_pause(receivers: Receivers, clock: Clock) -> None:
    pauses = []
    for _ in range(9):
        assert receivers.lacks("h2", 50, "a test")
        assert not receivers.lacks("h2", 50, "it is under way")
        receivers.caught_up("h2", 100)
        began = clock.now
        while not receivers.lacks("h2", 50, "it came no further"):
            clock.now += 0.5
        pauses.append(clock.now - began)
        receivers.caught_up("h2", 100)
        clock.now += 2 * LONGEST_PAUSE_S
    assert pauses[0] == FIRST_PAUSE_S
    assert max(pauses) <= LONGEST_PAUSE_S


def test_who_says_it_came_a_step_further_does_not_have_the_log_read_without_an_end(receivers: Receivers, clock: Clock) -> None:
    read = 0
    for position in range(50, 99):
        receivers.lacks("h2", position, "a test")
        if receivers.due() == [receivers.of("h2")]:
            read += 1
            receivers.caught_up("h2", 100)
        clock.now += FIRST_PAUSE_S / 10
    assert read <= 49 / 10 + 1


def test_who_can_open_now_what_it_could_not_open_waits_for_no_pause(receivers: Receivers, clock: Clock) -> None:
    for _ in range(5):
        clock.now += LONGEST_PAUSE_S
        assert receivers.lacks("h2", 50, "a test")
        receivers.caught_up("h2", 100)
    clock.now += FIRST_PAUSE_S
    assert not receivers.lacks("h2", 50, "a test")
    assert receivers.lacks("h2", 50, "a test", anew=True)
    assert receivers.due() == [receivers.of("h2")]


def test_who_has_everything_lacks_nothing(receivers: Receivers) -> None:
    assert not receivers.lacks("h2", 100, "a test")
    assert not receivers.behind


def test_who_asks_for_mail_before_the_broker_has_confirmed_it_is_sent_it_again(receivers: Receivers) -> None:
    receivers.known["h2"] = replace(receivers.of("h2"), sending=110)
    assert receivers.lacks("h2", 100, "it could not open the mail at 110")
    assert receivers.behind == {"h2"}


def test_a_server_that_could_not_be_reached_and_asks_waits_no_long_pause(receivers: Receivers, clock: Clock) -> None:
    for _ in range(9):
        receivers.cannot(receivers.of("h2"), 90, "missing", "no queue")
    assert receivers.of("h2").due == clock.now + LONGEST_PAUSE_S
    assert not receivers.lacks("h2", 90, "it asks")
    assert receivers.of("h2").due == clock.now + FIRST_PAUSE_S
    assert not receivers.lacks("h2", 90, "it asks again")
    assert receivers.of("h2").due == clock.now + FIRST_PAUSE_S


def test_a_server_that_cannot_be_reached_is_tried_from_where_it_was_with_growing_pauses(receivers: Receivers, clock: Clock) -> None:
    receivers.cannot(receivers.of("h2"), 90, "missing", "no queue")
    assert (receivers.of("h2").behind, receivers.due()) == (90, [])
    clock.now += FIRST_PAUSE_S
    assert receivers.due() == [receivers.of("h2")]
    for _ in range(10):
        receivers.cannot(receivers.of("h2"), 90, "missing", "no queue")
    clock.now += LONGEST_PAUSE_S
    assert receivers.due() == [receivers.of("h2")]
    receivers.cannot(receivers.of("h2"), 90, "missing", "no queue")
    assert not receivers.due()
    receivers.reachable("h2")
    assert receivers.due() == [receivers.of("h2")]
    receivers.caught_up("h2", 120)
    assert (receivers.of("h2").behind, receivers.of("h2").addressed, receivers.behind) == (None, 120, set())


def test_what_is_settled_is_stored_and_only_rises(receivers: Receivers, rows: dict[str, int]) -> None:
    receivers.settle("h2", 60)
    receivers.settle("h2", 50)
    assert (receivers.of("h2").settled, rows) == (60, {settled("h2"): 60})


def test_who_does_not_confirm_is_tried_again_when_its_confirm_comes_and_not_before(receivers: Receivers, clock: Clock) -> None:
    h2 = receivers.known["h2"] = replace(receivers.of("h2"), after=100, sending=110)
    receivers.cannot(h2, 100, "slow", "its queue does not confirm")
    clock.now += 100 * LONGEST_PAUSE_S
    assert not receivers.due()
    assert h2.addressed == 110
    receivers.settled_late(h2, arrived=True)
    assert (receivers.due(), h2.behind) == ([h2], 110)


def test_who_was_behind_at_the_last_end_still_is(clock: Clock, rows: dict[str, int]) -> None:
    receivers = Receivers(clock, lambda delay_s: None, rows.update)
    receivers.load({mailed("h2"): 100, taken("h2"): 60, mailed("h3"): 7, taken("h3"): 7})
    receivers.go_on()
    assert (receivers.behind, receivers.of("h2").behind) == ({"h2"}, 60)
    assert rows[taken("h2")] == 60
