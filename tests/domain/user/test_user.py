"""What a user may do at home: sessions, status, contacts, sending."""

import pytest
from msgspec import structs

from domain.errors import Invalid, NotAContact, NotSent, TooLarge, TooManyRequests, Unauthorized, UnknownUser
from domain.events.home import ContactChanged, ContacterAdded, ContacterRemoved, ContactRemoved, RouteProbed, UserAdopted
from domain.user.commands import AddContacter, Adopt, HaveSent, LapseStatus, LookUp, NoteRoute, RemoveContact, RemoveContacter
from domain.user.decide import MAX_CONTACTS, MAX_SESSIONS
from domain.user.state import REMEMBERED_SENDS
from domain.values import LAST_MOMENT, MAX_TEXT_BYTES, MAX_TEXT_CHARS
from tests.domain.given import NOW
from tests.domain.home_stories import (
    ADOPTED,
    BOB,
    BOB_ADDED,
    BOB_WATCHES,
    BOBS_CONTACT,
    WHEN,
    WHO,
    chose,
    contact_added,
    given,
    log_in,
    log_off,
    logged_in,
    logged_off,
    message_sent,
    put_contact,
    send,
    set_status,
)

SOON = NOW + 60


def test_a_user_is_adopted_once():
    adopt = Adopt(handle="ann", name="Ann Lee", **WHO)
    given().when(adopt).then(ADOPTED)
    given(ADOPTED).when(adopt).then_nothing()


def test_a_new_name_is_taken_over():
    given(ADOPTED).when(Adopt(handle="ann", name="Ann Bee", **WHO)).then(UserAdopted(handle="ann", name="Ann Bee", **WHEN))


def test_a_uid_that_is_known_here_is_not_given_to_somebody_else():
    given(ADOPTED).when(Adopt(handle="eve", name="Eve", **WHO)).then_nothing()
    given(ADOPTED).when(Adopt(handle="Ann", name="Ann Lee", **WHO)).then(UserAdopted(handle="Ann", name="Ann Lee", **WHEN))
    given(ADOPTED).when(structs.replace(log_in(), handle="eve")).refuses(Unauthorized)


def test_who_logs_in_before_the_home_heard_of_them_is_adopted_on_the_way():
    adopted = UserAdopted(at=NOW, cause="s1", handle="ann", name="Ann Lee")
    given().when(log_in()).then(adopted, logged_in())


def test_the_first_session_brings_a_user_online_and_the_second_changes_nothing_to_the_outside():
    given(ADOPTED).when(log_in()).then(logged_in(previous="offline"))
    given(ADOPTED, logged_in()).when(log_in("s2")).then(logged_in("s2", previous="online"))


def test_a_user_has_a_limited_number_of_sessions():
    full = [ADOPTED, *(logged_in(f"s{n}") for n in range(MAX_SESSIONS))]
    given(full).when(log_in("one more")).refuses(TooManyRequests)
    given(full, logged_off("s0", status="online")).when(log_in("one more")).then(logged_in("one more", previous="online"))


def test_the_last_session_that_ends_takes_the_user_offline():
    given(ADOPTED, logged_in()).when(log_off(reason="lost")).then(logged_off(reason="lost"))
    given(ADOPTED, logged_in(), logged_in("s2")).when(log_off()).then(logged_off(status="online"))


def test_a_session_ends_once():
    given(ADOPTED, logged_in(), logged_off()).when(log_off()).then_nothing()
    given(ADOPTED).when(log_off("never begun")).then_nothing()


def test_a_client_that_comes_back_replaces_its_dead_session_without_a_gap():
    both = (logged_in("s2", previous="online"), logged_off("s1", status="online", reason="lost", cause="s2"))
    given(ADOPTED, logged_in()).when(log_in("s2", replaces="s1")).then(*both)
    given(ADOPTED, logged_in(), logged_off()).when(log_in("s2", replaces="s1")).then(logged_in("s2"))
    full = [ADOPTED, *(logged_in(f"s{n}") for n in range(MAX_SESSIONS))]
    assert len(given(full).when(log_in("one more", replaces="s7")).events) == 2


def test_a_client_that_comes_back_under_a_new_name_brings_the_name_along():
    history = [UserAdopted(handle="ann", name="Ann Bee", **WHEN), logged_in()]
    adopted = UserAdopted(at=NOW, cause="s2", handle="ann", name="Ann Lee")
    ended = logged_off("s1", status="online", reason="lost", cause="s2")
    given(history).when(log_in("s2", replaces="s1")).then(adopted, logged_in("s2", previous="online"), ended)


def test_a_session_that_ends_beside_another_leaves_the_note():
    history = [ADOPTED, logged_in(), logged_in("s2", previous="online"), chose("away", note="lunch")]
    given(history).when(log_off()).then(logged_off(status="away", previous="away", note="lunch"))


def test_a_chosen_status_and_its_note_outlive_the_session():
    history = [ADOPTED, logged_in(), chose("away", note="lunch")]
    over = logged_off(status="offline", previous="away")
    given(history).when(log_off()).then(over)
    given(history, over).when(log_in("s2")).then(logged_in("s2", status="away", note="lunch"))


def test_a_status_lasts_since_the_moment_at_which_others_saw_it_change():
    first = [ADOPTED, logged_in(at=NOW)]
    both = [*first, logged_in("s2", previous="online", at=NOW + 1)]
    one = [*both, logged_off("s1", status="online", at=NOW + 2)]
    none = [*one, logged_off("s2", at=NOW + 3)]
    assert [given(history).state("user-1").since for history in (first, both, one, none)] == [NOW, NOW, NOW, NOW + 3]


def test_a_session_is_known_by_its_client_until_it_ends():
    assert given(ADOPTED, logged_in("s1")).state("user-1").sessions == {"s1": "tk"}
    assert given(ADOPTED, logged_in("s1"), logged_off("s1")).state("user-1").sessions == {}


def test_what_is_told_of_a_session_or_a_contact_that_is_gone_changes_nothing():
    changed = ContactChanged(uid=BOB, alias="Bobby", notify=True, **WHEN)
    removed = ContactRemoved(uid=BOB, home="h2", **WHEN)
    gone = ContacterRemoved(uid=BOB, home="h2", **WHEN)
    state = given(ADOPTED, logged_off("never begun", status="offline", previous="offline"), changed, removed, gone).state("user-1")
    assert (state.sessions, state.contacts, state.contacters) == ({}, {}, {})


def test_looking_changes_nothing():
    given(ADOPTED, logged_in()).when(LookUp(**WHO)).then_nothing()


def test_a_status_is_chosen():
    given(ADOPTED, logged_in()).when(set_status("dnd", "meeting", SOON)).then(chose("dnd", note="meeting", until=SOON))
    given(ADOPTED, logged_in(), chose("dnd", note="meeting", until=SOON)).when(set_status("dnd", "meeting", SOON)).then_nothing()


def test_a_status_may_be_chosen_offline_and_shows_at_the_next_login():
    given(ADOPTED).when(set_status("away")).then(chose("away", status="offline", previous="offline"))
    given(ADOPTED, chose("away", status="offline", previous="offline")).when(log_in()).then(logged_in(status="away"))


def test_a_status_may_last_until_the_end_of_the_year_9999():
    given(ADOPTED, logged_in()).when(set_status("dnd", until=LAST_MOMENT)).then(chose("dnd", until=LAST_MOMENT))


@pytest.mark.parametrize("until", [NOW, NOW - 1, LAST_MOMENT + 0.5, 253_402_300_800.0])
def test_a_status_ends_after_it_begins_and_before_the_year_10000(until):
    given(ADOPTED, logged_in()).when(set_status("dnd", until=until)).refuses(Invalid, field="until")


def test_a_status_lapses_when_its_time_is_over_and_not_before():
    lapse = LapseStatus(**WHO)
    history = [ADOPTED, logged_in(), chose("dnd", note="meeting", until=SOON)]
    given(history).when(lapse, now=SOON - 1).then_nothing()
    given(history).when(lapse, now=SOON).then(chose("online", previous="dnd", at=SOON))
    given(ADOPTED, logged_in(), chose("away")).when(lapse).then_nothing()


def test_a_status_that_lapsed_while_the_user_was_away_is_gone_at_login():
    history = [ADOPTED, chose("dnd", status="offline", previous="offline", note="meeting", until=SOON)]
    state = given(history, given(history).when(log_in(), now=SOON).then(logged_in(at=SOON)).events).state("user-1")
    assert (state.status, state.note, state.until) == ("online", "", None)


def test_a_status_that_lapsed_unnoticed_lapses_before_the_next_session_begins():
    for chosen in ("online", "dnd"):
        history = [ADOPTED, logged_in(), chose(chosen, note="meeting", until=SOON)]
        over = chose("online", previous=chosen, at=SOON, cause="s2")
        begun = logged_in("s2", previous="online", at=SOON)
        given(history).when(log_in("s2"), now=SOON).then(over, begun)
        ended = logged_off("s1", status="online", reason="lost", at=SOON, cause="s2")
        given(history).when(log_in("s2", replaces="s1"), now=SOON).then(over, begun, ended)


def test_a_note_that_lapses_does_so_although_another_session_began_meanwhile():
    note = chose("online", note="back soon", until=SOON)
    begun = logged_in("s2", previous="online", note="back soon")
    given(ADOPTED, logged_in(), note).when(log_in("s2")).then(begun)
    given(ADOPTED, logged_in(), note, begun).when(LapseStatus(**WHO), now=SOON).then(chose("online", at=SOON))


def test_a_note_that_lapsed_at_login_lapses_once():
    note = chose("online", status="offline", previous="offline", note="back soon", until=SOON)
    given(ADOPTED, note, logged_in(at=SOON)).when(LapseStatus(**WHO), now=SOON + 1).then_nothing()


def test_a_contact_is_added_changed_and_removed():
    given(ADOPTED).when(put_contact()).then(BOB_ADDED)
    given(ADOPTED, BOB_ADDED).when(put_contact()).then_nothing()
    changed = ContactChanged(uid=BOB, alias="Bobby", notify=True, **WHEN)
    given(ADOPTED, BOB_ADDED).when(put_contact(alias="Bobby", notify=True)).then(changed)
    given(ADOPTED, BOB_ADDED, changed).when(put_contact(alias="Bobby", notify=True)).then_nothing()
    given(ADOPTED, BOB_ADDED).when(RemoveContact(contact=BOB, **WHO)).then(ContactRemoved(uid=BOB, home="h2", **WHEN))


def test_a_contact_is_listed_as_it_was_added():
    contact = BOBS_CONTACT._replace(alias="Bobby", notify=True)
    (added,) = given(ADOPTED).when(put_contact(contact)).events
    assert given(ADOPTED, added).state("user-1").contacts == {BOB: contact}


def test_who_is_no_contact_cannot_be_removed():
    given(ADOPTED).when(RemoveContact(contact=BOB, **WHO)).then_nothing()


def test_a_contact_list_is_bounded():
    full = [ADOPTED, *(contact_added(100 + n) for n in range(MAX_CONTACTS))]
    given(full).when(put_contact()).refuses(Invalid, field="uid")
    given(full).when(put_contact(uid=100, alias="x")).then(ContactChanged(uid=100, alias="x", notify=False, **WHEN))


def test_a_change_to_a_contact_that_was_just_removed_adds_nobody_without_a_name():
    given(ADOPTED).when(put_contact(BOBS_CONTACT, handle="", name="")).refuses(UnknownUser, uid=BOB)


def test_a_contacter_is_told_how_things_stand():
    watch = AddContacter(contacter=BOB, home="h2", **WHO)
    given(ADOPTED).when(watch).then(BOB_WATCHES)
    online = ContacterAdded(uid=BOB, home="h2", status="away", since=NOW, note="lunch", name="Ann Lee", **WHEN)
    given(ADOPTED, logged_in(at=NOW - 5), chose("away", note="lunch")).when(watch).then(online)


def test_a_contacter_is_not_told_the_note_of_a_user_who_is_offline():
    history = [ADOPTED, chose("away", status="offline", previous="offline", note="lunch")]
    given(history).when(AddContacter(contacter=BOB, home="h2", **WHO)).then(BOB_WATCHES)


def test_a_contacter_leaves_once():
    leave = RemoveContacter(contacter=BOB, **WHO)
    gone = ContacterRemoved(uid=BOB, home="h2", **WHEN)
    given(ADOPTED, BOB_WATCHES).when(leave).then(gone)
    given(ADOPTED, BOB_WATCHES, gone).when(leave).then_nothing()


def test_a_popup_for_a_contact_is_accepted():
    given(ADOPTED, BOB_ADDED).when(send()).then(message_sent())
    given(ADOPTED, BOB_ADDED).when(send(in_reply_to="m0")).then(message_sent(in_reply_to="m0"))


def test_a_repeated_id_changes_nothing_whatever_it_says():
    given(ADOPTED, BOB_ADDED, message_sent()).when(send(text="something else")).then_nothing()
    given(ADOPTED, message_sent()).when(send(to=99)).then_nothing()


def test_an_id_is_recognised_among_many_later_ones():
    history = [ADOPTED, BOB_ADDED, *(message_sent(f"m{n}") for n in range(REMEMBERED_SENDS))]
    given(history).when(send("m0")).then_nothing()
    given(history, message_sent("late")).when(send("m0")).then(message_sent("m0"))


def have_sent(id="m1", to=BOB):
    return HaveSent(id=id, to=to, **WHO)


def test_news_must_fit_a_popup_that_was_sent_to_whoever_tells_it():
    given(ADOPTED, BOB_ADDED, message_sent("m1")).when(have_sent()).then_nothing()
    given(ADOPTED, BOB_ADDED, message_sent("m1")).when(have_sent(to=3)).refuses(NotSent, id="m1")
    given(ADOPTED, BOB_ADDED, message_sent("m1")).when(have_sent("m2")).refuses(NotSent, id="m2")


def test_news_of_a_popup_is_believed_when_too_many_were_sent_since_to_remember_it():
    history = [ADOPTED, BOB_ADDED, *(message_sent(f"m{n}") for n in range(REMEMBERED_SENDS))]
    given(history, message_sent("late")).when(have_sent("m0")).then_nothing()
    given(history, message_sent("late")).when(have_sent("m1", to=3)).refuses(NotSent)


def test_nobody_can_send_to_one_who_is_not_a_contact():
    given(ADOPTED).when(send()).refuses(NotAContact, uid=BOB)
    given(ADOPTED, BOB_ADDED, ContactRemoved(uid=BOB, home="h2", **WHEN)).when(send()).refuses(NotAContact)


@pytest.mark.parametrize("text", ["x" * MAX_TEXT_CHARS, "\U0001f600" * MAX_TEXT_CHARS, "\x00"])
def test_a_text_may_be_this_long(text):
    assert len(text.encode()) <= MAX_TEXT_BYTES
    given(ADOPTED, BOB_ADDED).when(send(text=text)).then(message_sent(text=text))


def test_a_text_must_not_be_longer():
    given(ADOPTED, BOB_ADDED).when(send(text="x" * (MAX_TEXT_CHARS + 1))).refuses(TooLarge, field="text")


@pytest.mark.parametrize("why", [None, "no_answer"])
def test_whether_a_session_is_behind_a_firewall_is_stored_while_it_lasts(why):
    note = NoteRoute(session="s1", why=why, **WHO)
    given(ADOPTED, logged_in("s1")).when(note).then(RouteProbed(session="s1", behind_firewall=why is not None, why=why, **WHEN))
    given(ADOPTED, logged_in("s2")).when(note).then_nothing()
