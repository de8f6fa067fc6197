"""The ladder of transports, move by move, without a network or a clock. Rule: what is not in `LadderState` is not known."""

from hypothesis import given
from hypothesis import strategies as st

from flash_sdk.transport_ladder import BOTTOM, LADDER, TOP, Ending, LadderState, Network, TransportTimeouts
from flash_sdk.transport_selector import TransportSelector

CAFE, OFFICE = ("10.0.0.7", None), ("192.168.1.7", None)
START = LadderState(network=CAFE)
CLIMB_S = START.timeouts.climb_s


def polling(now: float = 0.0) -> LadderState:
    """Where streams of both kinds were held back and polls flow, proven at `now`."""
    return START.ended(Ending.HELD, now).ended(Ending.HELD, now).data_received(now)


def test_a_client_without_a_welcome_falls_rung_by_rung_and_stays_where_parts_flow() -> None:
    first = START.before_connect(0, CAFE)
    second = first.ended(Ending.HELD, 10)
    third = second.ended(Ending.HELD, 20)
    assert [first.transport, second.transport, third.transport] == ["multipart", "sse", "poll"]
    proven = third.data_received(20)
    assert (proven.proven, proven.ended(Ending.AWAY, 30).transport) == ("poll", "poll")


def test_a_home_that_is_away_moves_nobody() -> None:
    assert START.ended(Ending.AWAY, 0) == START
    assert polling().ended(Ending.AWAY, 1) == polling()


def test_when_polls_get_no_answer_either_it_was_not_the_transport() -> None:
    """A home that hangs: the streams seem held, and then the poll is not answered."""
    hung = START.data_received(0).ended(Ending.HELD, 10).ended(Ending.HELD, 20)
    assert hung.transport == "poll"
    assert hung.ended(Ending.AWAY, 50).transport == TOP


def test_a_transport_that_has_worked_is_doubted_twice_before_it_is_left() -> None:
    worked = START.data_received(0)
    once = worked.ended(Ending.DOUBTFUL, 100)
    assert once.transport == TOP
    assert once.data_received(110).ended(Ending.DOUBTFUL, 200).transport == TOP, "in between it flowed"
    assert once.ended(Ending.DOUBTFUL, 200).transport == "sse"
    assert START.ended(Ending.DOUBTFUL, 0).transport == "sse", "one that never worked has no such credit"


def test_after_a_while_the_next_better_one_is_tried_and_then_the_next() -> None:
    state = polling()
    assert not state.upgrade_due(CLIMB_S - 1, CAFE)
    assert state.upgrade_due(CLIMB_S, CAFE)
    trial = state.ended(Ending.AWAY, CLIMB_S).before_connect(CLIMB_S, CAFE)
    assert (trial.transport, trial.probing, trial.welcome_s) == ("sse", True, trial.timeouts.trial_s)
    proven = trial.data_received(CLIMB_S)
    assert not proven.upgrade_due(CLIMB_S + 1, CAFE)
    assert proven.before_connect(2 * CLIMB_S, CAFE).transport == TOP
    assert not proven.before_connect(2 * CLIMB_S, CAFE).data_received(2 * CLIMB_S).upgrade_due(1e9, CAFE), "nothing is better than the top"


def test_a_climb_that_fails_goes_straight_back_and_the_next_waits_twice_as_long() -> None:
    state, waits = polling(), []
    now = CLIMB_S
    for _ in range(9):
        trial = state.before_connect(now, CAFE)
        assert trial.probing
        state = trial.ended(Ending.HELD, now)
        assert state.transport == "poll"
        assert state.probe_at is not None
        waits.append(state.probe_at - now)
        now = state.probe_at
    assert waits[:3] == [2 * CLIMB_S, 4 * CLIMB_S, 8 * CLIMB_S]
    assert waits[-1] == TransportTimeouts().longest_climb_s
    assert state.data_received(now) == state, "what has long been known does not shorten the wait"


def test_a_climb_to_a_home_that_is_away_proves_nothing() -> None:
    trial = polling().before_connect(CLIMB_S, CAFE)
    back = trial.ended(Ending.AWAY, CLIMB_S)
    assert (back.transport, back.failed_probes, back.probe_at) == ("poll", 0, 2 * CLIMB_S)


def test_another_network_begins_at_the_top() -> None:
    state = polling()
    assert state.upgrade_due(1, OFFICE)
    assert state.before_connect(1, OFFICE) == LadderState(network=OFFICE)
    assert not START.upgrade_due(1, OFFICE), "what is at the top has nothing to gain by leaving"


moves = st.lists(st.tuples(st.sampled_from([*Ending, "flowed", "set out"]), st.floats(0, 5000), st.sampled_from([CAFE, OFFICE])))


@given(moves)
def test_whatever_happens_it_moves_by_one_rung_and_always_has_a_way(moves: list[tuple[Ending | str, float, Network]]) -> None:
    """And one that fell can always climb again: no row of moves leaves it below the top with no hour to try."""
    state, now = START, 0.0
    for move, later_s, network in moves:
        now += later_s
        before = state
        if isinstance(move, Ending):
            state = state.ended(move, now)
        else:
            state = state.data_received(now) if move == "flowed" else state.before_connect(now, network)
        if state.network == before.network and move is Ending.HELD and not before.probing and before.transport != BOTTOM:
            assert LADDER.index(state.transport) == LADDER.index(before.transport) + 1
        if state.proven is not None and state.proven != TOP:
            assert state.probe_at is not None
            assert state.probe_at <= now + state.timeouts.longest_climb_s


def test_the_next_login_of_the_process_begins_where_parts_flowed() -> None:
    learnt: dict[str, LadderState] = {}

    def selector(home: str = "http://h1") -> TransportSelector:
        return TransportSelector(home, TransportTimeouts(), learnt=learnt, clock=lambda: 0.0, network=lambda: CAFE)

    first = selector()
    first.before_connect()
    first.ended(Ending.HELD)
    assert selector().transport == TOP, "nothing is proven yet"
    first.ended(Ending.HELD)
    first.data_received()
    second = selector()
    second.before_connect()
    assert (second.transport, selector("http://h2").transport) == ("poll", TOP)
    second.ended(Ending.HELD)
    assert first.transport == "poll", "each steers for itself"


def test_a_named_transport_is_kept() -> None:
    learnt: dict[str, LadderState] = {}
    selector = TransportSelector("http://h1", TransportTimeouts(), only="multipart", learnt=learnt, clock=lambda: 0.0, network=lambda: CAFE)
    selector.before_connect()
    selector.ended(Ending.HELD)
    selector.data_received()
    assert (selector.transport, selector.upgrade_due, learnt) == ("multipart", False, {})
