"""A box opens for its addressee, from its sender, with its head and its purpose, and in no other way."""

import pytest

from servers.trust import box
from servers.trust.box import CannotOpen, NoCard
from tests.servers.trust.installations import DAY_S, Installation

HEAD, TEXT = b"from h1 to h2", b"pop over?" * 20


def test_h2_reads_what_h1_says(house: Installation) -> None:
    boxed = house.h1.boxes.close("h2", "mail", HEAD, TEXT)
    assert TEXT not in boxed
    assert len(boxed) == len(TEXT) + box.BOX_BYTES
    assert house.h2.boxes.open("h1", "mail", HEAD, boxed) == TEXT


@pytest.mark.parametrize("place", range(0, box.BOX_BYTES + len(TEXT), 7))
def test_no_byte_may_be_another(house: Installation, place: int) -> None:
    boxed = bytearray(house.h1.boxes.close("h2", "mail", HEAD, TEXT))
    boxed[place] ^= 1
    with pytest.raises(CannotOpen):
        house.h2.boxes.open("h1", "mail", HEAD, bytes(boxed))


def test_the_head_the_purpose_and_the_sender_belong_to_it(house: Installation) -> None:
    boxed = house.h1.boxes.close("h2", "mail", HEAD, TEXT)
    for source, purpose, head in (("h1", "mail", b"from h1 to h3"), ("h1", "answer", HEAD), ("global", "mail", HEAD)):
        with pytest.raises(CannotOpen):
            house.h2.boxes.open(source, purpose, head, boxed)


def test_nobody_else_can_read_it_and_it_cannot_be_sent_back(house: Installation) -> None:
    boxed = house.h1.boxes.close("h2", "mail", HEAD, TEXT)
    house.h3.peers.learn(house.h1.card)
    with pytest.raises(CannotOpen):
        house.h3.boxes.open("h1", "mail", HEAD, boxed)
    with pytest.raises(CannotOpen):
        house.h1.boxes.open("h2", "mail", HEAD, boxed)


@pytest.mark.parametrize("boxed", [b"", b"\x01", b"\x02" * 80, b"\x01" * 20, b"\x01" + b"\0" * 100])
def test_what_is_no_box_is_no_box(house: Installation, boxed: bytes) -> None:
    with pytest.raises(CannotOpen):
        house.h2.boxes.open("h1", "mail", HEAD, boxed)


def test_nothing_is_said_to_a_stranger_and_nothing_is_heard_from_one(house: Installation) -> None:
    with pytest.raises(NoCard, match="h3"):
        house.h1.boxes.close("h3", "mail", HEAD, TEXT)
    house.h3.peers.learn(house.h2.card)
    with pytest.raises(CannotOpen, match=box.UNKNOWN_SENDER):
        house.h2.boxes.open("h3", "mail", HEAD, house.h3.boxes.close("h2", "mail", HEAD, TEXT))


def test_keys_change_each_week_and_the_last_one_still_opens(house: Installation) -> None:
    """h1 does not hear that h2 has a new key; a week later its boxes open still, and two weeks later they do not."""
    first = house.h1.boxes.close("h2", "mail", HEAD, TEXT)
    house.time.now += 7 * DAY_S
    assert house.h2.box_keys.due
    house.h2.box_keys.rotate()
    assert not house.h2.box_keys.due
    assert house.h2.boxes.open("h1", "mail", HEAD, first) == TEXT
    with pytest.raises(CannotOpen, match=box.UNKNOWN_SENDERS_KEY):
        house.h1.boxes.open("h2", "mail", HEAD, house.h2.boxes.close("h1", "mail", HEAD, TEXT))
    house.h1.peers.learn(house.h2.card)
    assert house.h1.boxes.open("h2", "mail", HEAD, house.h2.boxes.close("h1", "mail", HEAD, TEXT)) == TEXT
    assert house.h2.boxes.open("h1", "mail", HEAD, house.h1.boxes.close("h2", "mail", HEAD, TEXT)) == TEXT
    house.time.now += 7 * DAY_S
    house.h2.box_keys.rotate()
    with pytest.raises(CannotOpen, match=box.NOT_OUR_KEY):
        house.h2.boxes.open("h1", "mail", HEAD, first)


def test_a_revoked_server_is_not_heard_any_more(house: Installation) -> None:
    boxed = house.h1.boxes.close("h2", "mail", HEAD, TEXT)
    assert house.h2.boxes.open("h1", "mail", HEAD, boxed) == TEXT
    house.h2.peers.revoke("h1", 2**62)
    with pytest.raises(CannotOpen, match=box.UNKNOWN_SENDER):
        house.h2.boxes.open("h1", "mail", HEAD, boxed)
    with pytest.raises(NoCard):
        house.h2.boxes.close("h1", "mail", HEAD, TEXT)


def test_a_year_later_nobody_is_believed_by_an_old_certificate(house: Installation) -> None:
    boxed = house.h1.boxes.close("h2", "mail", HEAD, TEXT)
    house.time.now += 365 * DAY_S
    with pytest.raises(CannotOpen, match=box.UNKNOWN_SENDER):
        house.h2.boxes.open("h1", "mail", HEAD, boxed)
    with pytest.raises(NoCard):
        house.h1.boxes.close("h2", "mail", HEAD, TEXT)
