"""The Global Server at work: people register, log in, find each other; two servers share a store; a store goes away."""

import asyncio

import msgpack
import pytest

from domain.errors import BadCredentials, Forbidden, HandleTaken, Invalid, Unauthorized, Unavailable, UnknownUser
from domain.events.global_server import AccountClosed, UserRegistered
from domain.registry.commands import LookUpAccount
from servers.global_server import views
from servers.global_server.uid_blocks import BLOCK
from servers.messaging.questions import AskUser
from servers.security.passwords import Cost
from servers.store.log.event_log import Conflicted
from servers.trust.user_words import UserWords
from tests.servers.registry import HERE, PASSWORD, House
from tests.servers.strangers import ask_global
from tests.support.waiting import eventually


@pytest.fixture
async def house(tmp_path, store_url):
    async with House.open(tmp_path, store_url) as house:
        yield house


@pytest.fixture
async def server(house):
    server = await house.opens()
    await house.home("h1")
    return server


def who(server, grant):
    return server.verifier.verify(grant.global_token or grant.token)


async def test_ann_registers_and_is_who_her_token_says(server):
    grant = await server.register("Ann", PASSWORD, {"full_name": "Ann Lee", "city": ""}, HERE)
    assert (grant.uid, grant.handle, grant.home) == (1, "ann", views.Home("h1", "http://h1.example"))
    assert grant.expires_at == "2023-12-14T22:13:20.000000Z"
    ann = who(server, grant)
    assert (ann.uid, ann.handle, ann.name, ann.home, ann.home_url) == (1, "ann", "Ann Lee", "h1", "http://h1.example")
    assert ann.roles == frozenset()
    found = await server.search(ann, "lee", {}, 20, None)
    assert found.users == [await server.user(ann, 1)] == [await server.user_by_handle(ann, "ANN")]
    assert found.users == [views.User(1, "ann", grant.home, {"full_name": "Ann Lee"})]
    assert found.next is None


async def test_a_handle_is_given_once(server):
    await server.register("ann", PASSWORD, {}, HERE)
    with pytest.raises(HandleTaken):
        await server.register("ANN", PASSWORD, {}, HERE)


async def test_of_many_who_want_one_handle_at_once_one_gets_it(server):
    results = await asyncio.gather(*(server.register("ann", PASSWORD, {}, HERE) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, views.Grant) for result in results) == 1
    assert sum(isinstance(result, HandleTaken) for result in results) == 7


async def test_who_leaves_is_found_no_more_and_what_they_said_is_unreadable(house, server):
    grant = await server.register("ann", PASSWORD, {"full_name": "Ann Lee", "city": "Miami"}, HERE)
    ann = who(server, grant)
    with pytest.raises(BadCredentials):
        await server.erase_me(ann, "wrong horse", HERE)
    assert server.directory.search("miami")[0]
    await server.erase_me(ann, PASSWORD, HERE)
    assert server.directory.search("miami") == ([], None)
    with pytest.raises(BadCredentials):
        await server.token("ann", PASSWORD, HERE)
    with pytest.raises(Unauthorized):
        who(server, grant)
    with pytest.raises(HandleTaken):
        await server.register("ann", PASSWORD, {}, HERE)
    events = [committed.event for committed in server.lifecycle.store.read(0, 100)]
    (registered,) = [event for event in events if isinstance(event, UserRegistered)]
    assert (registered.handle, registered.profile) == ("ann", {})
    assert [event.homes for event in events if isinstance(event, AccountClosed)] == [["h1"]]
    await house.closes(server)
    again = await house.opens()
    assert again.directory.users == {}
    with pytest.raises(Unauthorized):
        who(again, grant)


async def test_only_ops_erase_somebody_else(house):
    server = await house.opens(ops=frozenset({"olga"}))
    await house.home("h1")
    grants = [await server.register(handle, PASSWORD, {}, HERE, separate_tokens=True) for handle in ("olga", "ann", "eve")]
    olga, ann, eve = [who(server, grant) for grant in grants]
    with pytest.raises(Forbidden):
        await server.erase(eve, ann.uid)
    with pytest.raises(UnknownUser):
        await server.erase(olga, 999)
    await server.erase(olga, ann.uid)
    await server.erase(olga, ann.uid)
    assert ann.uid not in server.directory.users
    assert server.lifecycle.store.keys.cipher(ann.uid) is None


async def test_many_register_at_once_and_share_the_homes(house, server):
    await house.home("h2")
    grants = await asyncio.gather(*(server.register(f"user{n}", PASSWORD, {}, HERE) for n in range(40)))
    assert sorted(grant.uid for grant in grants) == list(range(1, 41))
    assert [server.directory.residents(home) for home in ("h1", "h2")] == [20, 20]


async def test_only_a_live_home_gets_new_users(house, server):
    house.monotonic.now += 60
    server.lifecycle.peers.check()
    await house.home("h2")
    assert (await server.register("ann", PASSWORD, {}, HERE)).home.name == "h2"


async def test_who_comes_before_the_homes_waits_for_the_first(house):
    server = await house.opens()
    early = asyncio.create_task(server.register("ann", PASSWORD, {}, HERE))
    await eventually(lambda: server.homes.waiting == 1)
    await house.home("h1")
    assert (await early).home.name == "h1"


async def test_without_a_home_nobody_registers_and_nothing_is_left_behind(house):
    server = await house.opens(home_wait_s=0.01)
    with pytest.raises(Unavailable, match="Home Server"):
        await server.register("ann", PASSWORD, {}, HERE)
    await house.home("h1")
    assert (await server.register("ann", PASSWORD, {}, HERE)).uid == 1


@pytest.mark.parametrize(("handle", "password", "profile"), [("1", PASSWORD, {}), ("ann", "short", {}), ("ann", PASSWORD, {"shoe": "7"})])
async def test_nonsense_is_refused(server, handle, password, profile):
    with pytest.raises(Invalid):
        await server.register(handle, password, profile, HERE)


async def test_the_password_opens_the_door_and_nothing_else_does(server):
    await server.register("ann", PASSWORD, {}, HERE)
    assert (await server.token("Ann", PASSWORD, HERE)).uid == 1
    for handle, password in (("ann", "wrong horse"), ("bob", PASSWORD), ("ann", ""), ("\ud800", "\ud800")):
        with pytest.raises(BadCredentials):
            await server.token(handle, password, HERE)


async def test_a_profile_changes_for_all_to_see(server):
    ann = who(server, await server.register("ann", PASSWORD, {"full_name": "Ann Lee", "city": "Miami"}, HERE))
    changed = await server.change_profile(ann, {"city": "Orlando", "full_name": None})
    assert changed.profile == {"city": "Orlando"}
    assert changed == await server.user(ann, 1)
    assert (await server.search(ann, "lee", {}, 20, None)).users == []
    assert who(server, await server.token("ann", PASSWORD, HERE)).name == "ann"
    with pytest.raises(Invalid):
        await server.change_profile(ann, {"shoe": "7"})


async def test_nobody_is_found_who_is_not_there(server):
    ann = who(server, await server.register("ann", PASSWORD, {}, HERE))
    with pytest.raises(UnknownUser):
        await server.user(ann, 2)
    with pytest.raises(UnknownUser):
        await server.user_by_handle(ann, "bob")


async def test_a_home_asks_who_owns_a_user(house, server):
    await server.register("ann", PASSWORD, {"full_name": "Ann Lee"}, HERE)
    h1 = house.trusts["h1"]
    told = await ask_global(house.broker, h1, AskUser(1))
    assert told["user"] == {"uid": 1, "handle": "ann", "name": "Ann Lee", "home": "h1"}
    words = UserWords(server.lifecycle.store.keys.table, lambda: h1.peers.global_key)
    assert words.learn(told["word"]) == 1
    assert words.known[1] == ("ann", "h1", told["word"])
    assert await ask_global(house.broker, h1, AskUser(2)) == {"user": None}


async def test_a_question_that_nobody_knows_is_refused(house, server):
    assert "refused" in msgpack.unpackb(await house.broker.request("global", msgpack.packb({"ask": "dance"}), 5))
    assert await ask_global(house.broker, house.trusts["h1"], {"ask": "dance"}) == {"refused": "unknown question"}


async def test_everything_is_there_after_a_restart(house, server):
    await server.register("ann", PASSWORD, {"city": "Miami"}, HERE)
    await house.closes(server)
    again = await house.opens()
    grant = await again.token("ann", PASSWORD, HERE)
    assert grant.home.url == "http://h1.example"
    assert len((await again.search(who(again, grant), "miami", {}, 20, None)).users) == 1
    await house.home("h1")
    assert (await again.register("bob", PASSWORD, {}, HERE)).uid == BLOCK + 1


async def test_old_tokens_are_good_after_a_restart(house, server):
    grant = await server.register("ann", PASSWORD, {}, HERE)
    await house.closes(server)
    assert who(await house.opens(), grant).uid == 1


async def password_hash(server, uid):
    command = LookUpAccount(uid=uid, cause="")
    return await server.writer.submit((command,), answer=lambda _: server.writer.state(command.stream).password_hash)


async def test_a_dearer_cost_is_paid_at_the_next_login(house, server):
    await server.register("ann", PASSWORD, {}, HERE)
    await house.closes(server)
    again = await house.opens(password_cost=Cost(memory_kib=16, passes=1))
    cheap = await password_hash(again, 1)
    assert again.passwords.is_outdated(cheap)
    await again.token("ann", PASSWORD, HERE)
    dear = await password_hash(again, 1)
    assert not again.passwords.is_outdated(dear)
    assert await again.token("ann", PASSWORD, HERE)


async def test_no_hash_leaves_the_store(house, server):
    await server.register("ann", PASSWORD, {}, HERE)
    await eventually(lambda: server.lifecycle.outbox.lag == 0)
    told = [item.body async for item in house.broker.read_stream("flash.history", follow=False)]
    assert any(b"account.user_registered" in body for body in told)
    assert not any(b"argon2" in body or b"credential" in body for body in told)
    assert "argon2" not in repr(server.directory.to_checkpoint())


async def test_ops_have_their_role(house):
    server = await house.opens(ops=frozenset({"root"}))
    await house.home("h1")
    assert who(server, await server.register("Root", PASSWORD, {}, HERE, separate_tokens=True)).roles == {"ops"}
    assert who(server, await server.register("ann", PASSWORD, {}, HERE, separate_tokens=True)).roles == frozenset()
    assert who(server, await server.token("root", PASSWORD, HERE)).roles == frozenset(), "a home sees the token of an old client"


async def test_two_servers_on_one_store_give_nothing_twice(house):
    """No number and no handle is given twice, and each finds whom the other registered."""
    one, two = await house.opens(), await house.opens()
    await house.home("h1")
    for server in (one, two):
        await server.current.catch_up()
    wishes = [server.register(f"user{n}", PASSWORD, {}, HERE) for n in range(6) for server in (one, two)]
    results = await asyncio.gather(*wishes, return_exceptions=True)
    grants = [result for result in results if isinstance(result, views.Grant)]
    assert all(isinstance(result, (views.Grant, HandleTaken)) for result in results), results
    assert sorted(grant.handle for grant in grants) == [f"user{n}" for n in range(6)]
    assert len({grant.uid for grant in grants}) == 6
    for server in (one, two):
        for grant in grants:
            assert (await server.user_by_handle(who(server, grant), grant.handle)).uid == grant.uid
            assert (await server.token(grant.handle, PASSWORD, HERE)).uid == grant.uid


async def test_when_the_store_is_away_nothing_is_half_done(server, monkeypatch):
    def away(*args):
        raise Unavailable("The store is away.")

    with monkeypatch.context() as patched, pytest.raises(Unavailable):
        patched.setattr(server.lifecycle.store, "put", away)
        await server.register("ann", PASSWORD, {}, HERE)
    assert (await server.register("ann", PASSWORD, {}, HERE)).handle == "ann"


async def test_a_lost_race_is_run_again(server, monkeypatch):
    put, lost = server.lifecycle.store.put, []

    def first_loses(*args):
        if not lost:
            lost.append(args)
            raise Conflicted("Another process wrote first.")
        return put(*args)

    monkeypatch.setattr(server.lifecycle.store, "put", first_loses)
    assert (await server.register("ann", PASSWORD, {}, HERE)).handle == "ann"
    assert lost


async def test_it_says_when_it_is_not_ready(house):
    server = await house.opens()
    assert server.ready() is None
    await house.closes(server)
    assert server.ready()
