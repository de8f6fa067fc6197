"""The ladder of transports, move by move, without a network or a clock. Rule: what is not in `Course` is not known."""

from hypothesis import given
from hypothesis import strategies as st

from flash_sdk.transport_ladder import BOTTOM, LADDER, TOP, Course, Ending, Network, Patience
from flash_sdk.transport_selector import Helm

CAFE, OFFICE = ("10.0.0.7", None), ("192.168.1.7", None)
START = Course(network=CAFE)
CLIMB_S = START.patience.climb_s


def polling(now: float = 0.0) -> Course:
    """Where streams of both kinds were held back and polls flow, proven at `now`."""
    return START.ended(Ending.HELD, now).ended(Ending.HELD, now).flowed(now)


def test_one_who_gets_no_welcome_falls_rung_by_rung_and_stays_where_parts_flow() -> None:
    first = START.setting_out(0, CAFE)
    second = first.ended(Ending.HELD, 10)
    third = second.ended(Ending.HELD, 20)
    assert [first.transport, second.transport, third.transport] == ["multipart", "sse", "poll"]
    firm = third.flowed(20)
    assert (firm.firm, firm.ended(Ending.AWAY, 30).transport) == ("poll", "poll")


def test_a_home_that_is_away_moves_nobody() -> None:
    assert START.ended(Ending.AWAY, 0) == START
    assert polling().ended(Ending.AWAY, 1) == polling()


def test_when_polls_get_no_answer_either_it_was_not_the_transport() -> None:
    """A home that hangs: the streams seem held, and then the poll is not answered."""
    hung = START.flowed(0).ended(Ending.HELD, 10).ended(Ending.HELD, 20)
    assert hung.transport == "poll"
    assert hung.ended(Ending.AWAY, 50).transport == TOP


def test_a_transport_that_has_worked_is_doubted_twice_before_it_is_left() -> None:
    worked = START.flowed(0)
    once = worked.ended(Ending.DOUBTFUL, 100)
    assert once.transport == TOP
    assert once.flowed(110).ended(Ending.DOUBTFUL, 200).transport == TOP, "in between it flowed"
    assert once.ended(Ending.DOUBTFUL, 200).transport == "sse"
    assert START.ended(Ending.DOUBTFUL, 0).transport == "sse", "one that never worked has no such credit"


def test_after_a_while_the_next_better_one_is_tried_and_then_the_next() -> None:
    course = polling()
    assert not course.due(CLIMB_S - 1, CAFE)
    assert course.due(CLIMB_S, CAFE)
    trial = course.ended(Ending.AWAY, CLIMB_S).setting_out(CLIMB_S, CAFE)
    assert (trial.transport, trial.climbing, trial.welcome_s) == ("sse", True, trial.patience.trial_s)
    proven = trial.flowed(CLIMB_S)
    assert not proven.due(CLIMB_S + 1, CAFE)
    assert proven.setting_out(2 * CLIMB_S, CAFE).transport == TOP
    assert not proven.setting_out(2 * CLIMB_S, CAFE).flowed(2 * CLIMB_S).due(1e9, CAFE), "nothing is better than the top"


def test_a_climb_that_fails_goes_straight_back_and_the_next_waits_twice_as_long() -> None:
    course, waits = polling(), []
    now = CLIMB_S
    for _ in range(9):
        trial = course.setting_out(now, CAFE)
        assert trial.climbing
        course = trial.ended(Ending.HELD, now)
        assert course.transport == "poll"
        assert course.climb_at is not None
        waits.append(course.climb_at - now)
        now = course.climb_at
    assert waits[:3] == [2 * CLIMB_S, 4 * CLIMB_S, 8 * CLIMB_S]
    assert waits[-1] == Patience().longest_climb_s
    assert course.flowed(now) == course, "what has long been known does not shorten the wait"


def test_a_climb_to_a_home_that_is_away_proves_nothing() -> None:
    trial = polling().setting_out(CLIMB_S, CAFE)
    back = trial.ended(Ending.AWAY, CLIMB_S)
    assert (back.transport, back.failed_climbs, back.climb_at) == ("poll", 0, 2 * CLIMB_S)


def test_another_network_begins_at_the_top() -> None:
    course = polling()
    assert course.due(1, OFFICE)
    assert course.setting_out(1, OFFICE) == Course(network=OFFICE)
    assert not START.due(1, OFFICE), "what is at the top has nothing to gain by leaving"


moves = st.lists(st.tuples(st.sampled_from([*Ending, "flowed", "set out"]), st.floats(0, 5000), st.sampled_from([CAFE, OFFICE])))


@given(moves)
def test_whatever_happens_it_moves_by_one_rung_and_always_has_a_way(moves: list[tuple[Ending | str, float, Network]]) -> None:
    """And one that fell can always climb again: no row of moves leaves it below the top with no hour to try."""
    course, now = START, 0.0
    for move, later_s, network in moves:
        now += later_s
        before = course
        if isinstance(move, Ending):
            course = course.ended(move, now)
        else:
            course = course.flowed(now) if move == "flowed" else course.setting_out(now, network)
        if course.network == before.network and move is Ending.HELD and not before.climbing and before.transport != BOTTOM:
            assert LADDER.index(course.transport) == LADDER.index(before.transport) + 1
        if course.firm is not None and course.firm != TOP:
            assert course.climb_at is not None
            assert course.climb_at <= now + course.patience.longest_climb_s


def test_the_next_login_of_the_process_begins_where_parts_flowed() -> None:
    learnt: dict[str, Course] = {}

    def helm(home: str = "http://h1") -> Helm:
        return Helm(home, Patience(), learnt=learnt, clock=lambda: 0.0, network=lambda: CAFE)

    first = helm()
    first.setting_out()
    first.ended(Ending.HELD)
    assert helm().transport == TOP, "nothing is proven yet"
    first.ended(Ending.HELD)
    first.flowed()
    second = helm()
    second.setting_out()
    assert (second.transport, helm("http://h2").transport) == ("poll", TOP)
    second.ended(Ending.HELD)
    assert first.transport == "poll", "each steers for itself"


def test_one_who_names_a_transport_keeps_it() -> None:
    learnt: dict[str, Course] = {}
    helm = Helm("http://h1", Patience(), only="multipart", learnt=learnt, clock=lambda: 0.0, network=lambda: CAFE)
    helm.setting_out()
    helm.ended(Ending.HELD)
    helm.flowed()
    assert (helm.transport, helm.due, learnt) == ("multipart", False, {})
