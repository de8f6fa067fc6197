"""Who may say what in the history. Rule: a publication counts when its server signed it, its certificate is the Global Server's, and its
publisher speaks for it; the attacker has h2's key, h2's user of the broker, and everything that was ever published.
"""

from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from broker import envelope, history
from broker.envelope import EventRecord
from broker.port import StreamItem
from broker.publishers import Publishers
from domain.registry.registered_home import GLOBAL
from servers.trust import certificate
from servers.trust.publications import Altered, HistoryJudge, HistorySigner
from servers.trust.server_identity import NotBelieved
from servers.trust.trust import Trust
from tests.servers.strangers import RecordsInMemory

NOW = 1_700_000_000.0
LIFE = (7, 0, 0)


class Members:
    """A Global Server and two homes, and a reader who has the Global Server's key. Each server has a user of its own at the broker."""

    def __init__(self) -> None:
        self.now = NOW
        self.trusts = {name: Trust(name, RecordsInMemory(), lambda: self.now) for name in (GLOBAL, "h1", "h2")}
        self.trusts[GLOBAL].certify_itself()
        for name in ("h1", "h2"):
            self.certifies(name)
        self.judge = HistoryJudge(self.trusts[GLOBAL].identity.public, Publishers("reader", GLOBAL).speak_for)
        self.offset = -1

    def certifies(self, name: str) -> None:
        home, of_all = self.trusts[name], self.trusts[GLOBAL].identity
        home.peers.pin(of_all.public)
        after = 0 if home.peers.held is None else home.peers.held.number
        home.peers.hold(certificate.issue(of_all, name=name, urls=(), key=home.identity.public, life=7, after=after, now=self.now))

    def says(self, name: str, *positions: int, era: int = 1, at: float = NOW) -> bytes:
        records = [record(position, at) for position in positions]
        signer = HistorySigner(self.trusts[name], lambda: self.now)
        return signer.publication(era, LIFE, min(positions, default=1) - 1, max(positions, default=0), records)

    def reads(self, body: bytes, publisher: str | None) -> Any:
        self.offset += 1
        return self.judge.read(StreamItem(self.offset, body, {}, publisher))


def record(position: int, at: float = NOW) -> EventRecord:
    return EventRecord(position, "user-1", position, "user.adopted", at, msgpack.packb({"at": at, "cause": "c"}))


@pytest.fixture
def members() -> Members:
    return Members()


def test_what_a_server_signed_and_published_itself_counts(members: Members) -> None:
    told = members.reads(members.says("h1", 1, 2, 5), "h1")
    assert [each.position for each in told.events] == [1, 2, 5]
    assert (told.source, told.head.after, told.head.last) == ("h1", 0, 5)
    assert members.judge.keys_of("h1") == {members.trusts["h1"].identity.public}


def in_its_name(members: Members) -> bytes:
    """h2 signs with its own key, and calls itself h1."""
    members.trusts["h2"].identity.name, members.trusts["h2"].name = "h1", "h1"
    return members.says("h2", 1)


def with_its_certificate(members: Members) -> bytes:
    """The same, with h1's certificate."""
    members.trusts["h2"].peers.certificate = members.trusts["h1"].peers.certificate
    return in_its_name(members)


def unsigned(members: Members) -> bytes:
    """As 79ccbf3 published, after the first era has begun."""
    members.reads(members.says(GLOBAL), GLOBAL)
    return envelope.encode("h1", [record(2**62)])


@pytest.mark.parametrize("forge", [in_its_name, with_its_certificate, unsigned])
@pytest.mark.parametrize("publisher", ["h2", "h1", None])
def test_what_another_forged_does_not_count(members: Members, forge: Callable[[Members], bytes], publisher: str | None) -> None:
    """On 79ccbf3 each of these was in the audit, and hid what h1 said afterwards. Even who has h1's user of the broker needs its key."""
    with pytest.raises(NotBelieved):
        members.reads(forge(members), publisher)
    assert members.judge.refused == 1


def test_what_a_server_said_counts_from_itself_alone(members: Members) -> None:
    """h2 publishes again what h1 had signed: as a repeat it would change nothing, and it would not be h1's word that it stands there."""
    body = members.says("h1", 1)
    with pytest.raises(NotBelieved, match="'h2' published"):
        members.reads(body, "h2")
    with pytest.raises(NotBelieved):
        members.reads(body, None)


def test_what_was_changed_on_its_way_is_named_as_such(members: Members) -> None:
    body = bytearray(members.says("h1", 1))
    body[body.index(b"user-1") + 5] = ord("9")
    with pytest.raises(Altered) as found:
        members.reads(bytes(body), "h1")
    assert found.value.told.events[0].stream == "user-9"


def test_nobody_publishes_before_it_happened_or_with_a_certificate_of_another_time(members: Members) -> None:
    with pytest.raises(NotBelieved, match="before it happened"):
        members.reads(members.says("h1", 1, at=NOW + 3_600), "h1")
    members.now = NOW + 2 * certificate.LIFETIME_S
    with pytest.raises(NotBelieved, match="at that time"):
        members.reads(members.says("h1", 2, at=members.now), "h1")


def test_a_revoked_certificate_counts_for_what_was_published_before_it(members: Members) -> None:
    before, after = members.says("h2", 1), members.says("h2", 2)
    held = members.trusts["h2"].peers.held
    assert held is not None
    data = msgpack.packb({"name": "h2", "number": held.number})
    revoked = EventRecord(3, "home-h2", 4, "home.revoked", NOW, data)
    word = HistorySigner(members.trusts[GLOBAL], lambda: NOW).publication(1, LIFE, 0, 3, [revoked])
    assert members.reads(before, "h2").source == "h2"
    members.reads(word, GLOBAL)
    with pytest.raises(NotBelieved, match="revoked"):
        members.reads(after, "h2")


def test_the_past_before_the_first_era_is_read_as_unsigned(members: Members) -> None:
    old = envelope.encode("h1", [record(1)])
    assert members.reads(old, None).head is None
    assert members.judge.unsigned == 1
    with pytest.raises(NotBelieved):
        members.reads(old, "h2")


def test_a_reader_without_the_key_takes_that_of_the_global_server(members: Members) -> None:
    members.judge = HistoryJudge(speaks_for=Publishers("reader", GLOBAL).speak_for)
    assert members.reads(members.says("h1", 1), "h1").source == "h1"
    assert (members.judge.unproven, members.judge.key_is_told) == (1, False)
    members.reads(members.says(GLOBAL), GLOBAL)
    with pytest.raises(NotBelieved):
        members.reads(with_its_certificate(members), "h1")


def test_positions_outside_the_range_that_a_message_names_are_malformed(members: Members) -> None:
    head = history.Head(era=1, life=7, former=0, agreed=0, after=5, last=6, at=NOW, certificate=b"")
    body = history.encode("h1", head, [record(2**62)], lambda signed: bytes(64))
    with pytest.raises(Exception, match="do not lie between"):
        members.reads(body, "h1")
