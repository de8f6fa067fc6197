"""A user leaves for good: what is ended, what bounces, and what is taken out of the mailboxes of others."""

from domain.errors import Unauthorized
from domain.events.home import ContactRemoved, MailboxClosed, MessageBounced, MessageErased, UserClosed
from domain.mailbox.commands import Expire
from domain.rules.closing import CloseMailbox, CloseUser, DropErased
from domain.user.commands import AddContacter, Adopt
from tests.domain.home_stories import (
    ADOPTED,
    BOB,
    BOB_ADDED,
    WHEN,
    WHO,
    chose,
    contact_added,
    given,
    log_in,
    logged_in,
    logged_off,
    message_sent,
    put_contact,
    queue,
    queue_receipt,
    queued,
    receipt,
    send,
    set_status,
)

CAROL = 3
CLOSED = UserClosed(resident=True, **WHEN)
MAILBOX_CLOSED = MailboxClosed(**WHEN)
CLOSE_USER = CloseUser(resident=True, **WHO)
CLOSE_MAILBOX = CloseMailbox(**WHO)
DROP_BOB = DropErased(sender=BOB, **WHO)
BOBS = {"uid": BOB, "home": "h2", "at": WHEN["at"]}


def ended(session, status, previous="online"):
    return logged_off(session, status=status, previous=previous, reason="closed", cause="c1")


def test_sessions_end_one_by_one_and_only_the_last_makes_the_user_offline():
    given(ADOPTED, logged_in("s1"), logged_in("s2", previous="online")).when(CLOSE_USER).then(
        ended("s1", "online"), ended("s2", "offline"), CLOSED
    )
    given(ADOPTED, logged_in(), chose("away")).when(CLOSE_USER).then(ended("s1", "offline", previous="away"), CLOSED)


def test_contacts_are_taken_off_the_list():
    removed = [ContactRemoved(uid=uid, home="h2", **WHEN) for uid in (BOB, CAROL)]
    given(ADOPTED, BOB_ADDED, contact_added(CAROL)).when(CLOSE_USER).then(*removed, CLOSED)


def test_a_home_that_is_not_the_users_notes_that_too():
    given().when(CloseUser(resident=False, **WHO)).then(UserClosed(resident=False, **WHEN))


def test_a_user_is_closed_once_and_may_do_nothing_afterwards():
    story = given(ADOPTED, BOB_ADDED, CLOSED)
    story.when(CLOSE_USER).then_nothing()
    story.when(log_in()).refuses(Unauthorized)
    story.when(send()).refuses(Unauthorized)
    story.when(set_status("away")).refuses(Unauthorized)
    story.when(put_contact(alias="Bobby")).refuses(Unauthorized)
    story.when(Adopt(handle="ann", name="Ann Bee", **WHO)).then_nothing()
    story.when(AddContacter(contacter=BOB, home="h2", **WHO)).then_nothing()
    assert (story.state("user-1").name, story.state("user-1").closed) == ("", True)


def test_a_message_that_was_accepted_before_may_be_sent_again():
    given(ADOPTED, BOB_ADDED, message_sent("m1"), CLOSED).when(send("m1")).then_nothing()


def test_waiting_messages_bounce_and_receipts_do_not():
    bounced = [MessageBounced(cause=id, id=id, why="closed", **BOBS) for id in ("m1", "m2")]
    story = given(queued(1, "m1"), receipt(2), queued(3, "m2"))
    story.when(CLOSE_MAILBOX).then(*bounced, MAILBOX_CLOSED)


def test_a_closed_mailbox_is_empty_and_bounces_what_arrives():
    story = given(queued(1, "m1"), receipt(2), MAILBOX_CLOSED)
    state = story.state("mailbox-1")
    assert (state.waiting, state.messages, len(state.open), state.homes, state.closed) == ({}, 0, 0, [], True)
    story.when(CLOSE_MAILBOX).then_nothing()
    story.when(queue("m2")).then(MessageBounced(cause="m2", id="m2", why="closed", **BOBS))
    story.when(queue_receipt()).then_nothing()
    story.when(Expire(before=WHEN["at"] + 1, **WHO)).then_nothing()


def test_the_messages_of_an_erased_sender_are_taken_out_and_no_others():
    story = given(queued(1, "m1"), receipt(2), queued(3, "m2"))
    story.when(DROP_BOB).then(
        MessageErased(cause="c1", seq=1, id="m1", **BOBS),
        MessageErased(cause="c1", seq=3, id="m2", **BOBS),
    )
    story.when(DropErased(sender=CAROL, **WHO)).then_nothing()
    after = given(queued(1, "m1"), receipt(2), MessageErased(cause="c1", seq=1, id="m1", **BOBS)).state("mailbox-1")
    assert (list(after.waiting), after.messages, len(after.open)) == ([2], 0, 0)
