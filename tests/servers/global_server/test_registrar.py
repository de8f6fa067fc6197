"""Homes become known, are renewed, moved and revoked: as the ops do it, as a home does it, and as somebody tries who has no right to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import msgpack

from domain.errors import Unavailable
from domain.events.global_server import CertificateIssued, HomeAnnounced, HomeEnrolled, HomeRevoked, UrlAllowed, UserRegistered
from domain.rules.global_server import RULES
from servers.global_server.service import GlobalServer
from servers.messaging.questions import Announce
from servers.store.event_store import Store
from servers.trust import certificate
from servers.trust.card import global_key_of
from servers.trust.enrolment import Enrol, Enrolled, Secret, ask_to_enrol, check_enrolled, fingerprint, open_secret, read_open_secret
from servers.trust.records import ENROLMENT, Records
from servers.trust.server_identity import NotBelieved, ServerIdentity, new_key
from servers.trust.trust import Trust
from servers.trust.wishes import Wish, make_wish
from tests.servers.registry import House
from tests.servers.stores import put
from tests.servers.strangers import RecordsInMemory, ask_global, enrols, secret_for
from tests.support.waiting import eventually

URL = "https://h1.example"


@pytest.fixture
async def house(tmp_path: Path, store_url: Callable[[str], str]) -> AsyncIterator[House]:
    async with House.open(tmp_path, store_url) as house:
        yield house


def records(server: GlobalServer) -> Records:
    return server.lifecycle.trust.records


def events_of(server: GlobalServer, home: str) -> list[Any]:
    return [each.event for each in server.lifecycle.store.read(0, 1_000) if each.event.originator_id == f"home-{home}"]


async def asks(house: House, secret: Secret, trust: Trust, url: str = URL) -> tuple[Enrol, Enrolled]:
    asked = ask_to_enrol(secret, trust.identity, url, 7, trust.box_keys.statements)
    return asked, msgpack.decode(await house.broker.request("global", msgpack.encode(asked), 5), type=Enrolled)


def home(house: House, name: str = "h1") -> Trust:
    return Trust(name, RecordsInMemory(), house.clock)


async def test_a_home_with_a_secret_becomes_known(house: House) -> None:
    server, trust = await house.opens(), home(house)
    secret = secret_for(records(server), "h1", house.clock(), URL)
    asked, told = await asks(house, secret, trust)
    check_enrolled(secret, asked, told, global_key_of(told.card))
    trust.peers.pin(global_key_of(told.card))
    held = trust.peers.hold(told.certificate)
    assert (held.name, held.urls, held.key, held.life) == ("h1", (URL,), trust.identity.public, 7)
    assert [type(event) for event in events_of(server, "h1")] == [UrlAllowed, HomeEnrolled, CertificateIssued]
    trust.peers.learn(told.card)
    assert "h1" not in server.directory.homes, "it is not there before it says so"
    assert "keys" in await ask_global(house.broker, trust, Announce("h1", URL, trust.card))
    assert server.directory.homes["h1"].url == URL


async def test_the_events_prove_themselves_with_the_global_servers_key_alone(house: House) -> None:
    server = await house.opens()
    trust = await enrols(house.broker, records(server), "h1", URL, house.clock)
    issued = next(event for event in events_of(server, "h1") if isinstance(event, CertificateIssued))
    told = certificate.read(bytes.fromhex(issued.certificate), server.lifecycle.trust.identity.public, house.clock())
    assert (told.name, told.number, told.expires, told.key) == ("h1", issued.number, issued.expires, trust.identity.public)
    secret = server.lifecycle.trust.records.read("identity")
    assert secret is not None
    assert all(secret.hex() not in str(event) for event in events_of(server, "h1"))


async def test_nobody_is_enrolled_because_they_came_first(house: House) -> None:
    """Neither with no secret, nor with another home's, nor with a wrong one, nor by announcing themselves."""
    server, trust = await house.opens(), home(house)
    mine = server.lifecycle.trust.identity.public
    _, told = await asks(house, Secret("h1", fingerprint(mine), b"?" * 32), trust)
    assert "no secret" in told.refused
    secret_for(records(server), "h1", house.clock())
    _, told = await asks(house, Secret("h1", fingerprint(mine), b"?" * 32), trust)
    assert "not the secret" in told.refused
    for_h2 = secret_for(records(server), "h2", house.clock())
    _, told = await asks(house, for_h2, trust)
    assert "not the secret" in told.refused
    for name in ("h1", "h9", "invented"):
        thief = home(house, name)
        thief.peers.pin(mine)
        thief.peers.learn(server.lifecycle.trust.card)
        with pytest.raises(Unavailable, match="does not know this server"):
            await ask_global(house.broker, thief, Announce(name, f"http://{name}"))
    assert server.directory.homes == {}
    assert server.lifecycle.registrar.refused == 3
    assert events_of(server, "h1") == []


async def test_a_secret_is_good_once_and_for_an_hour(house: House) -> None:
    server, trust = await house.opens(), home(house)
    secret = secret_for(records(server), "h1", house.clock())
    assert not (await asks(house, secret, trust))[1].refused
    assert not (await asks(house, secret, trust))[1].refused, "the answer was lost: the same home asks again"
    assert len(events_of(server, "h1")) == 3, "which is no second enrolment"
    assert "was used" in (await asks(house, secret, home(house)))[1].refused
    late = secret_for(records(server), "h2", house.clock())
    house.clock.now += 3_600
    assert "an hour" in (await asks(house, late, home(house, "h2")))[1].refused


async def test_what_was_proved_cannot_be_changed_on_the_way(house: House) -> None:
    """Somebody between the two puts their own key, or their own URL, into the home's question."""
    server, thief = await house.opens(), home(house)
    secret = secret_for(records(server), "h1", house.clock())
    asked = ask_to_enrol(secret, home(house).identity, URL, 7, ())
    for change in ({"key": thief.identity.public, "box_keys": thief.box_keys.statements}, {"url": "https://thief.example"}):
        forged = msgpack.decode(msgpack.encode(asked)) | change
        told = msgpack.decode(await house.broker.request("global", msgpack.encode(forged), 5), type=Enrolled)
        assert "not the secret" in told.refused


async def test_a_false_global_server_is_not_believed(house: House) -> None:
    """It has a key of its own, and even the secret: the fingerprint is that of another one."""
    server, trust = await house.opens(), home(house)
    secret = secret_for(records(server), "h1", house.clock())
    asked, told = await asks(house, secret, trust)
    false = Trust("global", RecordsInMemory(), house.clock)
    false.certify_itself()
    with pytest.raises(NotBelieved, match="does not have the secret"):
        check_enrolled(secret, asked, Enrolled(certificate=told.certificate, card=false.card, proof=told.proof), false.identity.public)
    trust.peers.pin(global_key_of(told.card))
    with pytest.raises(NotBelieved, match="another key"):
        trust.peers.pin(false.identity.public)
    with pytest.raises(NotBelieved):
        trust.peers.learn(false.card)


async def test_a_secret_may_say_where_the_home_is(house: House) -> None:
    server = await house.opens()
    secret = secret_for(records(server), "h1", house.clock(), URL)
    assert "another URL" in (await asks(house, secret, home(house), "https://elsewhere.example"))[1].refused


async def test_a_home_is_announced_only_where_the_ops_allowed_it(house: House) -> None:
    server = await house.opens()
    trust = await enrols(house.broker, records(server), "h1", URL, house.clock)
    told = await ask_global(house.broker, trust, Announce("h1", "https://thief.example", trust.card))
    assert "flash servers allow h1 https://thief.example" in told["refused"]
    assert server.directory.homes["h1"].url == URL
    wish = make_wish(records(server), Wish(kind="allow", home="h1", url="https://new.example"))
    await eventually(lambda: records(server).read(wish) is None)
    told = await ask_global(house.broker, trust, Announce("h1", "https://new.example", trust.card))
    assert server.directory.homes["h1"].url == "https://new.example"
    assert trust.peers.hold(told["certificate"]).urls == ("https://new.example",)
    assert [type(event) for event in events_of(server, "h1")[-3:]] == [UrlAllowed, HomeAnnounced, CertificateIssued]


async def test_a_certificate_renews_itself(house: House) -> None:
    server = await house.opens()
    trust = await enrols(house.broker, records(server), "h1", URL, house.clock)
    first = trust.peers.held
    assert first is not None
    house.clock.now += 200 * 86_400
    assert "certificate" not in await ask_global(house.broker, trust, Announce("h1", URL, trust.card))
    house.clock.now += 120 * 86_400
    told = await ask_global(house.broker, trust, Announce("h1", URL, trust.card))
    second = trust.peers.hold(told["certificate"])
    assert second.number > first.number
    assert second.expires > first.expires + 300 * 86_400
    assert server.lifecycle.trust.peers.card("h1").certificate.number == second.number


async def test_a_revoked_home_is_believed_by_nobody(house: House) -> None:
    server = await house.opens()
    trust = await enrols(house.broker, records(server), "h1", URL, house.clock)
    other = await enrols(house.broker, records(server), "h2", "https://h2.example", house.clock)
    other.peers.learn(trust.card)
    wish = make_wish(records(server), Wish(kind="revoke", home="h1"))
    await eventually(lambda: records(server).read(wish) is None)
    assert server.lifecycle.trust.peers.card("h1") is None
    revoked = events_of(server, "h1")[-1]
    assert isinstance(revoked, HomeRevoked)
    assert revoked.homes == ["h1", "h2"]
    with pytest.raises(Unavailable, match="not revoked"):
        await ask_global(house.broker, trust, Announce("h1", URL, trust.card))
    told = await ask_global(house.broker, other, Announce("h2", "https://h2.example", other.card))
    assert told["revoked"] == {"h1": revoked.number}
    other.peers.revoke("h1", told["revoked"]["h1"])
    assert other.peers.card("h1") is None
    assert server.directory.pick_home({"h1"}) is None
    again = secret_for(records(server), "h1", house.clock())
    _, answer = await asks(house, again, trust)
    assert not answer.refused
    assert server.directory.pick_home({"h1"}) == "h1"


async def test_the_used_secret_of_a_revoked_home_is_worth_nothing(house: House) -> None:
    server, trust = await house.opens(), home(house)
    secret = secret_for(records(server), "h1", house.clock())
    await asks(house, secret, trust)
    await server.lifecycle.registrar.revoke("h1")
    assert "no secret" in (await asks(house, secret, trust))[1].refused


async def test_a_restart_knows_who_was_revoked_and_who_was_not(house: House) -> None:
    server = await house.opens()
    await enrols(house.broker, records(server), "h1", URL, house.clock)
    await enrols(house.broker, records(server), "h2", "https://h2.example", house.clock)
    await server.lifecycle.registrar.revoke("h1")
    key = server.lifecycle.trust.identity.public
    await house.closes(server)
    server = await house.opens()
    assert server.lifecycle.trust.identity.public == key
    assert server.lifecycle.trust.peers.card("h1") is None
    assert server.lifecycle.trust.peers.card("h2") is not None


async def test_homes_of_an_older_log_keep_their_users_and_are_enrolled_once(house: House, tmp_path: Path) -> None:
    """The log is one of before enrolment: two homes were announced, one has a user. h1 shares the directory, and h2 gets a secret."""
    store = Store(house.store_url, "global", RULES)
    when = {"at": house.clock(), "cause": "before"}
    account = UserRegistered(uid=1, handle="ann", home="h1", profile={}, **when)
    homes = [HomeAnnounced(name=name, url=f"https://{name}.example", **when) for name in ("h1", "h2")]
    for stream, event in (("account-1", account), ("home-h1", homes[0]), ("home-h2", homes[1])):
        put(store, stream, 0, [event])
    store.close()
    server = await house.opens()
    assert server.directory.residents("h1") == 1
    by_itself = open_secret(records(server), "h1", url=URL, expires=house.clock() + 60, by_ops=False)
    assert by_itself is not None
    assert not (await asks(house, by_itself, home(house)))[1].refused
    by_ops = secret_for(records(server), "h2", house.clock())
    assert not (await asks(house, by_ops, home(house, "h2"), "https://h2.example"))[1].refused
    assert {type(event) for event in events_of(server, "h1")} == {HomeAnnounced, HomeEnrolled, CertificateIssued}, "its URL was known"
    assert server.directory.pick_home({"h1", "h2"}) == "h2"
    assert server.directory.residents("h1") == 1


async def test_the_hour_of_a_secret_in_a_file_begins_when_the_global_server_sees_it(house: House) -> None:
    server = await house.opens()
    found = records(server)
    secret = open_secret(found, "h1", expires=0.0, by_ops=True)
    assert secret is not None

    def expires() -> float:
        stored = found.read(ENROLMENT + "h1")
        return 0.0 if stored is None else read_open_secret(stored).expires

    await eventually(lambda: expires() == house.clock() + 3_600)
    house.clock.now += 3_601
    await eventually(lambda: found.read(ENROLMENT + "h1") is None)


async def test_two_homes_that_use_one_secret_at_once(house: House) -> None:
    server = await house.opens()
    secret = secret_for(records(server), "h1", house.clock())
    told = await asyncio.gather(*(asks(house, secret, home(house)) for _ in range(5)))
    assert sum(not answer.refused for _, answer in told) == 1


def test_a_secret_is_read_as_it_was_printed_and_shows_nowhere() -> None:
    secret = Secret("h1", fingerprint(ServerIdentity("global", new_key()).public), b"s" * 32)
    assert Secret.read(f" {secret.text}\n") == secret
    assert repr(secret) == "Secret(h1)"
    for text in ("", "h1", "h1.", "h1.abc", "global.?", secret.text[3:], f"{secret.text}AAAA", "H1." + secret.text[3:]):
        with pytest.raises(ValueError):
            Secret.read(text)
