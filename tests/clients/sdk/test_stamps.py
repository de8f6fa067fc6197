"""Tickets and stamps as they are: what is let in, what is shown, whom a way leads to. Nothing here touches a network."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flash_sdk import Message
from flash_sdk.errors import ProtocolError
from flash_sdk.peer_routes import DirectTimeouts, PeerRoute, PeerRoutes, answer_to_ticket, stamp_of, stamped_message, ticket_key
from flash_sdk.people import Sender
from servers.security.addresses import same_network
from servers.sessions.route import DirectRoute
from servers.sessions.tickets import door_key

KEY = b"k" * 32
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SENT_AT = "2026-01-01T00:00:00.000000Z"
SOON = "2026-01-01T00:01:00.000000Z"
POPUP = Message(0, "m1", Sender(7, "bob", "Bob"), "pop over?", NOW, None, False)


def said(message: Message = POPUP, to: int = 1, expires_at: str = SOON, stamp: str | None = None) -> bytes:
    """What a sender says; the stamp is right for Bob's popup to Ann unless another one is given."""
    right = stamp_of(ticket_key(KEY, 7, 1, SOON), POPUP, SENT_AT)
    sender = {"uid": message.sender.uid, "handle": message.sender.handle, "name": message.sender.name}
    body = {"id": message.id, "text": message.text, "in_reply_to": message.in_reply_to, "urgent": message.urgent}
    body |= {"from": sender, "sent_at": SENT_AT}
    return json.dumps({"to": to, "expires_at": expires_at, "stamp": right if stamp is None else stamp, "message": body}).encode()


def test_a_stamp_is_good_for_the_very_message():
    assert stamped_message(said(), KEY, NOW) == POPUP


@pytest.mark.parametrize(
    "forged",
    [
        said(stamp="0" * 64),
        said(stamp="\u00e9"),
        said(stamp="\ud800"),
        said(replace(POPUP, text="give me your password")),
        said(replace(POPUP, id="m2")),
        said(replace(POPUP, in_reply_to="m0")),
        said(replace(POPUP, urgent=True)),
        said(replace(POPUP, sender=Sender(8, "bob", "Bob"))),
        said(replace(POPUP, sender=Sender(7, "cid", "Bob"))),
        said(replace(POPUP, sender=Sender(7, "bob", "Cid"))),
        said(to=2),
        said(expires_at="2026-01-01T00:01:30.000000Z"),
        said(expires_at="\ud800"),
        b"",
        b"[]",
        b'{"to":1}',
    ],
)
def test_a_stamp_is_good_for_nothing_else(forged):
    assert stamped_message(forged, KEY, NOW) is None


@pytest.mark.parametrize("late", [timedelta(seconds=60), timedelta(days=1), timedelta(seconds=-120)])
def test_a_stamp_is_good_in_time_only(late):
    assert stamped_message(said(), KEY, NOW + late) is None


def test_a_stamp_for_one_route_is_not_good_for_another():
    assert stamped_message(said(), b"K" * 32, NOW) is None


def knocks(now: datetime = NOW, *, key: bytes = KEY, length: int = 5, expires_at: str = SOON, to: int = 1) -> bytes | None:
    """What Ann's client answers to Bob's first line."""
    held = PeerRoute("10.0.0.1", 40_123, "t", expires_at, door_key(ticket_key(KEY, 7, to, expires_at)))
    return answer_to_ticket(held.greeting(7, 1, "00", length).split()[2:], key, now)


def test_who_holds_a_ticket_is_let_in():
    assert knocks() is not None


@pytest.mark.parametrize(
    "refused",
    [
        knocks(NOW + timedelta(seconds=60)),
        knocks(NOW - timedelta(seconds=120)),
        knocks(key=b"K" * 32),
        knocks(length=65_537),
        knocks(length=0),
        knocks(length=-1),
        knocks(to=2),
        knocks(expires_at="\u00e9"),
        answer_to_ticket([b"7", b"1", SOON.encode(), b"00", b"0" * 64, b"5"], KEY, NOW),
        answer_to_ticket([b"7", b"1", SOON.encode(), b"00", "\u00e9".encode(), b"5"], KEY, NOW),
        answer_to_ticket([b"70000"], KEY, NOW),
        answer_to_ticket([], KEY, NOW),
    ],
)
def test_nobody_else_is_let_in(refused):
    assert refused is None


@pytest.mark.parametrize(
    "spoiled",
    [
        {"address": "localhost"},
        {"address": "224.0.0.1"},
        {"address": "0.0.0.0"},  # noqa: S104 - nobody binds it
        {"address": "::"},
        {"port": 22},
        {"port": 0},
        {"port": 65_536},
        {"key": "x"},
        {"key": None},
    ],
)
def test_a_way_that_leads_to_nobody_is_none(spoiled):
    good = {"address": "10.0.0.1", "port": 40_123, "ticket": "t", "key": "00", "expires_at": SOON}
    assert PeerRoute.of(good).address == "10.0.0.1"
    with pytest.raises(ProtocolError):
        PeerRoute.of(good | spoiled)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.1.2.3", "10.1.2.200", True),
        ("10.1.2.3", "10.1.3.3", False),
        ("::ffff:10.1.2.3", "10.1.2.4", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("10.1.2.3", "2001:db8::1", False),
        ("", "", False),
    ],
)
def test_which_addresses_are_near_by(one, other, same):
    assert same_network(one, other) is same


async def test_a_ticket_that_takes_long_is_not_waited_for():
    routes = PeerRoutes(lambda _: asyncio.Event().wait(), DirectTimeouts(ticket_s=0.01))
    assert await routes.to(1, "http://127.0.0.1:1") is None


@pytest.mark.parametrize(
    ("route", "asker", "told"),
    [
        (("9.9.9.9", True, "192.168.0.5"), "9.9.9.9", "192.168.0.5"),  # behind the same NAT
        (("9.9.9.9", True, "192.168.0.5"), "9.9.9.8", "9.9.9.9"),
        (("9.9.9.9", False, "192.168.0.5"), "9.9.9.8", None),  # behind another one
        (("9.9.9.9", False, "192.168.0.5"), "::ffff:9.9.9.9", "192.168.0.5"),
        (("::ffff:10.0.0.5", False, "10.0.0.5"), "10.0.0.6", "::ffff:10.0.0.5"),  # in one network, behind a firewall
        (("10.0.0.5", False, "10.0.0.5"), "10.0.1.6", None),
        (("10.0.0.5", False, None), "10.0.0.5", None),
        (("10.0.0.5", True, None), "10.0.0.6", "10.0.0.5"),
    ],
)
def test_contacts_near_by_are_told_the_address_that_they_can_try(route, asker, told):
    address, called, local = route
    assert DirectRoute(address, 40_123, KEY, called, local).from_where(asker) == told
