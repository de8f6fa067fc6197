"""Who has turns at a tenth at one server, as its log says it and its clock ends it; and who is heavy there."""

import pytest
from structlog.testing import capture_logs

from domain.event import in_stream
from domain.events.global_server import AccountClosed
from domain.events.throttles import ThrottleBegan, ThrottleEnded
from domain.personal import Personal
from projections.server.throttles import Throttles
from servers.fairness.load import Load
from servers.fairness.throttling import Throttling

NOW, OPAL, ANN = 1_000.0, 9, 1
DEED = {"by": OPAL, "handle": "opal", "homes": [], "at": NOW, "cause": "c1"}


def began(kind, who, until=NOW + 60.0, **other):
    return ThrottleBegan(kind=kind, **{"uid" if kind == "user" else kind: who}, until=until, **{**DEED, **other})


def folded(*events):
    throttles = Throttles()
    for event in in_stream(events, "throttles-h1", 0):
        throttles.apply(event.originator_version, event)
    return throttles


def erased(uid):
    return AccountClosed(originator_id=f"account-{uid}", originator_version=1, uid=uid, reason="", home="h1", homes=[], at=NOW, cause="c2")


@pytest.fixture
def everybody():
    return folded(began("user", ANN), began("address", "192.0.2.7"), began("home", "h2"))


def test_a_caller_waits_as_a_user_or_as_an_address_until_the_time_is_over(everybody):
    now = NOW
    throttling = Throttling(everybody, lambda: now)
    assert throttling.caller(ANN, "198.51.100.1") == ANN
    assert throttling.caller(2, "192.0.2.7") == "192.0.2.7"
    assert throttling.caller(2, "198.51.100.1") is None
    assert throttling.is_slow("h2")
    assert not throttling.is_slow("h3")
    now += 60.0
    assert throttling.caller(ANN, "192.0.2.7") is None
    assert not throttling.is_slow("h2")
    assert (throttling.callers, throttling.homes) == ({}, {}), "so that nobody is looked for any more"


def test_the_end_and_a_new_beginning_count(everybody):
    ended = ThrottleEnded(kind="user", uid=ANN, originator_id="throttles-h1", originator_version=4, **DEED)
    everybody.apply(4, ended)
    everybody.apply(5, began("home", "h2", NOW + 600.0, originator_id="throttles-h1", originator_version=5))
    assert [(each.kind, each.who, each.until) for each in everybody.held] == [
        ("address", "192.0.2.7", NOW + 60.0),
        ("home", "h2", NOW + 600.0),
    ]


def test_with_a_user_goes_what_was_said_of_them_and_with_the_ops_the_addresses_that_they_gave(everybody):
    everybody.apply(4, erased(ANN))
    assert [each.kind for each in everybody.held] == ["address", "home"]
    everybody.apply(5, erased(OPAL))
    assert [each.kind for each in everybody.held] == ["home"]


def test_a_checkpoint_hides_addresses_and_one_whose_key_is_gone_is_no_throttle(everybody):
    data = everybody.to_checkpoint()
    assert Personal(OPAL, "192.0.2.7") in [entry[1] for entry in data["held"]]

    def opened(address):
        return {**data, "held": [[e[0], address if isinstance(e[1], Personal) else e[1], *e[2:]] for e in data["held"]]}

    for address, kinds in (("192.0.2.7", ["user", "address", "home"]), ("", ["user", "home"])):
        other = Throttles()
        assert other.from_checkpoint(opened(address))
        assert [each.kind for each in other.held] == kinds
        assert other.streams == {"throttles-h1"}


def test_a_warning_names_who_takes_most_while_others_wait_once_a_minute():
    now = 0.0
    load = Load(lambda: now)
    with capture_logs() as logs:
        for second in range(120):
            now = float(second)
            load.note(uid=ANN, address="192.0.2.7", cpu_s=0.6, size=100)
            load.note(uid=2, address="192.0.2.8", cpu_s=0.1, size=100, waited_s=0.2)
    said = [(each["kind"], each["who"]) for each in logs if each["event"] == "heavy.share"]
    assert said[:2] == [("user", ANN), ("address", None)]
    assert 2 <= len(said) <= 4
    assert load.shares()["user"] == pytest.approx(6 / 7)
    assert [each.who for each in load.heaviest() if each.kind == "user"] == [ANN, 2]


def test_nobody_is_heavy_where_nobody_waits_or_little_is_done():
    now = 0.0
    busy, idle = Load(lambda: now), Load(lambda: now)
    with capture_logs() as logs:
        for second in range(60):
            now = float(second)
            busy.note(uid=ANN, cpu_s=0.6, waited_s=5.0)
            idle.note(uid=ANN, cpu_s=0.01)
            idle.note(uid=2, cpu_s=0.001, waited_s=5.0)
    assert not logs
    assert idle.shares()["user"] < 0.1
