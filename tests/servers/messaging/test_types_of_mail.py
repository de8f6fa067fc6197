"""Another server may send anything: what has the wrong type or is out of bounds is set aside with its reason, and the rest goes on."""

import msgpack
import pytest

from domain.event import stored_fields
from domain.events.home import MessagesDelivered
from tests.domain.home_stories import WHEN, contact_added, message_sent
from tests.servers.members import Correspondent
from tests.servers.messaging.test_outbox_and_inbox import dead_letters, deliver, opened, record
from tests.support.waiting import eventually

POPUP, CONTACT = message_sent("x"), contact_added()
RECEIPT = MessagesDelivered(upto=1, session="s", messages=[("x", 2, "h2")], **WHEN)
WRONG = {
    "a text that is a number": (POPUP, {"text": 5}),
    "a text that is too long": (POPUP, {"text": "x" * 4_097}),
    "a time that is no number": (POPUP, {"at": float("nan")}),
    "a time after the year 9999": (POPUP, {"at": 1e300}),
    "a user who is a text": (POPUP, {"to": "2"}),
    "a user who is true": (POPUP, {"to": True}),
    "a user beyond what a store can hold": (POPUP, {"to": 2**63}),
    "an id that is a list": (POPUP, {"id": ["x"]}),
    "an id without end": (POPUP, {"id": "x" * 65}),
    "a name that moves the cursor": (POPUP, {"name": "Ann\x1b[2J"}),
    "urgent without being true or false": (POPUP, {"urgent": "very"}),
    "a contact who is no number": (CONTACT, {"uid": [2]}),
    "receipts that are no triples": (RECEIPT, {"messages": [["x", 2]]}),
    "receipts for no number": (RECEIPT, {"messages": [["x", {}, "h2"]]}),
}


@pytest.mark.parametrize(("event", "wrong"), WRONG.values(), ids=WRONG)
async def test_an_event_of_the_wrong_type_is_set_aside_and_the_rest_goes_on(broker, tmp_path, event, wrong):
    state = stored_fields(event) | {"to_home": "h2", "home": "h2"} | wrong
    if event.class_version > 1:
        state["class_version"] = event.class_version
    forged = record(event, 2, "mailbox-7" if event is RECEIPT else "user-7", data=msgpack.packb(state))
    async with opened(lambda home: f"sqlite:///{tmp_path}/{home}.db", broker) as (_, h2):
        body = Correspondent("h7", h2.trust).mail("h2", [record(message_sent("a"), 1), forged, record(message_sent("b"), 3)])
        await deliver(broker, body)
        await eventually(lambda: [id_ for id_, _ in h2.mailbox(2)] == ["a", "b"])
        ((reason, letter),) = await eventually(lambda: dead_letters(tmp_path))
        assert letter == body
        assert "at 2 of 'h7' is unreadable" in reason
        assert h2.inbox.dead == 1
        assert h2.inbox.task.alive
