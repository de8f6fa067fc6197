"""Who is online: what an index of presence knows after each event, and what contacters are told."""

import pytest

from domain.event import in_stream
from domain.events.home import ContacterAdded, UserClosed
from projections.server.presence import NEVER, Change, Presence, PresenceIndex, told_to_contacter
from tests.domain.given import NOW
from tests.domain.home_stories import ANN, BOB, WHEN, chose, contact_added, logged_in, logged_off
from tests.support.snapshots import through_msgpack

LATER = NOW + 60


def folded(*events, uid=ANN):
    """An index of one user's events, and what each of them told contacters."""
    index = PresenceIndex()
    told = [index.apply(event.originator_version, event) for event in in_stream(events, f"user-{uid}", 0)]
    return index, told


def change(status, why, since=NOW, note=""):
    return Change(ANN, status, since, note, why)


def test_the_first_login_is_told_and_a_second_is_not():
    index, told = folded(logged_in("s1"), logged_in("s2", previous="online", at=LATER))
    assert told == [change("online", "login"), None]
    assert index.of(ANN) == Presence(2, "online", NOW, "", "Ann Lee")
    assert index.sessions == {ANN: ("s1", "s2")}


def test_the_last_logoff_is_told_and_the_one_before_is_not():
    index, told = folded(logged_in("s1"), logged_in("s2", previous="online"), logged_off("s1", status="online"), logged_off("s2", at=LATER))
    assert told[2:] == [None, change("offline", "logoff", since=LATER)]
    assert (index.of(ANN).status, index.sessions) == ("offline", {})


@pytest.mark.parametrize(("reason", "told"), [("lost", "lost"), ("timeout", "timeout"), ("restart", "lost"), ("closed", "logoff")])
def test_why_somebody_is_offline_in_the_words_of_contacters(reason, told):
    assert folded(logged_in(), logged_off(reason=reason))[1][1].reason == told


def test_a_status_and_its_note_are_told_also_when_only_the_note_is_new():
    index, told = folded(logged_in(), chose("away", note="lunch", at=LATER), chose("away", previous="away", note="tea", at=LATER + 1))
    assert told[1:] == [change("away", "status", LATER, "lunch"), change("away", "status", LATER, "tea")]
    assert index.of(ANN) == Presence(3, "away", LATER, "tea", "Ann Lee")


def test_a_note_is_not_shown_while_offline():
    index, told = folded(logged_in(), logged_off(), chose("away", status="offline", previous="offline", note="secret"))
    assert (index.of(ANN).note, told[2].note) == ("", "")


def test_a_status_lapses_at_its_time_and_the_next_choice_replaces_it():
    assert folded(logged_in(), chose("away", until=LATER))[0].lapses == {ANN: LATER}
    assert folded(logged_in(), chose("away", until=LATER), chose("dnd", previous="away"))[0].lapses == {}


@pytest.mark.parametrize(("at", "left"), [(LATER - 1, {ANN: LATER}), (LATER, {}), (LATER + 1, {})])
def test_a_session_that_begins_after_the_time_ends_the_lapse(at, left):
    assert folded(chose("away", status="offline", previous="offline", until=LATER), logged_in(at=at))[0].lapses == left


def test_nothing_that_a_user_wrote_is_kept_when_the_account_is_closed():
    index, told = folded(logged_in(note="hi"), chose("away", note="lunch", until=LATER), UserClosed(resident=True, **WHEN))
    assert (index.of(ANN)[1:], index.lapses, told[2]) == (("away", NOW, "", ""), {}, None)
    index = PresenceIndex()
    index.learn(ANN, Presence(3, "online", NOW, "note", "Ann"))
    index.apply(1, in_stream([UserClosed(resident=False, **WHEN)], f"user-{ANN}", 0)[0])
    assert index.of(ANN) == Presence(3, "online", NOW, "", "")


def test_other_events_move_the_position_only():
    index, told = folded(contact_added())
    assert (index.position, index.of(ANN), told) == (1, NEVER, [None])


def test_a_repeat_changes_nothing():
    index, _ = folded(logged_in(), logged_off())
    (again,) = in_stream([logged_in("s9")], f"user-{ANN}", 1)
    assert index.apply(2, again) is None
    assert (index.position, index.sessions) == (2, {})


def test_another_home_tells_of_its_own_users_and_the_newest_version_wins():
    index = PresenceIndex()
    online, offline = in_stream([logged_in(), logged_off(at=LATER)], f"user-{ANN}", 4)
    assert index.hear(offline) == change("offline", "logoff", since=LATER)
    assert index.hear(online) is None
    assert index.of(ANN).version == 6
    assert (index.position, index.users, index.sessions) == (0, {}, {})


def test_a_snapshot_of_another_home_is_news_unless_it_is_older_or_the_same():
    index, known = PresenceIndex(), Presence(5, "away", NOW, "tea", "Ann")
    assert index.learn(ANN, known) == change("away", "snapshot", note="tea")
    assert index.learn(ANN, known) is None
    assert index.learn(ANN, known._replace(version=4, status="online")) is None
    assert index.learn(ANN, known._replace(status="online")) == change("online", "snapshot", note="tea")
    assert index.of(ANN).status == "online"
    index.forget(ANN)
    assert index.of(ANN) == NEVER
    index.forget(ANN)


def test_what_the_home_of_a_new_contacter_is_told():
    (added,) = in_stream([ContacterAdded(uid=BOB, home="h2", status="away", since=NOW, note="tea", name="Ann", **WHEN)], "user-1", 6)
    assert told_to_contacter(added) == Presence(7, "away", NOW, "tea", "Ann")


def test_a_checkpoint_is_the_index_without_the_reports_of_others():
    index, _ = folded(logged_in("s1"), logged_in("s2", previous="online"), chose("away", until=LATER, note="tea"))
    index.learn(BOB, Presence(1, "online", NOW, "", "Bob"))
    loaded = PresenceIndex()
    assert loaded.from_checkpoint(through_msgpack(index.to_checkpoint()))
    assert vars(loaded) == vars(index) | {"reported": {}}
