"""What waits for a user, until a client acknowledges it."""

import pytest
from msgspec.structs import replace

from domain.errors import Invalid, UnknownMessage
from domain.events.home import MessageBounced, MessageDone, MessageErased, MessageExpired, MessagesDelivered
from domain.mailbox.commands import Acknowledge, Expire, MarkDone, Resume
from domain.mailbox.state import MAX_RECEIPTS, MAX_WAITING, OPEN_MESSAGES
from tests.domain.given import NOW
from tests.domain.home_stories import ANN, BOB, WHO, given, queue, queue_receipt, queued, receipt

CAROL = 3
BOBS = {"uid": BOB, "home": "h2"}


def ack(upto):
    return Acknowledge(session="s1", upto=upto, **WHO)


def resume(seen):
    return Resume(session="s1", seen=seen, **WHO)


def delivered(upto, *ids):
    return MessagesDelivered(at=NOW, cause="c1", upto=upto, session="s1", messages=[(id_, BOB, "h2") for id_ in ids])


def done(id="m1"):
    return MessageDone(at=NOW, cause="c1", id=id, **BOBS)


def mark(id="m1", reply=False):
    return MarkDone(id=id, reply=reply, **WHO)


def test_mail_is_numbered_from_one():
    given().when(queue()).then(queued(1))
    given(queued(1)).when(queue_receipt()).then(receipt(2))
    given(queued(1), receipt(2)).when(queue("m2")).then(queued(3, "m2"))


def test_an_answer_names_the_message_it_answers_and_a_receipt_says_why_a_message_bounced():
    given().when(queue(in_reply_to="m0")).then(queued(1, in_reply_to="m0"))
    given().when(queue_receipt(state="bounced", why="mailbox_full")).then(receipt(1, state="bounced", why="mailbox_full"))


def test_numbers_are_never_given_twice():
    given(queued(1), delivered(1, "m1")).when(queue("m2")).then(queued(2, "m2"))


def test_a_full_mailbox_bounces_messages_but_not_receipts():
    full = [queued(n + 1, f"m{n}") for n in range(MAX_WAITING)]
    bounced = MessageBounced(at=NOW, cause="late", id="late", why="mailbox_full", **BOBS)
    given(full).when(queue("late")).then(bounced)
    given(full, bounced).when(queue_receipt()).then(receipt(MAX_WAITING + 1))
    given(full, delivered(1, "m0")).when(queue("late")).then(queued(MAX_WAITING + 1, "late"))


def test_past_a_thousand_receipts_the_oldest_is_forgotten():
    state = given(queued(1), *(receipt(n + 2, f"r{n}") for n in range(MAX_RECEIPTS + 1))).state("mailbox-1")
    assert len(state.waiting) == MAX_RECEIPTS + 1
    assert list(state.waiting)[:2] == [1, 3]
    assert state.messages == 1


def test_an_ack_takes_out_everything_up_to_it_and_names_the_messages():
    history = [queued(1), receipt(2), queued(3, "m3")]
    given(history).when(ack(2)).then(delivered(2, "m1"))
    given(history, delivered(2, "m1")).when(ack(3)).then(delivered(3, "m3"))
    given(receipt(1)).when(ack(1)).then(delivered(1))


@pytest.mark.parametrize("upto", [0, 1, -5])
def test_a_repeated_ack_changes_nothing(upto):
    given(queued(1), delivered(1, "m1"), queued(2, "m2")).when(ack(upto)).then_nothing()


def test_a_number_never_given_cannot_be_acked():
    given(queued(1)).when(ack(2)).refuses(Invalid, field="upto")
    given().when(ack(1)).refuses(Invalid, field="upto")


def test_a_client_that_resumes_has_what_it_says_but_a_number_never_given_is_of_another_mailbox():
    history = [queued(1), queued(2, "m2")]
    given(history).when(resume(1)).then(delivered(1, "m1"))
    given(history).when(resume(2)).then(delivered(2, "m1", "m2"))
    given(history).when(resume(0)).then_nothing()
    given(history).when(resume(3)).then_nothing()
    given(history, delivered(2, "m1", "m2")).when(resume(2)).then_nothing()


def test_a_message_whose_text_was_erased_is_taken_out_as_a_session_begins():
    erased = MessageErased(at=NOW, cause="c1", seq=2, id="m2", **BOBS)
    history = [queued(1), queued(2, "m2", text=""), receipt(3), queued(4, "m4")]
    given(history).when(resume(0)).then(erased)
    given(history).when(resume(2)).then(erased, delivered(2, "m1"))
    given(history, erased, delivered(2, "m1")).when(resume(2)).then_nothing()


def test_done_closes_a_message_once_acked_or_not():
    given(queued(1)).when(mark()).then(done())
    given(queued(1), delivered(1, "m1")).when(mark()).then(done())
    given(queued(1), done()).when(mark()).then_nothing()


def test_of_two_messages_with_one_id_only_that_of_the_named_sender_is_done():
    history = [queued(1), replace(queued(2), uid=CAROL, home="h3")]
    given(history).when(MarkDone(id="m1", sender=BOB, **WHO)).then(done())
    given(history).when(mark()).then(done(), MessageDone(at=NOW, cause="c1", id="m1", uid=CAROL, home="h3"))
    given(history).when(MarkDone(id="m1", sender=99, **WHO)).refuses(UnknownMessage, id="m1")


def test_an_unknown_message_cannot_be_done():
    given().when(mark()).refuses(UnknownMessage, id="m1")
    given(receipt(1, "m1")).when(mark()).refuses(UnknownMessage)


def test_a_reply_to_an_unknown_message_is_still_a_reply():
    given().when(mark(reply=True)).then_nothing()
    given(queued(1)).when(mark(reply=True)).then(done())


def test_the_last_thousand_messages_can_be_marked_done():
    history = []
    for number in range(1, OPEN_MESSAGES + 3):
        history += [queued(number, f"m{number}"), delivered(number, f"m{number}")]
    given(history).when(mark("m1")).refuses(UnknownMessage)
    given(history).when(mark("m2")).then(done("m2"))


def test_what_waited_too_long_expires_and_the_rest_stays():
    history = [queued(1, at=NOW - 100), receipt(2), queued(3, "m3", at=NOW - 60)]
    expired = MessageExpired(at=NOW, cause="m1", id="m1", seq=1, **BOBS)
    expire = Expire(before=NOW - 60, **WHO)
    given(history).when(expire).then(expired)
    given(history, expired).when(expire).then_nothing()
    state = given(history, expired).state(f"mailbox-{ANN}")
    assert (list(state.waiting), state.messages) == ([2, 3], 1)
    given(history, expired).when(mark()).refuses(UnknownMessage)


def test_what_is_told_of_a_message_that_is_gone_changes_nothing():
    expired = MessageExpired(at=NOW, cause="m1", id="m1", seq=1, **BOBS)
    gone = [queued(1), delivered(1, "m1"), expired]
    for history in ([*gone, expired], [*gone, done()]):
        given(history).when(mark()).refuses(UnknownMessage)
        given(history).when(queue("m2")).then(queued(2, "m2"))
        assert given(history).state(f"mailbox-{ANN}").messages == 0
