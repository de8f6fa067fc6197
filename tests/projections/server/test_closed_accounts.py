"""Whose accounts are closed: a user who is listed may have no key any more."""

from domain.event import in_stream
from domain.events.global_server import AccountClosed
from domain.events.home import UserClosed
from projections.server.closed_accounts import ClosedAccounts
from tests.domain.home_stories import WHEN, logged_in

ACCOUNT_CLOSED = AccountClosed(uid=42, reason="", home="h1", homes=["h1"], **WHEN)


def folded(*events):
    index = ClosedAccounts()
    for number, (stream, event) in enumerate(events, 1):
        index.apply(number, in_stream([event], stream, 0)[0])
    return index


def test_a_closed_account_is_listed_at_home_and_at_the_global_server():
    index = folded(("user-7", UserClosed(resident=True, **WHEN)), ("account-42", ACCOUNT_CLOSED), ("user-9", logged_in()))
    assert (index.uids, index.position) == ({7, 42}, 3)


def test_a_repeat_changes_nothing():
    index = folded(("user-9", logged_in()))
    index.apply(1, in_stream([ACCOUNT_CLOSED], "account-42", 0)[0])
    assert (index.uids, index.position) == (set(), 1)


def test_a_checkpoint_is_the_index_and_the_set_stays_the_same_object():
    index = folded(("account-42", ACCOUNT_CLOSED))
    loaded = folded(("user-7", UserClosed(resident=True, **WHEN)))
    uids = loaded.uids
    assert not loaded.from_checkpoint(index.to_checkpoint() | {"format": 0})
    assert (uids, loaded.position) == ({7}, 1)
    assert loaded.from_checkpoint(index.to_checkpoint())
    assert loaded.uids is uids
    assert (uids, loaded.position) == ({42}, 1)
