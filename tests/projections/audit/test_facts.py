"""What the audit indexes of an event: its user, its cause, its popups, its presence and its person, whatever the bytes are."""

import msgpack
import pytest

from broker.envelope import EventRecord
from domain.events.global_server import HandleClaimed, UserRegistered
from domain.events.home import (
    ContactAdded,
    LoggedIn,
    LoggedOff,
    MessageBounced,
    MessageDone,
    MessageErased,
    MessageExpired,
    MessageQueued,
    MessagesDelivered,
    MessageSent,
    ReceiptQueued,
    StatusChanged,
    UserAdopted,
)
from projections.audit.facts import Facts, Moved, facts, fields_of

ANN, BOB = 1, 2


def told(kind, stream=f"mailbox-{ANN}", data=None, source="h1", **fields):
    """What the audit takes from an event of home h1, or of another `source`."""
    data = msgpack.packb({"cause": "c1", **fields}) if data is None else data
    return facts(EventRecord(position=1, stream=stream, version=1, topic=kind.TOPIC, time=0.0, data=data), source)


@pytest.mark.parametrize("kind", ["user", "mailbox", "account", "audit"])
def test_an_event_belongs_to_the_user_whose_stream_it_is_in(kind):
    assert told(ContactAdded, f"{kind}-42", uid=7) == Facts(uid=42, cause="c1", popups=(), moved=None, person=None)


@pytest.mark.parametrize("stream", ["home-h1", "log-h1", "user-", "user-x", "user-1x", "xuser-1", "handle-ann", f"user-{'9' * 19}"])
def test_a_stream_of_no_user_belongs_to_nobody(stream):
    assert told(ContactAdded, stream, uid=7).uid is None
    assert told(LoggedIn, stream, status="online", previous="offline").moved is None
    assert told(UserAdopted, stream, handle="ann").person is None


def test_a_handle_belongs_to_the_user_who_claimed_it():
    assert told(HandleClaimed, "handle-ann", uid=42).uid == 42
    for strange in ("42", True, 42.0, None, 2**63, -(2**63)):
        assert told(HandleClaimed, "handle-ann", uid=strange).uid is None
    assert told(HandleClaimed, "handle-ann", uid=2**63 - 1).uid == 2**63 - 1


@pytest.mark.parametrize("cause", [None, 7, ["c1"]])
def test_a_cause_that_is_no_text_is_empty(cause):
    assert told(ContactAdded, cause=cause).cause == ""


@pytest.mark.parametrize("kind", [MessageSent, MessageQueued, MessageDone, MessageBounced, MessageExpired, MessageErased])
def test_an_event_about_a_popup_names_the_popup_by_its_id_and_its_sender(kind):
    assert told(kind, id="m1", uid=BOB).popups == (("m1", BOB),)
    assert told(kind, id=7, uid=BOB).popups == told(kind, id="m1", uid="2").popups == told(kind).popups == ()


def test_a_receipt_is_about_a_popup_of_the_owner_of_the_mailbox():
    assert told(ReceiptQueued, id="m1", to=BOB).popups == (("m1", ANN),)


def test_a_delivery_is_about_every_message_that_it_names():
    assert told(MessagesDelivered, messages=[["m1", BOB, "h2"], ["m2", 3, "h1"]]).popups == (("m1", BOB), ("m2", 3))
    assert told(MessagesDelivered, messages=[["m1"], "m2", 7, ["m3", "x"], ["m4", BOB]]).popups == (("m4", BOB),)
    assert told(MessagesDelivered, messages="m1").popups == told(MessagesDelivered).popups == ()


@pytest.mark.parametrize(
    ("kind", "fields", "moved"),
    [
        (LoggedIn, {"status": "online", "previous": "offline"}, Moved(ANN, "online", changed=True, login=True, restart=False)),
        (LoggedIn, {"status": "away", "previous": "away"}, Moved(ANN, "away", changed=False, login=True, restart=False)),
        (StatusChanged, {"status": "dnd", "previous": "online"}, Moved(ANN, "dnd", changed=True, login=False, restart=False)),
        (
            LoggedOff,
            {"status": "offline", "previous": "dnd", "reason": "restart"},
            Moved(ANN, "offline", changed=True, login=False, restart=True),
        ),
        (
            LoggedOff,
            {"status": "offline", "previous": "dnd", "reason": "lost"},
            Moved(ANN, "offline", changed=True, login=False, restart=False),
        ),
    ],
)
def test_a_presence_event_says_what_moved(kind, fields, moved):
    assert told(kind, f"user-{ANN}", **fields) == Facts(uid=ANN, cause="c1", popups=(), moved=moved, person=None)


def test_a_person_is_known_by_handle_and_home():
    assert told(UserRegistered, "account-42", source="global", uid=42, handle="ann", home="h2").person == (42, "ann", "h2", True)
    assert told(UserRegistered, "account-42", uid=42, handle="ann", home="h2").person is None, "a home registers nobody"
    assert told(UserAdopted, "user-42", handle="ann").person == (42, "ann", "h1", False), "a home adopts its own users only"


@pytest.mark.parametrize("at", [None, "1.5", True, float("inf"), float("nan"), 1e300])
def test_a_time_that_is_no_moment_is_none(at):
    assert told(ContactAdded, at=at).at is None
    assert told(ContactAdded, at=5).at == 5.0


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01", msgpack.packb([1]), b"\x81\x81\x01\x02\x03", msgpack.packb({"a": 1}) + b"\x00"])
def test_bytes_that_are_no_map_have_no_fields(data):
    assert fields_of(data) == {}
    assert told(MessageSent, f"user-{ANN}", data) == Facts(uid=ANN, cause="", popups=(), moved=None, person=None)


def test_a_map_has_its_fields_whatever_their_names_are():
    assert fields_of(msgpack.packb({"a": 1, 7: 2})) == {"a": 1, 7: 2}
