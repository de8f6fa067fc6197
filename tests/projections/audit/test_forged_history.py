"""What somebody with write access to one log, or to the history, cannot change in the audit's answers about the past. On 79ccbf3 each of
these changed one.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from domain.events.home import UserAdopted, UserClosed
from domain.events.integrity import ClockCorrected
from domain.registry.registered_home import GLOBAL
from projections.audit.checkpoints import PROOF_BYTES
from projections.audit.clocks import SKEW_S, Clocks
from projections.audit.reader import Reader
from projections.audit.rows import AuditFilter, Doubt
from servers.audit.decoder import HistoryDecoder
from tests.projections.audit.by_hand import ANN, BOB, T0, World, added, logged_in, logged_off, queued, registered

THEN = {"online": ["ann", "bob"], "sessions": {ANN: ["ann"], BOB: ["bob"]}, "window": [("bob", "online")], "bob": "online"}


def test_backdated_events_change_no_answer_about_the_past(world):
    assert world.at(T0 + 200) == THEN
    world.tells("h2", f"user-{BOB}", logged_off("bob", T0 + 900))
    assert world.at(T0 + 200) == THEN
    first = world.tells("h2", f"user-{BOB}", logged_off("bob", T0 + 150))
    world.tells("h2", f"user-{BOB}", logged_in("bob", T0 + 160), logged_off("bob", T0 + 170))
    assert world.at(T0 + 200) == THEN
    assert world.at(T0 + 899) == THEN
    assert world.at(T0 + 900)["bob"] == "offline"
    assert world.reader.moments.doubts() == [Doubt("h2", first, first + 2, 3, accepted=False)]
    rows = world.reader.log.page(AuditFilter(user=BOB), None, 10, "newest").rows
    assert [(row.time - T0, row.told and row.told - T0) for row in rows[:4]] == [(900, 170), (900, 160), (900, 150), (900, None)]


def of_bob(database: sqlite3.Connection) -> bytes:
    return database.execute("SELECT state FROM checkpoints WHERE stream = ?", (f"user-{BOB}",)).fetchone()[0]


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(lambda genuine: genuine, id="another user's, with its proof"),
        pytest.param(lambda genuine: genuine[PROOF_BYTES:], id="without a proof, as before there were any"),
        pytest.param(lambda genuine: bytes(PROOF_BYTES) + genuine[PROOF_BYTES:], id="with an invented proof"),
        pytest.param(lambda genuine: b"", id="nothing"),
    ],
)
def test_a_forged_checkpoint_changes_no_answer(tmp_path: Path, world: World, forged: Callable[[bytes], bytes]) -> None:
    """Somebody may write the audit's store, and puts Bob's state in the place of Ann's."""
    with closing(sqlite3.connect(tmp_path / "audit.db", isolation_level=None)) as database:
        row = (forged(of_bob(database)), f"user-{ANN}")
        assert database.execute("UPDATE checkpoints SET state = ? WHERE stream = ?", row).rowcount == 1
    with capture_logs() as logged:
        assert world.at(T0 + 200) == THEN
    assert {(entry["event"], entry["stream"]) for entry in logged} == {("audit.checkpoint_not_believed", f"user-{ANN}")}


def test_without_a_key_there_is_no_checkpoint_and_the_same_answer(tmp_path: Path, world: World) -> None:
    """As for a role that sees no keys."""
    with closing(Reader(tmp_path / "audit.db", HistoryDecoder().decode, key=b"")) as reader:
        assert sorted(reader.moments.state(ANN, T0 + 200).user.sessions) == ["ann"]


def test_a_clock_may_be_set_back_a_little(world):
    world.tells("h2", f"user-{BOB}", logged_off("bob", T0 + 100 - SKEW_S))
    assert world.reader.moments.doubts() == []
    assert world.at(T0 + 99) == world.at(T0 + 99 - 2 * SKEW_S) | {"bob": "offline", "online": world.at(T0 + 99)["online"]}


def test_a_clock_that_was_put_right_counts_anew(world):
    """Before ops accept it, the order of the log counts; afterwards times do, also of what was stored meanwhile."""
    ahead = T0 + 40 * 86_400
    world.tells("h2", f"user-{BOB}", logged_off("bob", ahead))
    right = world.tells("h2", f"user-{BOB}", logged_in("bob", T0 + 300))
    assert world.reader.moments.doubts() == [Doubt("h2", right, right, 1, accepted=False)]
    accepted = world.tells("h2", "clock-h2", ClockCorrected(at=T0 + 400, cause="c", server="h2", first=right, ahead_s=1.0, proof=""))
    world.tells("h2", f"user-{BOB}", logged_off("bob", T0 + 500))
    assert world.reader.moments.doubts() == [Doubt("h2", accepted, accepted, 1, accepted=True)]
    assert [world.at(T0 + moment)["bob"] for moment in (299, 301, 501)] == ["online", "online", "offline"]
    rows = world.reader.log.page(AuditFilter(source="h2", since=T0 + 250), None, 10, "oldest").rows
    assert [(row.time - T0, row.told) for row in rows] == [(300, None), (400, None), (500, None), (40 * 86_400, None)]


def test_what_still_runs_backwards_after_a_clock_was_put_right_stays_doubtful(world):
    ahead = T0 + 40 * 86_400
    world.tells("h2", f"user-{BOB}", logged_off("bob", ahead))
    right = world.tells("h2", f"user-{BOB}", logged_in("bob", T0 + 300), logged_off("bob", T0 + 320), logged_in("bob", T0 + 200))
    entries = world.entries
    accepted = world.tells("h2", "clock-h2", ClockCorrected(at=T0 + 400, cause="c", server="h2", first=right, ahead_s=1.0, proof=""))
    assert world.entries == entries + 1
    assert world.reader.moments.doubts() == [
        Doubt("h2", right + 2, right + 2, 1, accepted=False),
        Doubt("h2", accepted, accepted, 1, accepted=True),
    ]
    assert [row.told for row in world.reader.log.page(AuditFilter(source="h2", since=T0 + 320), None, 2, "oldest").rows] == [None, T0 + 200]
    assert ["bob" in world.at(T0 + moment)["online"] for moment in (99, 319, 321)] == [False, True, True]
    assert world.at(T0 + 320)["bob"] == "online", "the login came after the logoff, whatever its own time says"
    last = world.tells("h2", f"user-{BOB}", logged_off("bob", T0 + 310))
    assert Doubt("h2", right + 2, last, 2, accepted=False) in world.reader.moments.doubts(), "what was put right is the measure now"


@pytest.mark.parametrize(("stream", "first"), [("clock-h1", None), ("clock-h2", "soon"), ("user-2", None)])
def test_no_clock_is_put_right_by_another_server_or_from_nowhere(world, stream, first):
    world.tells("h2", f"user-{BOB}", logged_off("bob", T0 + 40 * 86_400))
    right = world.tells("h2", f"user-{BOB}", logged_in("bob", T0 + 300))
    correction = ClockCorrected(at=T0 + 400, cause="c", server="h2", first=right if first is None else first, ahead_s=1.0, proof="")
    refused = world.tells("h2", stream, correction)
    last = world.tells("h2", f"user-{BOB}", logged_off("bob", T0 + 500))
    assert Doubt("h2", right, last, 3, accepted=False) in world.reader.moments.doubts()
    assert last == refused + 1


def test_a_home_speaks_only_for_those_who_live_there(world):
    """The version of a stream is taken twice then, and neither the earlier nor the later one hides the other."""
    forged = world.tells("h1", f"user-{BOB}", UserAdopted(at=T0 + 120, cause="x", handle="bob", name=""))
    world.tells("h1", f"user-{BOB}", logged_off("bob", T0 + 121), logged_off("bob", T0 + 122), logged_off("bob", T0 + 123))
    assert world.at(T0 + 200) == THEN
    assert world.reader.moments.person(BOB) == (BOB, "bob", "h2")
    world.tells("h2", f"user-{BOB}", logged_off("bob", T0 + 300))
    assert world.at(T0 + 301)["bob"] == "offline"
    assert world.at(T0 + 200) == THEN
    rows = world.reader.log.page(AuditFilter(user=BOB, source="h1"), None, 10, "oldest").rows
    assert [row.position for row in rows] == [forged, forged + 1, forged + 2, forged + 3]
    assert all(row.foreign for row in rows)
    for source in ("h2", GLOBAL):
        assert not any(row.foreign for row in world.reader.log.page(AuditFilter(source=source), None, 10, "oldest").rows)


def test_only_the_global_server_says_where_people_live(world):
    world.tells("h1", f"account-{BOB}", registered(BOB, "mallory", "h1"))
    assert world.reader.moments.person(BOB) == (BOB, "bob", "h2")
    assert world.at(T0 + 200) == THEN


def test_who_spoke_first_for_a_user_is_not_believed_once_the_global_server_has_spoken(world):
    """A home could publish a future user's stream before that user registers, checkpoints included."""
    carol = 3
    adopted = UserAdopted(at=T0 + 120, cause="x", handle="carol", name="")
    world.tells("h1", f"user-{carol}", adopted, logged_in("carol", T0 + 121), added(ANN, "ann", "h1", T0 + 121))
    world.tells("h1", f"mailbox-{carol}", queued(1, T0 + 122), queued(2, T0 + 122))
    world.tells(GLOBAL, f"account-{carol}", registered(carol, "carol", "h2"))
    world.tells("h2", f"user-{carol}", adopted)
    state = world.reader.moments.state(carol, T0 + 200)
    assert (state.person.home, state.user.sessions, state.user.contacts, state.complete) == ("h2", {}, {}, True)
    assert [online.person.handle for online in world.reader.moments.online(T0 + 200)] == ["ann", "bob"]
    world.tells("h2", f"user-{carol}", added(BOB, "bob", "h2", T0 + 210), added(ANN, "ann", "h1", T0 + 211))
    world.tells("h2", f"mailbox-{carol}", queued(5, T0 + 212), queued(6, T0 + 213))
    state = world.reader.moments.state(carol, T0 + 220)
    assert (state.user.sessions, list(state.user.contacts), list(state.mailbox.waiting)) == ({}, [BOB, ANN], [5, 6])


def test_what_a_home_says_of_its_own_counts_until_the_global_server_has_spoken(world):
    carol = 3
    for handle in ("carol", "caroline"):
        world.tells("h2", f"user-{carol}", UserAdopted(at=T0 + 120, cause="x", handle=handle, name=""))
        assert world.reader.moments.person(carol) == (carol, handle, "h2")
    for home in ("h2", "h1"):
        world.tells(GLOBAL, f"account-{carol}", registered(carol, "carol", home))
        world.tells("h2", f"user-{carol}", UserAdopted(at=T0 + 130, cause="x", handle="caroline", name=""))
        assert world.reader.moments.person(carol) == (carol, "carol", home)


def test_every_home_notes_that_somebody_left_and_only_their_own_counts(world):
    world.tells("h1", f"user-{BOB}", UserClosed(at=T0 + 130, cause="e", resident=False))
    assert world.at(T0 + 200) == THEN
    (row,) = world.reader.log.page(AuditFilter(user=BOB, source="h1"), None, 10, "oldest").rows
    assert not row.foreign


def test_the_time_that_counts_is_the_one_under_the_seal(world):
    world.tells("h2", f"user-{BOB}", logged_off("bob", T0 + 300), time=T0 - 365 * 86_400)
    assert world.at(T0 + 200) == THEN
    (row,) = world.reader.log.page(AuditFilter(source="h2"), None, 1, "newest").rows
    assert (row.time, row.told) == (T0 + 300, None)


def test_an_event_without_a_time_of_its_own_has_that_of_its_envelope():
    clocks = Clocks()
    assert [clocks.moment("h1", time) for time in (100.0, 70.0, 69.0, 101.0)] == [100.0, 70.0, 100.0, 101.0]
    assert clocks.moment("h2", 1.0) == 1.0
