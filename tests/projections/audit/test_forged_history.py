"""What somebody with write access to one log, or to the history, cannot change in the audit's answers about the past. On 79ccbf3 each of
these changed one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from broker.envelope import EventRecord
from domain.event import Event, in_stream, stored_fields
from domain.events.global_server import UserRegistered
from domain.events.home import ContactAdded, LoggedIn, LoggedOff, UserAdopted, UserClosed
from domain.events.integrity import ClockCorrected
from domain.registry.registered_home import GLOBAL
from projections.audit.clocks import SKEW_S, Clocks
from projections.audit.feeding import Feeder, Message
from projections.audit.reader import Reader
from projections.audit.rows import AuditFilter, Doubt
from servers.audit.decoder import HistoryDecoder

T0 = 1_700_000_000.0
ANN, BOB = 1, 2


class World:
    """Two homes and the Global Server, whose logs a test writes by hand: Ann lives at h1 and Bob, her contact, at h2. At `T0` + 100 both
    are online."""

    def __init__(self, path: Path) -> None:
        self._feeder = Feeder(path, HistoryDecoder().decode, clock=lambda: T0, checkpoint_every=2)
        self._offset = 0
        self._versions: dict[tuple[str, str], int] = {}
        self._positions: dict[str, int] = {}
        for uid, handle, home in ((ANN, "ann", "h1"), (BOB, "bob", "h2")):
            self.tells(GLOBAL, f"account-{uid}", registered(uid, handle, home))
            self.tells(home, f"user-{uid}", UserAdopted(at=T0 + 1, cause="r", handle=handle, name=""), logged_in(handle, T0 + 100))
        self.tells("h1", f"user-{ANN}", added(BOB, "bob", "h1", T0 + 110))
        self.reader = Reader(path, HistoryDecoder().decode)

    def tells(self, source: str, stream: str, *events: Event, time: float | None = None) -> int:
        """One message of the history, with another `time` outside the stored bytes if one is given. Returns the position of its first."""
        first, version = self._positions.get(source, 0) + 1, self._versions.get((source, stream), 0)
        records = [
            EventRecord(first + number, stream, each.originator_version, each.TOPIC, time or each.at, msgpack.packb(stored_fields(each)))
            for number, each in enumerate(in_stream(events, stream, version))
        ]
        self._positions[source] = first + len(events) - 1
        self._versions[source, stream] = version + len(events)
        self._feeder.feed([Message(self._offset, source, records, b"")])
        self._offset += 1
        return first

    def at(self, moment: float) -> dict[str, Any]:
        """What the audit says of a moment."""
        moments = self.reader.moments
        return {
            "online": [online.person.handle for online in moments.online(moment)],
            "sessions": {uid: sorted(moments.state(uid, moment).user.sessions) for uid in (ANN, BOB)},
            "window": [(shown.handle, shown.status) for shown in moments.window(ANN, moment)],
            "bob": moments.presence(BOB, moment).status,
        }


def registered(uid: int, handle: str, home: str) -> UserRegistered:
    return UserRegistered(at=T0, cause="r", uid=uid, handle=handle, home=home, profile={})


def logged_in(handle: str, at: float) -> LoggedIn:
    more = {"handle": handle, "name": "", "note": "", "client": "test"}
    return LoggedIn(at=at, cause="l", session=handle, status="online", previous="offline", **more)


def logged_off(handle: str, at: float) -> LoggedOff:
    return LoggedOff(at=at, cause="l", session=handle, reason="logoff", handle=handle, status="offline", previous="online", note="")


def added(uid: int, handle: str, home: str, at: float) -> ContactAdded:
    return ContactAdded(at=at, cause="a", uid=uid, handle=handle, name="", home=home, alias=None, notify=False)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "audit.db")
    yield world
    world.reader.close()


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
    assert not any(row.foreign for row in world.reader.log.page(AuditFilter(source="h2"), None, 10, "oldest").rows)


def test_only_the_global_server_says_where_people_live(world):
    world.tells("h1", f"account-{BOB}", registered(BOB, "mallory", "h1"))
    assert world.reader.moments.person(BOB) == (BOB, "bob", "h2")
    assert world.at(T0 + 200) == THEN


def test_who_spoke_first_for_a_user_is_not_believed_once_the_global_server_has_spoken(world):
    """A home could publish a future user's stream before that user registers, checkpoints included."""
    carol = 3
    adopted = UserAdopted(at=T0 + 120, cause="x", handle="carol", name="")
    world.tells("h1", f"user-{carol}", adopted, logged_in("carol", T0 + 121), added(ANN, "ann", "h1", T0 + 121))
    world.tells(GLOBAL, f"account-{carol}", registered(carol, "carol", "h2"))
    world.tells("h2", f"user-{carol}", adopted)
    state = world.reader.moments.state(carol, T0 + 200)
    assert (state.person.home, state.user.sessions, state.user.contacts, state.complete) == ("h2", {}, {}, True)
    assert [online.person.handle for online in world.reader.moments.online(T0 + 200)] == ["ann", "bob"]


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
