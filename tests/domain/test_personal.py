"""Whose the personal values of an event are, and what stands for them once their owner is erased."""

from domain.event import in_stream
from domain.events.global_server import UserRegistered
from domain.events.home import ContactAdded, UserAdopted
from domain.personal import erased, owners
from tests.domain.home_stories import ADOPTED, ANN, BOB, BOB_ADDED, WHEN, message_sent, queued, receipt


def at_ann(event, kind="user"):
    """The event as it stands in a stream of Ann's."""
    (there,) = in_stream([event], f"{kind}-{ANN}", 6)
    return there


def test_the_owners_of_an_event_are_the_people_of_whom_it_says_something():
    assert owners(at_ann(ADOPTED)) == owners(at_ann(message_sent())) == {ANN}
    assert owners(at_ann(BOB_ADDED)) == owners(at_ann(queued(1), "mailbox")) == {BOB}, "an empty alias says nothing of Ann"
    assert owners(at_ann(receipt(1), "mailbox")) == set()
    assert owners(at_ann(UserAdopted(handle="ann", name="", **WHEN))) == set()


def test_an_erased_value_is_empty_in_the_way_of_its_type():
    assert erased(UserAdopted) == {"name": ""}
    assert erased(ContactAdded) == {"name": "", "alias": None}
    assert erased(UserRegistered) == {"profile": {}}
