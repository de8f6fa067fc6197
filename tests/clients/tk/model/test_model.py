"""What Ann's windows show, rule by rule. Rule: the popups have a file of their own."""

from dataclasses import replace
from datetime import timedelta

import flash_sdk as sdk
from clients.tk.model import effects as fx
from clients.tk.model import inputs as said
from clients.tk.model.contacts import UNDO_S
from clients.tk.model.values import Account, OwnStatus, Received, Sent, SentState, text_trouble
from tests.clients.tk.model.ann import BOB, CAROL, NOON, Ann, commands, contact


def test_the_connection_line_tells_the_truth() -> None:
    ann = Ann()
    assert ann.model.connection.line(ann.now) == "connecting"
    ann.connects()
    assert ann.model.connection.line(ann.now) == "connected"
    ann.disconnects("silent", 4.0)
    assert ann.model.connection.line(ann.now) == "reconnecting in 4 s: the connection fell silent"
    assert ann.model.connection.line(ann.now + timedelta(seconds=9)) == "reconnecting: the connection fell silent"
    ann.hears(said.SignedOut("Your login has expired: sign in again."))
    assert ann.model.connection.line(ann.now) == "signed out: Your login has expired: sign in again."


def test_the_connection_line_says_so_when_popups_come_by_another_way() -> None:
    ann = Ann()
    ann.disconnects("held", 1.0)
    assert ann.model.connection.line(ann.now) == "reconnecting in 1 s: this network holds the connection back, trying another way"
    ann.connects(how=sdk.Connected("poll"))
    assert ann.model.connection.line(ann.now) == "connected: by asking again and again, this network holds streams back"
    ann.disconnects("better", 1.0)
    ann.connects()
    assert ann.model.connection.line(ann.now) == "connected"


def test_the_connection_line_says_so_when_popups_come_directly() -> None:
    ann = Ann()
    ann.connects(how=sdk.Connected("poll"))
    usual = ann.model.connection.line(ann.now)
    assert ann.hears(sdk.Direct(False, "no_answer")) == []
    assert ann.hears(sdk.Direct(True)) == [fx.ConnectionChanged()]
    assert ann.model.connection.line(ann.now) == "connected: popups come directly"
    ann.hears(sdk.Direct(False, "lost"))
    assert ann.model.connection.line(ann.now) == usual
    ann.hears(sdk.Direct(True))
    ann.disconnects("lost", 4.0)
    assert ann.hears(sdk.Direct(True)) == []
    assert ann.model.connection.line(ann.now) == "reconnecting in 4 s: the connection was lost"
    ann.connects()
    assert ann.model.connection.line(ann.now) == "connected"


def test_without_a_connection_nobody_is_offline_but_unknown() -> None:
    ann = Ann()
    ann.connects(contact(BOB, "online"), contact(CAROL, "offline"))
    assert [(group.status, len(group.rows)) for group in ann.model.groups()] == [("online", 1), ("offline", 1)]
    assert fx.ContactsChanged() in ann.disconnects()
    assert [(group.status, len(group.rows)) for group in ann.model.groups()] == [("unknown", 2)]
    assert ann.model.row(BOB).since is None


def test_a_contact_of_whom_the_home_says_something_odd_is_shown_as_unknown() -> None:
    ann = Ann()
    ann.connects(contact(BOB, "asleep"))
    assert [(group.status, len(group.rows)) for group in ann.model.groups()] == [("unknown", 1)]


def test_groups_stand_in_order_and_rows_by_title() -> None:
    ann = Ann()
    people = [contact(uid, status) for uid, status in enumerate(("unknown", "offline", "dnd", "away", "online", "online"), start=10)]
    ann.connects(replace(people[0], alias="zoe"), *people[1:5], replace(people[5], alias="Al"))
    assert [group.status for group in ann.model.groups()] == ["online", "away", "dnd", "offline", "unknown"]
    assert [row.title for row in ann.model.groups()[0].rows] == ["Al", "user-14"]


def test_search_as_you_type_takes_the_start_of_any_word() -> None:
    ann = Ann()
    ann.connects(contact(BOB, name="Robert Tables"), contact(CAROL, name="Carol Smith"))
    ann.wants(said.FilterContacts("tab"))
    assert [row.uid for group in ann.model.groups() for row in group.rows] == [BOB]
    ann.wants(said.FilterContacts("smi CAR"))
    assert [row.uid for group in ann.model.groups() for row in group.rows] == [CAROL]
    ann.wants(said.FilterContacts(""))
    assert len(ann.model.groups()[0].rows) == 2


def test_a_stranger_who_writes_stands_last_until_read() -> None:
    ann = Ann()
    ann.connects(contact(BOB, "offline"))
    ann.hears(sdk.Message(1, "x", sdk.Sender(9, "eve", "Eve"), "hello", NOON, None, False))
    assert [group.status for group in ann.model.groups()] == ["offline", "strangers"]
    assert ann.model.row(9).title == "Eve"
    ann.wants(said.MarkRead(9))
    assert [group.status for group in ann.model.groups()] == ["offline"]


def test_writing_to_a_stranger_puts_them_on_the_list_first() -> None:
    ann = Ann()
    ann.connects()
    ann.hears(sdk.Message(1, "x", sdk.Sender(9, "eve", "Eve"), "hello", NOON, None, False))
    asked = commands(ann.wants(said.Write("w", 9, "who are you?")))
    assert [type(command) for command in asked] == [fx.Wish, fx.Post]
    assert ann.model.row(9).listed


def test_a_message_moves_forward_only() -> None:
    ann = Ann()
    ann.wants(said.Write("w", BOB, "hi"))
    seen = [entry_state(ann)]
    for report in (
        said.Saved("w"),
        sdk.Receipt("w", BOB, "delivered", NOON, None),
        said.Accepted("w"),
        sdk.Receipt("w", BOB, "bounced", NOON, "expired"),
        sdk.Receipt("w", BOB, "done", NOON, None),
        sdk.Receipt("w", BOB, "delivered", NOON, None),
    ):
        ann.hears(report)
        seen.append(entry_state(ann))
    kinds = [SentState.SAVING, SentState.WAITING, SentState.DELIVERED, SentState.DELIVERED, SentState.DELIVERED]
    assert seen == [*kinds, SentState.DONE, SentState.DONE]


def entry_state(ann: Ann) -> SentState:
    (entry,) = ann.model.conversation(BOB)
    assert isinstance(entry, Sent)
    return entry.state


def test_a_bounce_says_why() -> None:
    ann = Ann()
    ann.wants(said.Write("w", BOB, "hi"))
    ann.hears(sdk.Receipt("w", BOB, "bounced", NOON, "mailbox_full"))
    (entry,) = ann.model.conversation(BOB)
    assert isinstance(entry, Sent)
    assert (entry.state, entry.why) == (SentState.BOUNCED, "their mailbox is full")
    assert ann.model.outbox == ()


def test_a_receipt_that_comes_after_a_bounce_corrects_it() -> None:
    """Bob's home had the popup, and only its word came too late."""
    ann = Ann()
    ann.wants(said.Write("w", BOB, "hi"))
    ann.hears(sdk.Receipt("w", BOB, "bounced", NOON, "expired"))
    ann.hears(sdk.Receipt("w", BOB, "delivered", NOON, None))
    (entry,) = ann.model.conversation(BOB)
    assert isinstance(entry, Sent)
    assert (entry.state, entry.why) == (SentState.DELIVERED, None)


def test_a_double_click_writes_once_and_nonsense_is_not_written() -> None:
    ann = Ann()
    ann.wants(said.Write("w", BOB, "hi"))
    assert ann.wants(said.Write("w", BOB, "hi")) == []
    assert ann.wants(said.Write("v", BOB, " \n")) == [fx.Say("There is nothing to send yet.")]
    assert "4,096" in text_trouble("x" * 4097)
    assert text_trouble("\N{GRINNING FACE}" * 4096) == ""
    assert len(ann.model.conversation(BOB)) == 1


def test_a_removal_can_be_undone_and_then_cannot() -> None:
    ann = Ann()
    ann.connects(contact(BOB, "online", notify=True))
    (wish,) = [command.wish for command in commands(ann.wants(said.RemoveContact(BOB))) if isinstance(command, fx.Wish)]
    assert (wish.listed, wish.not_before) == (False, NOON + timedelta(seconds=UNDO_S))
    assert ann.model.groups() == ()
    (back,) = [command.wish for command in commands(ann.wants(said.UndoRemoval(BOB))) if isinstance(command, fx.Wish)]
    assert (back.listed, back.notify) == (True, True)
    assert ann.model.groups()[0].rows[0].notify
    assert ann.model.removals == ()
    ann.wants(said.RemoveContact(BOB))
    ann.waits(UNDO_S + 0.1)
    assert ann.model.removals == ()
    assert commands(ann.wants(said.UndoRemoval(BOB))) == []


def test_a_wish_lies_over_what_the_home_tells_until_it_is_answered() -> None:
    ann = Ann()
    ann.connects(contact(BOB, "online"))
    ann.wants(said.ChangeContact(BOB, "Bobby", True))
    wish = ann.model.book.wishes[BOB]
    ann.connects(contact(BOB, "online"))
    assert (ann.model.row(BOB).title, ann.model.row(BOB).saving) == ("Bobby", True)
    ann.hears(said.WishRefused(wish, "it is too long"))
    assert (ann.model.row(BOB).title, ann.model.row(BOB).saving) == ("bob", False)


def test_who_is_added_again_has_todays_presence() -> None:
    ann = Ann()
    ann.connects(contact(BOB, "online"))
    ann.hears(sdk.Contacts((), (BOB,)))
    ann.wants(said.AddContact(BOB, "bob"))
    ann.hears(said.WishGranted(ann.model.book.wishes[BOB], contact(BOB, "offline")))
    assert ann.model.row(BOB).status == "offline"


def test_presence_that_overtakes_the_answer_to_an_addition_is_newer() -> None:
    ann = Ann()
    ann.connects()
    ann.wants(said.AddContact(BOB, "bob"))
    ann.sees(BOB, "away")
    ann.hears(said.WishGranted(ann.model.book.wishes[BOB], contact(BOB, "online")))
    assert ann.model.row(BOB).status == "away"


def test_older_entries_come_before_the_newest() -> None:
    new = Received((BOB, "new"), "bob", "", "new", NOON)
    old = Received((BOB, "old"), "bob", "", "old", NOON, read=True, open=False)
    ann = Ann(said.SignedIn(Account("http://flash", 1, "ann"), entries=(new,), older=frozenset({BOB})))
    assert ann.model.may_have_older(BOB)
    assert not ann.model.may_have_older(CAROL)
    assert commands(ann.wants(said.LoadOlder(BOB))) == [fx.ReadOlder(BOB, new)]
    assert ann.hears(said.OlderLoaded(BOB, (old, new), more=True)) == [fx.ConversationChanged(BOB)]
    assert ann.model.conversation(BOB) == (old, new)
    ann.hears(said.OlderLoaded(BOB, (), more=False))
    assert not ann.model.may_have_older(BOB)
    assert ann.wants(said.LoadOlder(BOB)) == []


def test_only_the_newest_search_is_answered() -> None:
    ann = Ann()
    ann.wants(said.SearchDirectory("smi"), said.SearchDirectory("smith"))
    assert ann.hears(said.DirectoryAnswer("smi")) == []
    assert ann.model.directory.busy
    ann.hears(said.DirectoryAnswer("smith", complete=False))
    assert (ann.model.directory.busy, ann.model.directory.complete) == (False, False)


def test_my_status_is_unsaved_until_the_home_has_it() -> None:
    ann = Ann()
    ann.wants(said.SetStatus("away", "tea"))
    first = ann.model.status
    ann.wants(said.SetStatus("away", "more tea"))
    ann.hears(said.StatusSaved(first))
    assert not ann.model.status.saved
    ann.hears(said.StatusSaved(ann.model.status))
    assert ann.model.status.saved


def test_what_another_session_says_of_me_counts_once_the_home_has_mine() -> None:
    ann = Ann()
    ann.connects()
    ann.hears(sdk.MyStatus("away", "tea"))
    assert ann.model.status == OwnStatus("away", "tea")
    ann.wants(said.SetStatus("dnd"))
    ann.hears(sdk.MyStatus("online"))
    assert ann.model.status == OwnStatus("dnd", saved=False), "mine comes after it at the home"
    ann.hears(sdk.MyStatus("dnd"))
    assert ann.model.status == OwnStatus("dnd")
    ann.hears(sdk.MyStatus("online"), said.StatusSaved(OwnStatus("dnd")), sdk.MyStatus("in a tunnel"))
    assert ann.model.status == OwnStatus("online"), "the answer to mine is older, and a word from the future is none"


def test_do_not_disturb_from_elsewhere_holds_popups_and_gives_them_back() -> None:
    ann = Ann()
    ann.connects(contact(BOB, "online"), status=sdk.MyStatus("dnd", "", NOON + timedelta(minutes=1)))
    ann.gets("m1")
    assert ann.screen == []
    ann.hears(sdk.MyStatus("online"))
    assert ann.screen == ["m1"]
    ann.hears(sdk.MyStatus("dnd", "", NOON - timedelta(minutes=1)))
    assert not ann.model.dnd(ann.now), "its time was over before it came"


def test_a_refused_sign_in_says_so_and_may_be_tried_again() -> None:
    ann = Ann()
    ann.hears(said.SignedOut())
    ann.wants(said.SignIn("http://flash", "ann", "wrong"))
    assert ann.model.sign_in.busy
    assert ann.wants(said.SignIn("http://flash", "ann", "wrong")) == []
    ann.hears(said.SignedOut("Handle or password is wrong.", "http://flash", "ann"))
    assert (ann.model.sign_in.busy, ann.model.sign_in.error) == (False, "Handle or password is wrong.")
