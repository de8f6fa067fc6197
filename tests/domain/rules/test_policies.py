"""What a home does about an event, and which homes must hear of it: the whole table, event by event."""

import pytest
from msgspec.structs import replace

from domain.event import in_stream
from domain.events.global_server import AccountClosed, ProfileChanged, UserRegistered
from domain.events.home import (
    ContactAdded,
    ContacterAdded,
    ContactRemoved,
    MessageBounced,
    MessageDone,
    MessageErased,
    MessageExpired,
    MessageQueued,
    MessagesDelivered,
    UserClosed,
)
from domain.events.integrity import LogSealed
from domain.integrity.chain import Seal
from domain.integrity.commands import WitnessSeal
from domain.mailbox.commands import MarkDone, QueueMessage, QueueReceipt
from domain.mailbox.state import MailboxState
from domain.registry.registered_home import GLOBAL
from domain.rules import global_server, home
from domain.rules.by_server import rules_of
from domain.rules.closing import CloseMailbox, CloseUser
from domain.rules.home import is_told, react_to_mail
from domain.user.commands import AddContacter, Adopt, HaveSent, RemoveContacter
from tests.domain.given import NOW
from tests.domain.home_stories import ANN, BOB, WHEN, chose, contact_added, logged_in, logged_off, message_sent, queued

H1, H2 = rules_of("h1"), rules_of("h2")
SEALED = {"first": 1, "last": 2, "count": 2, "gaps": [], "previous": "p", "digest": "d", "marks": "m"}


SENT = HaveSent(uid=ANN, cause="m1", id="m1", to=BOB)  # another home's news must fit a message that was sent


def at(stream, event, version=1):
    return in_stream([event], stream, version - 1)[0]


def settled(kind, **but):
    return at("mailbox-2", kind(id="m1", uid=ANN, home="h1", at=NOW, cause="m1", **but))


def news(state, why=None, to=BOB):
    return [QueueReceipt(uid=ANN, cause="m1", id="m1", to=to, state=state, why=why, settled_at=NOW)]


def test_a_message_is_queued_at_the_home_of_its_recipient_only():
    sent = at("user-1", message_sent("m1"))
    assert H2.react(sent, "h1") == [
        QueueMessage(
            uid=BOB, cause="m1", id="m1", sender=ANN, sender_home="h1", handle="ann", name="Ann Lee", text="hi", sent_at=NOW,
            in_reply_to=None, urgent=False,
        )
    ]  # fmt: skip
    assert H1.react(sent, "h1") == []


def test_a_message_without_a_text_is_not_queued():
    assert H2.react(at("user-1", message_sent(text="")), "h1") == []


def test_an_answer_closes_the_popup_at_the_home_of_its_sender_only():
    answer = at("user-1", message_sent("m2", in_reply_to="b7"))
    assert H1.react(answer, "h1") == [MarkDone(uid=ANN, cause="m2", id="b7", sender=BOB, reply=True)]
    (queued_there,) = H2.react(answer, "h1")
    assert (type(queued_there), queued_there.in_reply_to) == (QueueMessage, "b7")


def test_a_message_whose_time_to_live_is_over_bounces():
    sent = at("user-1", message_sent())
    (command,) = react_to_mail(H2, (), lambda: sent.at + 61, 60, lambda: True, sent, "h1")
    (bounced,) = H2.decide(MailboxState("mailbox-2"), command, sent.at + 2)
    assert (type(bounced), bounced.id, bounced.uid, bounced.home, bounced.why) == (MessageBounced, sent.id, ANN, "h1", "expired")
    for now, clock_is_right in ((sent.at + 60, True), (sent.at + 61, False)):
        (command,) = react_to_mail(H2, (), lambda now=now: now, 60, lambda right=clock_is_right: right, sent, "h1")
        assert type(H2.decide(MailboxState("mailbox-2"), command, sent.at + 2)[0]) is MessageQueued


def always():
    """The clock can be believed."""
    return True


def test_the_mail_of_a_closed_account_is_ignored():
    sent = at("user-1", message_sent())
    assert react_to_mail(H2, (), lambda: sent.at, 60, always, sent, "h1") == H2.react(sent, "h1") != []
    assert react_to_mail(H2, {ANN}, lambda: sent.at, 60, always, sent, "h1") == ()
    assert react_to_mail(H2, {BOB}, lambda: sent.at, 60, always, at("user-1", contact_added()), "h1") != ()
    assert react_to_mail(H2, (), lambda: sent.at, 60, always, at("user-1", logged_in()), "h1") == ()


def test_senders_at_this_home_are_told_what_was_delivered():
    delivered = at("mailbox-2", MessagesDelivered(upto=3, session="s", messages=[("m1", ANN, "h1"), ("m2", 3, "h3")], **WHEN))
    assert H1.react(delivered, "h2") == [SENT, *news("delivered")]
    assert H1.react(delivered, "h1") == news("delivered"), "what this home says itself needs no proof"
    assert H2.react(delivered, "h2") == []


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (settled(MessageDone), news("done")),
        (settled(MessageBounced, why="mailbox_full"), news("bounced", "mailbox_full")),
        (settled(MessageExpired, seq=1), news("bounced", "expired")),
        (settled(MessageErased, seq=1), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_sender_is_told_how_a_message_ended(event, told):
    assert list(H1.react(event, "h1")) == told
    assert list(H1.react(event, "h2")) == ([SENT, *told] if told else [])
    assert list(H2.react(event, "h2")) == []


def test_the_home_of_a_contact_hears_of_its_contacters():
    assert H2.react(at("user-1", contact_added()), "h1") == [AddContacter(uid=BOB, cause="c1", contacter=ANN, home="h1")]
    removed = at("user-1", ContactRemoved(uid=BOB, home="h2", **WHEN))
    assert H2.react(removed, "h1") == [RemoveContacter(uid=BOB, cause="c1", contacter=ANN)]
    assert [H1.react(event, "h1") for event in (at("user-1", contact_added()), removed)] == [[], []]


def test_a_home_adopts_its_own_new_users_and_their_new_names():
    registered = UserRegistered(uid=ANN, handle="ann", home="h1", profile={"full_name": "Ann Lee"}, **WHEN)
    renamed = ProfileChanged(uid=ANN, handle="ann", home="h1", name="Ann B", changes={}, **WHEN)
    adopt = Adopt(uid=ANN, cause="c1", handle="ann", name="Ann Lee")
    assert H1.react(registered, GLOBAL) == [adopt]
    assert H1.react(replace(registered, profile={}), GLOBAL) == [replace(adopt, name="ann")]
    assert H1.react(renamed, GLOBAL) == [replace(adopt, name="Ann B")]
    assert [H2.react(event, GLOBAL) for event in (registered, renamed)] == [[], []]


def test_every_home_closes_a_user_and_only_the_users_own_closes_the_mailbox():
    closed = AccountClosed(uid=ANN, reason="r", home="h1", homes=["h1", "h2"], **WHEN)
    assert H1.react(closed, GLOBAL) == [CloseUser(uid=ANN, cause="c1", resident=True)]
    assert H2.react(closed, GLOBAL) == [CloseUser(uid=ANN, cause="c1", resident=False)]
    resident, guest = (at("user-1", UserClosed(resident=resident, **WHEN)) for resident in (True, False))
    assert H1.react(resident, "h1") == [CloseMailbox(uid=ANN, cause="c1")]
    assert (H1.react(guest, "h1"), H1.react(resident, "h2")) == ([], [])


def test_the_global_server_keeps_the_seals_that_a_home_tells_of_itself():
    sealed = at("log-h1", LogSealed(server="h1", life=0, **SEALED, **WHEN), version=7)
    kept = (WitnessSeal(server="h1", seal=Seal(**SEALED), number=7, sealed_at=NOW, cause="c1"),)
    rules = rules_of(GLOBAL)
    assert rules.react(sealed, "h1") == kept
    assert rules.react(sealed, "h2") == ()
    assert rules.react(at(f"log-{GLOBAL}", LogSealed(server=GLOBAL, life=0, **SEALED, **WHEN)), GLOBAL) == ()
    assert H1.react(sealed, "h1") == ()


@pytest.mark.parametrize(
    ("event", "homes"),
    [
        (message_sent(), {"h2"}),
        (MessagesDelivered(upto=1, session="s", messages=[("m1", ANN, "h1"), ("m2", 3, "h3")], **WHEN), {"h1", "h3"}),
        (settled(MessageDone), {"h1"}),
        (settled(MessageBounced, why="closed"), {"h1"}),
        (settled(MessageExpired, seq=1), {"h1"}),
        (contact_added(), {"h2"}),
        (ContactRemoved(uid=BOB, home="h2", **WHEN), {"h2"}),
        (ContacterAdded(uid=BOB, home="h2", status="online", since=None, note="", name="", **WHEN), {"h2"}),
        (LogSealed(server="h1", life=0, **SEALED, **WHEN), {GLOBAL}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_event_of_a_home_is_addressed_to(event, homes):
    assert set(home.RECIPIENTS[type(event)](event)) == homes


def test_events_that_concern_one_home_only_are_addressed_to_nobody():
    assert not {type(event) for event in (queued(1), settled(MessageErased, seq=1), logged_in())} & home.RECIPIENTS.keys()


def test_an_event_of_the_global_server_is_addressed_to():
    addressed = global_server.RECIPIENTS
    assert set(addressed[UserRegistered](UserRegistered(uid=ANN, handle="ann", home="h1", profile={}, **WHEN))) == {"h1"}
    assert set(addressed[ProfileChanged](ProfileChanged(uid=ANN, handle="ann", home="h1", name="A", changes={}, **WHEN))) == {"h1"}
    assert addressed[AccountClosed](AccountClosed(uid=ANN, reason="r", home="h1", homes=["h1", "h2"], **WHEN)) == {"h1", "h2"}


def test_contacters_hear_of_a_change_and_of_a_new_note():
    assert is_told(logged_in())
    assert is_told(logged_off())
    assert is_told(chose("online", previous="online", note="in a meeting"))
    assert not is_told(logged_in("s2", previous="online"))
    assert not is_told(contact_added())


def test_the_global_server_has_its_own_rules_and_every_other_server_is_a_home():
    assert rules_of(GLOBAL) is global_server.RULES
    assert (rules_of("h7").server, set(rules_of("h7").states)) == (
        "h7",
        {"user", "mailbox", "log", "witness", "restored", "clock", "life", "throttles"},
    )
    assert ContactAdded in rules_of("h7").folds
