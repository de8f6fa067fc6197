"""Turns at a tenth: the Global Server decides, and each home stores what it is told, whenever it hears of it."""

import pytest
from msgspec.structs import replace

from domain.event import in_stream
from domain.events.throttles import ThrottleBegan, ThrottleEnded
from domain.registry.registered_home import GLOBAL
from domain.rules import global_server
from domain.rules.home import rules_for
from domain.rules.sources import stream_fault
from domain.throttles.commands import EndThrottle, Throttle
from domain.throttles.state import ThrottlesState
from tests.domain.given import NOW, Story
from tests.support.snapshots import through_msgpack

given = Story.of(global_server.RULES)
DEED = {"kind": "user", "uid": 1, "by": 9, "handle": "opal", "cause": "c1"}
COMMAND = {**DEED, "server": GLOBAL, "homes": ["h1", "h2"]}
HOMES = ["h1", "h2"]
UNTIL = NOW + 60.0
BEGAN = ThrottleBegan(**DEED, homes=HOMES, until=UNTIL, at=NOW)
ENDED = ThrottleEnded(**DEED, homes=HOMES, at=NOW)


def test_it_begins_and_ends_once():
    given().when(Throttle(**COMMAND, until=UNTIL)).then(BEGAN)
    given(BEGAN).when(Throttle(**COMMAND, until=UNTIL)).then_nothing()
    given(BEGAN).when(Throttle(**COMMAND, until=UNTIL + 1.0)).then(replace(BEGAN, until=UNTIL + 1.0))
    given(BEGAN).when(EndThrottle(**COMMAND)).then(ENDED)
    given(BEGAN, ENDED).when(EndThrottle(**COMMAND)).then_nothing()


def test_what_is_over_neither_begins_nor_ends():
    given().when(Throttle(**COMMAND, until=NOW)).then_nothing()
    given(BEGAN).when(EndThrottle(**COMMAND), now=UNTIL).then_nothing()


def test_a_home_that_came_later_is_told_of_what_holds_and_of_nothing_else():
    later = Throttle(**{**COMMAND, "homes": ["h3"]}, until=UNTIL, again=True)
    given(BEGAN).when(later).then(replace(BEGAN, homes=["h3"]))
    given(BEGAN, ENDED).when(later).then_nothing()


@pytest.mark.parametrize("event", [BEGAN, ENDED])
def test_every_home_hears_and_does_what_the_global_server_alone_may_say(event):
    assert global_server.RECIPIENTS[type(event)](event) == {"h1", "h2"}
    (told,) = rules_for("h2").react(event, GLOBAL)
    assert (told.stream, told.target, told.by, told.homes) == ("throttles-h2", ("user", 1), 9, ())
    assert rules_for("h2").react(event, "h1") == []
    assert rules_for("h2").react(event, "h2") == []
    assert stream_fault(event.TOPIC, "throttles-global", GLOBAL) is None
    assert stream_fault(event.TOPIC, "throttles-global", "h1") is not None


def test_a_snapshot_has_addresses_of_those_who_gave_them_and_lets_go_of_the_erased():
    rules, state = global_server.RULES, ThrottlesState("throttles-global")
    address = ThrottleBegan(**{**DEED, "kind": "address", "uid": 0}, address="192.0.2.7", homes=[], until=UNTIL, at=NOW)
    for event in in_stream([BEGAN, address], "throttles-global", 0):
        rules.evolve(state, event)
    kept = ThrottlesState("throttles-global")
    kept.from_snapshot(through_msgpack(state.to_snapshot()))
    assert (kept.until, kept.givers) == (state.until, state.givers)
    assert [personal.owner for _, personal, _, _ in state.to_snapshot() if not isinstance(personal, int)] == [9]
    kept.from_snapshot([[kind, who if isinstance(who, int) else "", giver, until] for kind, who, giver, until in state.to_snapshot()])
    assert set(kept.until) == {("user", 1)}
