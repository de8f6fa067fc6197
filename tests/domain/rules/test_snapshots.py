"""A snapshot holds the whole state, and says of each personal value whose it is."""

import pytest
from msgspec.structs import replace

from domain.event import in_stream, stored_fields
from domain.events.home import ContactChanged, MailboxClosed, MessageDone, UserClosed
from domain.mailbox.state import DONE, WaitingMessage
from domain.personal import Personal
from domain.rules.home import rules_for
from domain.user.commands import HaveSent
from domain.user.decide import have_sent
from tests.domain.home_stories import (
    ADOPTED,
    ANN,
    BOB,
    BOB_WATCHES,
    NOW,
    WHEN,
    chose,
    contact_added,
    given,
    logged_in,
    message_sent,
    queued,
    receipt,
)
from tests.support.snapshots import restored, through_msgpack

USER = [ADOPTED, contact_added(), BOB_WATCHES, logged_in("s1"), chose("away", note="lunch", until=NOW + 60), message_sent("m1")]
MAILBOX = [queued(1, "m1"), receipt(2), queued(3, "m2"), MessageDone(id="m2", uid=BOB, home="h2", **WHEN)]


def before_and_after(stream, history):
    state = given(history).state(stream)
    return state, restored(rules_for("h1").new_state(stream), state)


def test_a_user_is_restored_whole():
    state, loaded = before_and_after("user-1", USER)
    assert loaded == state
    assert (state.contacters, state.sent.get("m1"), state.since, state.until) == ({BOB: "h2"}, [NOW, BOB], NOW, NOW + 60)


def test_a_snapshot_that_holds_the_ids_of_messages_is_read():
    """As versions until 30 November 2026 wrote them."""
    state, loaded = given(USER).state("user-1"), rules_for("h1").new_state("user-1")
    loaded.from_snapshot(through_msgpack(state.to_snapshot()) | {"sent": {"m1": [NOW, BOB]}})
    assert loaded.sent == state.sent


def test_a_snapshot_that_does_not_say_for_whom_a_message_was_is_read():
    state, loaded = given(USER).state("user-1"), rules_for("h1").new_state("user-1")
    loaded.from_snapshot(through_msgpack(state.to_snapshot()) | {"sent": {"m1": NOW}})
    assert loaded.sent.get("m1") == [NOW, 0]
    assert have_sent(loaded, HaveSent(uid=ANN, cause="c", id="m1", to=BOB), NOW) == []


def test_a_mailbox_is_restored_whole():
    state, loaded = before_and_after("mailbox-1", MAILBOX)
    assert loaded == state
    assert (state.messages, state.homes) == (2, ["h2"])
    assert [state.open.get(id) for id in ("m1", "m2")] == [[BOB, 0], [BOB, DONE]]


def test_who_left_has_left_after_a_restart_as_well():
    for stream, history in (("user-1", [*USER, UserClosed(resident=True, **WHEN)]), ("mailbox-1", [*MAILBOX, MailboxClosed(**WHEN)])):
        state, loaded = before_and_after(stream, history)
        assert loaded == state
        assert loaded.closed


def test_a_mailbox_whose_snapshot_is_older_than_closing_is_open():
    state = given(MAILBOX).state("mailbox-1")
    stored = {name: value for name, value in through_msgpack(state.to_snapshot()).items() if name != "closed"}
    loaded = rules_for("h1").new_state("mailbox-1")
    loaded.from_snapshot(stored)
    assert loaded.closed is False


@pytest.mark.parametrize("stream", ["user-", "user-ann", "mailbox-", "mailbox-ann"])
def test_a_stream_that_no_user_can_have_has_no_state(stream):
    with pytest.raises(ValueError):
        rules_for("h1").new_state(stream)


def test_a_users_words_are_their_own_and_a_contacts_name_is_the_contacts():
    snapshot = given(USER, ContactChanged(uid=BOB, alias="Bobby", notify=False, **WHEN)).state("user-1").to_snapshot()
    assert (snapshot["name"], snapshot["note"]) == (Personal(ANN, "Ann Lee"), Personal(ANN, "lunch"))
    assert snapshot["contacts"] == [[BOB, "bob", Personal(BOB, "Bob"), "h2", Personal(ANN, "Bobby"), False]]


def test_a_text_that_waits_is_in_no_state_and_each_sender_has_a_mark_that_goes_with_their_key():
    state, loaded = before_and_after("mailbox-1", MAILBOX)
    stored = state.to_snapshot()
    assert stored["senders"] == [[BOB, Personal(BOB, True)]]
    assert "hi" not in repr(stored)
    assert "Bob" not in repr(stored)
    assert [w.erased for w in loaded.waiting.values() if isinstance(w, WaitingMessage)] == [False, False]
    erased = rules_for("h1").new_state("mailbox-1")
    erased.from_snapshot(through_msgpack(stored) | {"senders": [[BOB, False]]})
    assert [w.erased for w in erased.waiting.values() if isinstance(w, WaitingMessage)] == [True, True]


def of_79ccbf3(event, message):
    """How a snapshot of that version held an event that waited, as it is after decryption."""
    return [message, {**stored_fields(event), "originator_id": "mailbox-1", "originator_version": event.originator_version}]


def test_a_snapshot_with_the_waiting_events_in_it_is_read():
    """As 79ccbf3 wrote them: text and name inside, and no place in the log."""
    state = given(MAILBOX).state("mailbox-1")
    one, two, three = in_stream(MAILBOX[:3], "mailbox-1", 0)
    stored = through_msgpack({
        "last_seq": 3, "messages": 2, "closed": False,
        "waiting": [of_79ccbf3(one, True), of_79ccbf3(two, False), of_79ccbf3(replace(three, text=""), True)],
        "open": [["m1", BOB, "h2", False], ["m2", BOB, "", True]],
    })  # fmt: skip
    loaded = rules_for("h1").new_state("mailbox-1")
    loaded.from_snapshot(stored)
    assert loaded.unplaced == 1
    assert loaded.waiting == state.waiting | {3: replace(state.waiting[3], erased=True)}
    assert (loaded.last_seq, loaded.messages, loaded.open) == (state.last_seq, state.messages, state.open)
