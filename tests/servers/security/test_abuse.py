"""Somebody asks too often: of the Global Server and of a home. Rule: each limit is attacked, costs only the attacker, and ends by itself.

What a connection may cost (slow requests, slow readers, too many of them) is attacked in `tests/edge/http/test_limits.py`.
"""

import asyncio

import pytest

from domain.errors import BadCredentials, TooManyRequests
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
    for number in range(5):
        with pytest.raises(BadCredentials):
            await server.token(f"user{number}", "letmein-2023", HERE)
    with pytest.raises(TooManyRequests):
        await server.token("ann", PASSWORD, HERE)
    assert await server.token("ann", PASSWORD, "192.0.2.2"), "others do not pay for it"
    house.monotonic.now += 10
    assert await server.token("ann", PASSWORD, HERE)


async def test_the_directory_cannot_be_copied_by_asking_for_everybody(house):
    server = await house.opens(lookups_burst=4, lookups_per_s=0.5)
    await house.home("h1")
    people = [await server.register(handle, PASSWORD, {}, HERE) for handle in ("ann", "bob")]
    ann, bob = (server.verifier.verify(grant.token) for grant in people)
    await server.search(ann, "b", {}, 20, None)
    await server.user(ann, 2)
    await server.user_by_handle(ann, "bob")
    await server.change_profile(ann, {"city": "Miami"})
    calls = (
        lambda: server.search(ann, "b", {}, 20, None),
        lambda: server.user(ann, 2),
        lambda: server.user_by_handle(ann, "bob"),
        lambda: server.change_profile(ann, {"city": "Orlando"}),
    )
    for call in calls:
        with pytest.raises(TooManyRequests) as refusal:
            await call()
        assert refusal.value.extra["retry_after_s"] == 2
    assert (await server.user(bob, 1)).profile == {"city": "Miami"}, "nothing has changed, and bob may look"
    house.monotonic.now += 2
    await server.user(ann, 2)


async def test_a_user_who_changes_too_much_does_not_keep_the_contacters_busy(tmp_path, store_url):
    town = Town(tmp_path, store_url)
    town.changes_burst = 6
    await town.start("h1")
    try:
        ann, bob = town.person("ann", "h1"), town.person("bob", "h1")
        await bob.adds(ann)
        _, window = await bob.opens()
        await ann.opens()
        for number in range(5):
            await ann.home.set_status(ann.who, "away", f"note {number}", None)
        told = len(window.statuses(ann.uid))
        attempts = (
            lambda: ann.home.set_status(ann.who, "dnd", "", None),
            lambda: ann.adds(bob),
            lambda: ann.home.contacts.remove(ann.who, bob.uid),
            ann.opens,
        )
        for attempt in attempts:
            with pytest.raises(TooManyRequests):
                await attempt()
        assert len(window.statuses(ann.uid)) == told
        assert await bob.sends(ann, "still here?"), "others do not pay for it"
        town.monotonic.now += 1
        await ann.home.set_status(ann.who, "dnd", "", None)
    finally:
        await town.stop()
