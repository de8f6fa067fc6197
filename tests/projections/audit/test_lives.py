"""One popup's life: its steps in order, each after its cause, whatever the servers' clocks say; and what is told of a row's fields."""

import msgpack
import pytest

from domain.events.home import (
    MessageBounced,
    MessageDone,
    MessageErased,
    MessageExpired,
    MessageQueued,
    MessagesDelivered,
    MessageSent,
    ReceiptQueued,
)
from projections.audit.lives import lives
from projections.audit.personal import details, with_personal
from projections.audit.rows import AuditRow

ANN, BOB, CAROL = 1, 2, 3


def row(kind, time, id=0, **fields):
    return AuditRow(id, "h1", 1, "user-1", 1, kind.TOPIC, time, ANN, "ann", "c1", msgpack.packb(fields))


def sent(time=0.0, to=BOB):
    return row(MessageSent, time, to=to)


def receipt(state, time):
    return row(ReceiptQueued, time, state=state)


def told(*rows):
    """The steps of Ann's popup, as (name, took_s), in the order told."""
    (life,) = lives("m1", [(ANN, each) for each in rows])
    return [(step.name, step.took_s) for step in life.steps]


def test_a_life_begins_with_sending_and_ends_with_the_last_receipt():
    rows = [
        sent(0.0),
        row(MessageQueued, 1.0),
        row(MessagesDelivered, 3.0),
        receipt("delivered", 4.0),
        row(MessageDone, 6.0),
        receipt("done", 8.0),
    ]
    steps = [("sent", None), ("queued", 1.0), ("delivered", 2.0), ("receipt delivered", 1.0), ("done", 5.0), ("receipt done", 2.0)]
    assert told(*rows) == told(*reversed(rows)) == steps


@pytest.mark.parametrize(("kind", "name", "cause"), [(MessageBounced, "bounced", 0.0), (MessageExpired, "expired", 1.0)])
def test_a_popup_that_came_back_says_so_in_a_receipt(kind, name, cause):
    steps = told(sent(0.0), row(MessageQueued, 1.0), row(kind, 5.0), receipt("bounced", 7.0))
    assert steps == [("sent", None), ("queued", 1.0), (name, 5.0 - cause), ("receipt bounced", 2.0)]


def test_an_erased_message_took_as_long_as_it_waited():
    assert told(row(MessageQueued, 1.0), row(MessageErased, 5.0)) == [("queued", None), ("erased", 4.0)]


def test_a_step_stands_after_its_cause_although_its_servers_clock_is_behind():
    rows = [sent(10.0), row(MessageQueued, 4.0), row(MessagesDelivered, 5.0), receipt("delivered", 11.0)]
    assert told(*rows) == [("sent", None), ("queued", -6.0), ("delivered", 1.0), ("receipt delivered", 6.0)]


def test_of_two_deliveries_the_first_is_the_cause_of_the_receipt():
    rows = [row(MessagesDelivered, 3.0), row(MessagesDelivered, 5.0), receipt("delivered", 6.0)]
    assert told(*rows) == [("delivered", None), ("delivered", None), ("receipt delivered", 3.0)]


def test_a_step_that_this_version_does_not_know_stands_where_its_time_says():
    class Forwarded:
        TOPIC = "mailbox.message_forwarded"

    assert told(sent(0.0), row(MessageQueued, 2.0), row(Forwarded, 1.0)) == [("sent", None), (Forwarded.TOPIC, None), ("queued", 2.0)]


def test_an_id_that_two_senders_have_used_is_two_lives():
    anns, bobs = row(MessageQueued, 2.0), row(MessageSent, 1.0, to=CAROL)
    first, second = lives("m1", [(ANN, anns), (BOB, bobs)])
    assert (first.message, first.sender, first.to) == ("m1", ANN, None)
    assert (second.message, second.sender, second.to) == ("m1", BOB, CAROL)
    assert ([step.row for step in first.steps], [step.row for step in second.steps]) == ([anns], [bobs])
    assert lives("m1", []) == []


def test_a_recipient_is_told_by_the_sending_only():
    (life,) = lives("m1", [(ANN, row(ReceiptQueued, 4.0, state="delivered", to=BOB))])
    assert life.to is None
    (life,) = lives("m1", [(ANN, sent(to="bob"))])
    assert life.to is None


def test_only_who_may_read_words_is_shown_words():
    fields = {"urgent": True, "text": "hi", "note": "lunch", "name": "Ann", "alias": None, "profile": {}, "changes": {}}
    stored = {**fields, "at": 1.0, "cause": "c1", "class_version": 2, "sealed": b"x"}
    assert details(row(MessageSent, 1.0, **stored)) == {"urgent": True}
    assert with_personal(stored) == fields
