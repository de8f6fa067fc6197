"""Somebody asks too often: of the Global Server and of a home. Rule: each limit is attacked, costs only the attacker, and ends by itself.

What a connection may cost (slow requests, slow readers, too many of them) is attacked in `tests/edge/http/test_limits.py`.
"""

import asyncio

import pytest

from domain.errors import BadCredentials, TooManyRequests
from servers.home import work
from servers.home.work import PER_UNIT
from tests.servers.homes import Town
from tests.servers.registry import HERE, PASSWORD, House


@pytest.fixture
async def house(tmp_path, store_url):
    async with House.open(tmp_path, store_url) as house:
        yield house


async def test_too_many_wrong_passwords_close_the_door_for_a_while(house):
    server = await house.opens(failed_logins_burst=3, failed_logins_per_s=0.1)
    await house.home("h1")
    await server.register("ann", PASSWORD, {}, HERE)
    for _ in range(5):  # right ones cost nothing
        await server.token("ann", PASSWORD, HERE)
    guesses = await asyncio.gather(*(server.token("ann", f"guess number {n}", HERE) for n in range(6)), return_exceptions=True)
    assert [type(guess) for guess in guesses] == [BadCredentials] * 3 + [TooManyRequests] * 3
    with pytest.raises(TooManyRequests) as refusal:
        await server.token("ann", PASSWORD, HERE)
    assert refusal.value.extra["retry_after_s"] == 10
    assert await server.token("ann", PASSWORD, "192.0.2.2"), "another address does not pay for it"
    house.monotonic.now += 10
    assert await server.token("ann", PASSWORD, HERE)


async def test_too_many_registrations_from_one_address_are_refused(house):
    server = await house.opens(registrations_burst=2, registrations_per_s=0.1)
    await house.home("h1")
    for handle in ("ann", "bob"):
        await server.register(handle, PASSWORD, {}, HERE)
    with pytest.raises(TooManyRequests):
        await server.register("cat", PASSWORD, {}, HERE)
    assert await server.register("cat", PASSWORD, {}, "192.0.2.2")


async def test_one_password_tried_on_everybody_closes_the_door_to_that_address(house):
    server = await house.opens(failed_guesses_burst=5, failed_guesses_per_s=0.1)
    await house.home("h1")
    await server.register("ann", PASSWORD, {}, HERE)
    await server.register("bob", PASSWORD, {}, "192.0.2.2")
    for number in range(5):
        with pytest.raises(BadCredentials):
            await server.token(f"user{number}", "letmein-2023", HERE)
    with pytest.raises(TooManyRequests):
        await server.token("bob", PASSWORD, HERE)
    assert await server.token("bob", PASSWORD, "192.0.2.2"), "others do not pay for it"
    assert await server.token("ann", PASSWORD, HERE), "nor does who has signed in from there before"
    house.monotonic.now += 10
    assert await server.token("bob", PASSWORD, HERE)
    with pytest.raises(BadCredentials):
        await server.token("bob", "letmein-2023", HERE)


async def test_guesses_at_one_handle_have_one_bound_over_all_addresses(house):
    server = await house.opens(failed_anywhere_burst=4, failed_anywhere_per_s=0.1)
    await house.home("h1")
    await server.register("ann", PASSWORD, {}, HERE)
    guesses = [server.token("ann", f"guess number {n}", f"203.0.113.{n}") for n in range(6)]
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert [type(result) for result in results] == [BadCredentials] * 4 + [TooManyRequests] * 2
    assert await server.token("ann", PASSWORD, HERE), "where she has signed in before, nobody locks her out"
    with pytest.raises(TooManyRequests):
        await server.token("ann", PASSWORD, "203.0.113.77")
    house.monotonic.now += 10
    assert await server.token("ann", PASSWORD, "203.0.113.77")


async def test_who_is_familiar_stays_so_over_a_restart(house):
    server = await house.opens(failed_guesses_burst=1, failed_guesses_per_s=0.1)
    await house.home("h1")
    await server.register("ann", PASSWORD, {}, HERE)
    await house.closes(server)
    server = await house.opens(failed_guesses_burst=1, failed_guesses_per_s=0.1)
    with pytest.raises(BadCredentials):
        await server.token("nobody", "letmein-2023", HERE)
    assert await server.token("ann", PASSWORD, HERE)
    assert b"ann" not in (house.directory / "sign-in.familiar").read_bytes()


async def test_right_passwords_without_end_are_too_many(house):
    server = await house.opens(sign_ins_burst=3, sign_ins_per_s=0.1)
    await house.home("h1")
    await server.register("ann", PASSWORD, {}, HERE)
    before = server.passwords.hashing.hashes
    for _ in range(3):
        await server.token("ann", PASSWORD, HERE)
    with pytest.raises(TooManyRequests):
        await server.token("ann", PASSWORD, HERE)
    assert server.passwords.hashing.hashes - before == 3


async def test_a_network_of_ipv6_counts_as_one_address(house):
    server = await house.opens(registrations_burst=1, registrations_per_s=0.1, failed_logins_burst=1, failed_logins_per_s=0.1)
    await house.home("h1")
    await server.register("ann", PASSWORD, {}, "2001:db8:1:1::1")
    with pytest.raises(TooManyRequests):
        await server.register("bob", PASSWORD, {}, "2001:db8:1:2::1")
    assert await server.register("bob", PASSWORD, {}, "2001:db8:2:1::1")
    with pytest.raises(BadCredentials):
        await server.token("bob", "letmein-2023", "2001:db8:3:1::1")
    with pytest.raises(TooManyRequests):
        await server.token("bob", "letmein-2023", "2001:db8:3:1:ffff::2")
    with pytest.raises(BadCredentials):
        await server.token("bob", "letmein-2023", "2001:db8:3:2::1")


async def test_the_directory_cannot_be_copied_by_asking_for_everybody(house):
    server = await house.opens(lookups_burst=3, lookups_per_s=0.5)
    await house.home("h1")
    people = [await server.register(handle, PASSWORD, {}, HERE) for handle in ("ann", "bob")]
    ann, bob = (server.verifier.verify(grant.token) for grant in people)
    await server.search(ann, "b", {}, 20, None)
    await server.user(ann, 2)
    await server.user_by_handle(ann, "bob")
    calls = (
        lambda: server.search(ann, "b", {}, 20, None),
        lambda: server.user(ann, 2),
        lambda: server.user_by_handle(ann, "bob"),
    )
    for call in calls:
        with pytest.raises(TooManyRequests) as refusal:
            await call()
        assert refusal.value.extra["retry_after_s"] == 2
    assert (await server.user(bob, 1)).handle == "ann", "bob may look"
    house.monotonic.now += 2
    await server.user(ann, 2)


async def test_profiles_are_changed_a_few_times_a_minute(house):
    server = await house.opens(profile_changes_burst=2, profile_changes_per_s=0.1)
    await house.home("h1")
    ann = server.verifier.verify((await server.register("ann", PASSWORD, {}, HERE)).token)
    for city in ("Miami", "Orlando"):
        await server.change_profile(ann, {"city": city})
    with pytest.raises(TooManyRequests) as refusal:
        await server.change_profile(ann, {"city": "Tampa"})
    assert refusal.value.extra["retry_after_s"] == 10
    house.monotonic.now += 10
    await server.change_profile(ann, {"city": "Tampa"})


@pytest.fixture
async def town(tmp_path, store_url):
    town = Town(tmp_path, store_url)
    yield town
    await town.stop()


async def test_a_user_who_changes_too_much_does_not_keep_the_contacters_busy(town):
    town.changes_burst = 3
    town.statuses_burst = 5
    await town.start("h1")
    ann, bob = town.person("ann", "h1"), town.person("bob", "h1")
    await bob.adds(ann)
    _, window = await bob.opens()
    town.monotonic.now += 1
    await ann.opens()
    for number in range(5):
        await ann.home.set_status(ann.who, "away", f"note {number}", None)
    told = len(window.statuses(ann.uid))
    attempts = [lambda: ann.home.set_status(ann.who, "dnd", "", None), ann.opens]
    for attempt in attempts:
        with pytest.raises(TooManyRequests):
            await attempt()
    await ann.adds(bob)
    attempts += [lambda: ann.adds(bob), lambda: ann.home.contacts.remove(ann.who, bob.uid), lambda: ann.home.contacts.read(ann.who)]
    for attempt in attempts:
        with pytest.raises(TooManyRequests):
            await attempt()
    assert len(window.statuses(ann.uid)) == told
    assert await bob.sends(ann, "still here?"), "others do not pay for it"
    town.monotonic.now += 1
    await ann.home.set_status(ann.who, "dnd", "", None)


async def test_a_call_takes_as_much_as_the_lists_behind_it(town):
    """On 79ccbf3 a login cost one unit with 5,000 contacts, a contact list none, and a status the same whoever watched."""
    await town.start("h1")
    ann, people = town.person("ann", "h1"), [town.person(f"person{n}", "h1") for n in range(2 * PER_UNIT)]
    for person in people:
        await ann.adds(person)
        await person.adds(ann)
    home, index = ann.home, ann.home.projections.contacters
    assert (work.reading(index, ann.uid), work.telling(index, ann.uid)) == (3, 3)
    assert (work.reading(index, people[0].uid), work.telling(index, people[0].uid)) == (1, 1)
    costs = ((home.changes, ann.opens, 6), (home.changes, lambda: home.contacts.read(ann.who), 3))
    costs += ((home.statuses, lambda: home.set_status(ann.who, "away", "", None), 3),)
    for limit, call, cost in costs:
        before = limit.taken(ann.uid)
        await call()
        assert limit.taken(ann.uid) - before == cost
