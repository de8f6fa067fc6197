"""Which popups Ann sees. Rule: each test is one rule of `model_popups`."""

from datetime import timedelta

import flash_sdk as sdk
from clients.tk.model import effects as fx
from clients.tk.model import inputs as said
from clients.tk.model.popups import FEW, FULL, ONLINE_FULL, QUIET_S
from clients.tk.model.values import Account, Received
from tests.clients.tk.model.ann import BOB, CAROL, NOON, Ann, commands, contact, hidden, rings, shown


def online() -> Ann:
    ann = Ann()
    ann.connects(contact(BOB, "online"))
    return ann


def waiting(*ids: str, urgent: bool = False) -> said.SignedIn:
    """A start with messages on disk that no popup has shown."""
    entries = tuple(Received((BOB, id), "bob", "Bob", "hi", NOON, urgent=urgent) for id in ids)
    return said.SignedIn(Account("http://flash", 1, "ann"), entries=entries, unshown=frozenset(entry.key for entry in entries))


def test_a_message_pops_up_at_once_and_never_again() -> None:
    ann = online()
    assert shown(ann.gets("a")) == ["message:2:a"]
    assert ann.gets("a") == []
    ann.disconnects()
    ann.connects(contact(BOB), count=1)
    assert shown(ann.gets("a")) == []
    assert ann.screen == ["a"]


def test_done_here_or_elsewhere_closes_it() -> None:
    ann = online()
    ann.gets("a")
    ann.gets("b")
    effects = ann.wants(said.CloseMessage((BOB, "a")))
    assert hidden(effects) == ["message:2:a"]
    assert commands(effects) == [fx.MarkDone((BOB, "a"), tell=True)]
    assert ann.wants(said.CloseMessage((BOB, "a"))) == []
    effects = ann.hears(sdk.Done("b"))
    assert hidden(effects) == ["message:2:b"]
    assert commands(effects) == [fx.MarkDone((BOB, "b"), tell=False)]
    assert ann.model.unread == 0


def test_done_that_comes_before_its_message_keeps_it_closed() -> None:
    ann = online()
    ann.hears(sdk.Done("a"))
    effects = ann.gets("a")
    assert shown(effects) == []
    assert commands(effects) == [fx.MarkDone((BOB, "a"), tell=False)]
    assert ann.model.inbox == ()


def test_a_reply_closes_what_it_answers_and_carries_its_id() -> None:
    ann = online()
    ann.gets("a")
    effects = ann.wants(said.Write("r", BOB, "yes", answers=(BOB, "a")))
    assert hidden(effects) == ["message:2:a"]
    assert [command.sent.in_reply_to for command in commands(effects) if isinstance(command, fx.Post)] == ["a"]


def test_later_leaves_it_in_the_inbox() -> None:
    ann = online()
    ann.gets("a")
    assert hidden(ann.wants(said.ClosePopup("message:2:a"))) == ["message:2:a"]
    assert [entry.id for entry in ann.model.inbox] == ["a"]
    assert ann.model.unread == 1


def test_under_do_not_disturb_only_urgent_ones_show_and_the_rest_waits() -> None:
    ann = online()
    ann.wants(said.SetStatus("dnd", until=ann.now + timedelta(minutes=10)))
    assert shown(ann.gets("a")) == []
    effects = ann.gets("b", urgent=True)
    assert shown(effects) == ["message:2:b"]
    assert rings(effects) == 1
    assert len(ann.model.inbox) == 2
    ann.waits(601)
    assert ann.model.status.status == "online"
    assert ann.screen == ["b", "a"]


def test_many_that_waited_for_the_end_of_do_not_disturb_are_one_summary() -> None:
    ann = online()
    ann.wants(said.SetStatus("dnd"))
    for n in range(FEW + 1):
        ann.gets(f"m{n}")
    ann.wants(said.SetStatus("online"))
    assert ann.screen == [f"summary of {FEW + 1}"]


def test_five_waiting_messages_come_as_popups_of_their_own() -> None:
    ann = Ann()
    ann.connects(count=FEW)
    for n in range(FEW):
        ann.gets(f"m{n}")
    assert ann.screen == [f"m{n}" for n in range(FEW)]


def test_six_come_as_one_summary_and_urgent_ones_beside_it() -> None:
    ann = Ann()
    ann.connects(count=8)
    for n in range(3):
        ann.gets(f"m{n}")
    ann.gets("fire", urgent=True)
    assert ann.screen == ["fire"]  # how many are ordinary is not known yet
    assert ann.model.replay is not None
    for n in range(3, 7):
        ann.gets(f"m{n}")
    assert ann.screen == ["fire", "summary of 7"]
    assert ann.model.replay is None
    assert ann.screen == ["fire", "summary of 7"]
    ann.gets("live")
    assert ann.screen == ["fire", "summary of 7", "live"]


def test_a_backlog_that_was_mostly_known_ends_when_it_falls_quiet() -> None:
    ann = Ann()
    ann.connects(count=100)
    ann.gets("new")
    assert ann.screen == []
    ann.waits(QUIET_S + 0.1)
    assert ann.screen == ["new"]
    assert ann.model.replay is None


def test_the_summary_counts_down_and_closes() -> None:
    ann = Ann()
    ann.connects(count=FEW + 1)
    for n in range(FEW + 1):
        ann.gets(f"m{n}")
    ann.hears(sdk.Done("m0"))
    assert ann.screen == [f"summary of {FEW}"]
    effects = ann.wants(said.MarkRead(BOB))
    assert hidden(effects) == ["summary"]
    assert ann.screen == []


def test_a_full_screen_counts_the_rest() -> None:
    ann = online()
    for n in range(FULL + 2):
        ann.gets(f"m{n}")
    assert ann.screen == [*(f"m{n}" for n in range(FULL)), "summary of 2"]


def test_after_a_restart_only_what_was_never_shown_pops_up() -> None:
    entries = tuple(Received((BOB, id), "bob", "Bob", "hi", NOON) for id in ("old", "new"))
    ann = Ann(said.SignedIn(Account("http://flash", 1, "ann"), entries=entries, unshown=frozenset({(BOB, "new")})))
    assert ann.screen == ["new"]
    assert commands(ann.wants(said.PopupMapped("message:2:new"))) == [fx.MarkShown(((BOB, "new"),))]


def test_after_a_restart_many_are_one_summary_and_mapping_it_marks_all() -> None:
    ids = [f"m{n}" for n in range(9)]
    ann = Ann(waiting(*ids))
    assert ann.screen == ["summary of 9"]
    assert commands(ann.wants(said.PopupMapped("summary"))) == [fx.MarkShown(tuple((BOB, id) for id in ids))]


def test_an_urgent_one_stays_until_answered_even_over_a_restart() -> None:
    entry = Received((BOB, "fire"), "bob", "Bob", "fire!", NOON, urgent=True, read=True)
    ann = Ann(said.SignedIn(Account("http://flash", 1, "ann"), entries=(entry,)))
    assert ann.screen == ["fire"]


def test_a_contact_who_comes_online_is_told_once() -> None:
    ann = Ann()
    ann.connects(contact(BOB, notify=True), contact(CAROL))
    assert shown(ann.sees(BOB, "online")) == ["online:2"]
    assert shown(ann.sees(BOB, "away", "status")) == []
    assert shown(ann.sees(CAROL, "online")) == []
    assert hidden(ann.sees(BOB, "offline", "logoff")) == ["online:2"]
    assert shown(ann.sees(BOB, "online")) == ["online:2"]


def test_nobody_came_online_who_was_there_or_only_reconnected() -> None:
    ann = Ann()
    ann.connects(contact(BOB, "online", notify=True))
    ann.sees(BOB, "unknown", "home_down")
    assert shown(ann.sees(BOB, "online", "home_up")) == []
    ann.sees(BOB, "offline", "lost")
    ann.waits(2)
    assert shown(ann.sees(BOB, "online")) == []
    ann.disconnects()
    assert shown(ann.connects(contact(BOB, "online", notify=True))) == []


def test_who_came_online_while_we_were_away_is_told() -> None:
    ann = Ann()
    ann.connects(contact(BOB, "offline", notify=True))
    ann.disconnects()
    assert shown(ann.connects(contact(BOB, "online", notify=True))) == ["online:2"]


def test_notifications_do_not_disturb_and_do_not_flood() -> None:
    ann = Ann()
    ann.connects(*(contact(uid, notify=True) for uid in range(2, 12)))
    ann.wants(said.SetStatus("dnd"))
    assert shown(ann.sees(2, "online")) == []
    ann.wants(said.SetStatus("online"))
    for uid in range(3, 12):
        ann.sees(uid, "online")
    assert len(ann.screen) == ONLINE_FULL


def test_signing_out_clears_the_screen() -> None:
    ann = online()
    ann.gets("a")
    assert hidden(ann.hears(said.SignedOut())) == ["message:2:a"]
    assert ann.model.groups() == ()
    assert ann.model.conversation(BOB) == ()
