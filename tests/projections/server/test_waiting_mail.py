"""Which mailboxes are not empty: a mailbox is listed for as long as one message waits in it, and no longer."""

import pytest
from msgspec.structs import replace

from domain.event import in_stream
from domain.events.home import MailboxClosed, MessageErased, MessageExpired, MessagesDelivered
from projections.server.waiting_mail import WaitingIndex
from tests.domain.given import NOW
from tests.domain.home_stories import BOB, WHEN, queued, receipt
from tests.support.snapshots import through_msgpack

ANN, CAROL = 1, 3
SETTLED = {"seq": 1, "id": "m1", "uid": BOB, "home": "h2", **WHEN}


def folded(*events, uid=ANN):
    index = WaitingIndex()
    for event in in_stream(events, f"mailbox-{uid}", 0):
        index.apply(event.originator_version, event)
    return index


def delivered(upto, *ids):
    return MessagesDelivered(upto=upto, session="s1", messages=[[id, BOB, "h2"] for id in ids], **WHEN)


TAKEN_OUT = {
    "delivered": delivered(1, "m1"),
    "expired": MessageExpired(**SETTLED),
    "erased": MessageErased(**SETTLED),
}


@pytest.mark.parametrize("end", TAKEN_OUT.values(), ids=TAKEN_OUT)
def test_a_mailbox_is_listed_until_its_last_message_is_taken_out(end):
    two = folded(queued(1, "m1"), queued(2, "m2", at=NOW + 5))
    assert two.mailboxes == {ANN: [2, NOW]}
    one = folded(queued(1, "m1"), queued(2, "m2", at=NOW + 5), end)
    assert one.mailboxes == {ANN: [1, NOW]}
    assert folded(queued(1, "m1"), end).mailboxes == {}


def test_many_messages_are_taken_out_at_once():
    whole = [queued(number, f"m{number}") for number in range(1, 5)]
    assert folded(*whole, delivered(3, "m1", "m2", "m3")).mailboxes == {ANN: [1, NOW]}
    assert folded(*whole, delivered(4, "m1", "m2", "m3", "m4")).mailboxes == {}


def test_receipts_are_no_messages():
    assert folded(receipt(1)).mailboxes == {}
    assert folded(queued(1), receipt(2), delivered(2)).mailboxes == {ANN: [1, NOW]}


def test_a_closed_mailbox_is_not_listed():
    assert folded(queued(1), queued(2, "m2"), MailboxClosed(**WHEN)).mailboxes == {}
    assert folded(MailboxClosed(**WHEN)).mailboxes == {}


def test_a_mailbox_that_was_emptied_begins_anew_with_its_next_message():
    index = folded(queued(1, "m1"), delivered(1, "m1"), queued(2, "m2", at=NOW + 60))
    assert index.mailboxes == {ANN: [1, NOW + 60]}


def test_those_whose_first_message_is_old_are_found():
    index = folded(queued(1, at=NOW))
    assert index.since_before(NOW + 0.1) == [ANN]
    assert index.since_before(NOW) == []


def test_what_is_told_of_a_mailbox_that_is_not_listed_changes_nothing():
    assert folded(*TAKEN_OUT.values()).mailboxes == {}


def from_carol(event):
    return replace(event, uid=CAROL)


def test_it_knows_where_a_message_of_somebody_waits():
    both = (queued(1, "m1"), from_carol(queued(2, "m2")), from_carol(queued(3, "m3")))
    assert folded(*both).recipients == {BOB: {ANN}, CAROL: {ANN}}
    assert folded(*both, delivered(1, "m1")).recipients == {CAROL: {ANN}}
    assert folded(*both, from_carol(MessageErased(**SETTLED))).recipients == {BOB: {ANN}, CAROL: {ANN}}
    assert folded(*both, *[from_carol(MessageErased(**SETTLED))] * 3).recipients == {BOB: {ANN}}
    assert folded(*both, MailboxClosed(**WHEN)).recipients == {}


def test_a_repeat_changes_nothing():
    index = folded(queued(1), queued(2, "m2"))
    (again,) = in_stream([queued(2, "m2")], f"mailbox-{CAROL}", 1)
    index.apply(2, again)
    assert (index.mailboxes, index.position) == ({ANN: [2, NOW]}, 2)


def test_a_checkpoint_is_the_index():
    index = folded(queued(1, "m1"), queued(2, "m2", at=NOW + 5))
    loaded = WaitingIndex()
    assert loaded.from_checkpoint(through_msgpack(index.to_checkpoint()))
    assert vars(loaded) == vars(index)
    index.apply(3, in_stream([delivered(1, "m1")], f"mailbox-{ANN}", 2)[0])
    assert loaded.mailboxes == {ANN: [2, NOW]}, "a checkpoint is a copy"


def test_a_checkpoint_of_another_format_is_refused_and_changes_nothing():
    index = folded(queued(1, "m1"))
    fresh = WaitingIndex()
    assert fresh.from_checkpoint(index.to_checkpoint() | {"format": 0}) is False
    assert vars(fresh) == vars(WaitingIndex())
