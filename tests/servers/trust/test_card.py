"""A card proves itself by the pinned key of the Global Server; what does not is not believed, and an old one never comes back."""

from pathlib import Path

import pytest

from servers.trust import certificate
from servers.trust.box_keys import PURPOSE, BoxKey
from servers.trust.card import card_bytes, read_card
from servers.trust.server_identity import NotBelieved, ServerIdentity, new_key
from servers.trust.trust import Trust
from tests.servers.trust.installations import DAY_S, Installation, Member


def issued_by(house: Installation, signer: ServerIdentity, name: str, key: bytes, after: int = 0) -> bytes:
    return certificate.issue(signer, name=name, urls=(), key=key, life=1, after=after, now=house.time())


def test_a_stranger_cannot_make_itself_a_card(house: Installation) -> None:
    """Neither with a key of its own in the Global Server's place, nor with its own certificate, nor with somebody else's."""
    h3, mine = house.h3, house.h3.identity
    boxes = h3.box_keys.statements
    forged = (
        card_bytes(issued_by(house, mine, "h1", mine.public), boxes),
        card_bytes(issued_by(house, mine, "global", mine.public), boxes),
        card_bytes(house.h1.peers.certificate, boxes),
        card_bytes(h3.peers.certificate, (mine.signed(PURPOSE, BoxKey("h1", 1, bytes(range(32)), 0.0)),)),
        card_bytes(h3.peers.certificate, ()),
        card_bytes(h3.peers.certificate, boxes * 3),
        card_bytes(b"", boxes),
        b"",
        b"\x92\xc0\xc0",
    )
    for card in forged:
        with pytest.raises(NotBelieved):
            house.h2.peers.learn(card)
    assert set(house.h2.peers.known) == {"global", "h1", "h2"}


def test_a_box_key_that_everybody_would_share_is_none(house: Installation) -> None:
    weak = house.h3.identity.signed(PURPOSE, BoxKey("h3", 2**40, bytes(32), 0.0))
    with pytest.raises(NotBelieved, match="no key"):
        house.h2.peers.learn(card_bytes(house.h3.peers.certificate, (weak,)))


def test_an_old_card_does_not_come_back(house: Installation) -> None:
    old = house.h1.card
    house.time.now += DAY_S
    house.h1.box_keys.rotate()
    assert house.h2.peers.learn(house.h1.card)
    assert not house.h2.peers.learn(house.h1.card)
    assert not house.h2.peers.learn(old)
    known = house.h2.peers.card("h1")
    assert known is not None
    assert known.box_keys[0].number == house.h1.box_keys.newest.number


def test_a_revoked_number_is_never_believed_again_and_a_new_enrolment_is(house: Installation) -> None:
    held = house.h1.peers.held
    assert held is not None
    told: list[str] = []
    house.h2.peers.on_learned.append(told.append)
    house.h2.peers.revoke("h1", held.number)
    assert told == ["h1"]
    assert house.h2.peers.card("h1") is None
    with pytest.raises(NotBelieved, match="revoked"):
        house.h2.peers.learn(house.h1.card)
    house.h2.peers.save()
    again = house.h2.restarted()
    with pytest.raises(NotBelieved, match="revoked"):
        again.peers.learn(house.h1.card)
    house.h1.enrolled_by(house.registry)
    assert again.peers.learn(house.h1.card)
    again.table.close()


def test_a_restart_without_the_global_server_knows_what_it_knew(house: Installation) -> None:
    house.h2.peers.save()
    again = house.h2.restarted()
    assert set(again.peers.known) == {"global", "h1", "h2"}
    assert again.identity.public == house.h2.identity.public
    assert again.box_keys.newest.public == house.h2.box_keys.newest.public
    assert again.peers.held == house.h2.peers.held
    assert again.boxes.open("h1", "mail", b"", house.h1.boxes.close("h2", "mail", b"", b"still here?")) == b"still here?"
    again.table.close()


def test_two_processes_of_one_server_agree_on_its_keys(house: Installation, tmp_path: Path) -> None:
    """Both look at once whether a new key is due; the second one takes what the first one made."""
    other = Member("h1", tmp_path / "h1.db", house.time)
    house.time.now += 8 * DAY_S
    house.h1.box_keys.rotate()
    other.box_keys.rotate()
    assert other.box_keys.statements == house.h1.box_keys.statements
    assert len(other.box_keys.statements) == 2
    other.table.close()


def test_the_global_servers_key_is_pinned_for_good(house: Installation) -> None:
    with pytest.raises(NotBelieved, match="another key"):
        house.h1.peers.pin(ServerIdentity("global", new_key()).public)
    assert house.h1.peers.global_key == house.registry.identity.public


def test_a_certificate_of_somebody_else_is_not_held(house: Installation) -> None:
    with pytest.raises(NotBelieved, match="given to h1"):
        house.h1.peers.hold(house.h2.peers.certificate)


def test_a_certificate_ends_after_a_year(house: Installation) -> None:
    held = house.h1.peers.held
    assert held is not None
    house.time.now += 304 * DAY_S
    assert not held.ageing(house.time())
    house.time.now += 2 * DAY_S
    assert held.ageing(house.time())
    house.time.now += 60 * DAY_S
    with pytest.raises(NotBelieved, match="expired"):
        read_card(house.h1.card, house.registry.identity.public, house.time())


def test_the_global_server_renews_its_own_certificate_at_work(house: Installation) -> None:
    first = house.registry.peers.held
    trust = Trust("global", house.registry.table, house.time)
    house.time.now += 100 * DAY_S
    trust.take(trust.look_after())
    assert trust.peers.held == first
    house.time.now += 210 * DAY_S
    before = trust.card
    trust.take(trust.look_after())
    assert trust.card != before
    assert house.h1.peers.learn(trust.card)
    house.time.now += 300 * DAY_S
    assert house.h1.peers.card("global") is not None
    assert house.h1.peers.card("h2") is None


def test_a_server_that_is_not_enrolled_believes_nobody(house: Installation, tmp_path: Path) -> None:
    newcomer = Member("h9", tmp_path / "h9.db", house.time)
    with pytest.raises(NotBelieved, match="not enrolled"):
        newcomer.peers.learn(house.h1.card)
    newcomer.table.close()
