"""Whom a home must tell: the index of contacters, event by event."""

from domain.event import in_stream
from domain.events.home import ContactChanged, ContacterRemoved, ContactRemoved
from projections.server.contacters import ContacterIndex
from tests.domain.home_stories import ANN, BOB, BOB_WATCHES, WHEN, contact_added, logged_in
from tests.support.snapshots import through_msgpack

CAROL = 3
NOTIFY = ContactChanged(uid=BOB, alias=None, notify=True, **WHEN)
REMOVED = ContactRemoved(uid=BOB, home="h2", **WHEN)
BOB_GONE = ContacterRemoved(uid=BOB, home="h2", **WHEN)


def folded(*stories):
    """`stories`: (uid, events of that user), in the order of the log."""
    index = ContacterIndex()
    for uid, *events in stories:
        for event in in_stream(events, f"user-{uid}", 0):
            index.apply(index.position + 1, event)
    return index


def test_who_watches_a_user_and_where_that_user_lives():
    index = folded((ANN, contact_added()), (CAROL, contact_added()))
    assert index.watchers == {BOB: {ANN: False, CAROL: False}}
    assert index.home_of == {BOB: "h2"}
    assert (index.watched_at("h2"), index.watched_at("h1")) == ([BOB], [])


def test_a_contact_of_whom_a_popup_is_wanted():
    assert folded((ANN, contact_added(), NOTIFY)).watchers == {BOB: {ANN: True}}


def test_a_change_of_somebody_who_is_no_contact_is_nothing():
    assert folded((ANN, NOTIFY)).watchers == {}
    assert folded((ANN, contact_added()), (CAROL, NOTIFY)).watchers == {BOB: {ANN: False}}


def test_nobody_is_listed_any_more_when_the_last_watcher_goes():
    index = folded((ANN, contact_added()), (CAROL, contact_added()), (CAROL, REMOVED))
    assert (index.watchers, index.home_of) == ({BOB: {ANN: False}}, {BOB: "h2"})
    index = folded((ANN, contact_added(), REMOVED))
    assert (index.watchers, index.home_of) == ({}, {})
    assert folded((ANN, REMOVED)).watchers == {}


def test_the_homes_that_must_be_told_of_a_local_user():
    index = folded((ANN, BOB_WATCHES))
    assert (index.contacters, index.homes_watching(ANN), index.homes_watching(BOB)) == ({ANN: {BOB: "h2"}}, {"h2"}, set())
    assert folded((ANN, BOB_WATCHES, BOB_GONE)).contacters == {}
    assert folded((ANN, BOB_GONE)).contacters == {}
    assert folded((ANN, BOB_WATCHES), (CAROL, BOB_WATCHES), (CAROL, BOB_GONE)).contacters == {ANN: {BOB: "h2"}}


def test_how_many_contacts_a_user_has():
    assert folded((ANN, contact_added(), contact_added()), (CAROL, contact_added())).contacts == {ANN: 1, CAROL: 1}
    index = folded((ANN, contact_added(), REMOVED), (CAROL, REMOVED))
    assert index.contacts == {}
    loaded = ContacterIndex()
    loaded.from_checkpoint(through_msgpack(folded((ANN, contact_added())).to_checkpoint()))
    assert loaded.contacts == {ANN: 1}, "a checkpoint of before has what it is counted from"


def test_every_event_moves_the_position_and_a_repeat_changes_nothing():
    index = folded((ANN, logged_in(), contact_added()))
    assert index.position == 2
    (again,) = in_stream([NOTIFY], f"user-{ANN}", 2)
    index.apply(2, again)
    assert (index.watchers, index.position) == ({BOB: {ANN: False}}, 2)


def test_a_checkpoint_is_the_index():
    index = folded((ANN, contact_added(), NOTIFY, BOB_WATCHES))
    loaded = ContacterIndex()
    assert loaded.from_checkpoint(through_msgpack(index.to_checkpoint()))
    assert vars(loaded) == vars(index)
