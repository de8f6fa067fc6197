"""Servers that are killed, stopped and restarted while people talk. Rule: every popup that got a 202 arrives."""

import asyncio
import random
from collections.abc import Callable

import pytest

from tests.faults.checker import Ledger, verify
from tests.faults.installation import Installation, Server
from tests.faults.people import Crowd, Window, chatter
from tests.support.waiting import eventually

Tell = Callable[[object], None]
NOTICE_S = 12.0  # a silent home is noticed after 3.5 s; the rest is for a machine that starts two Pythons and a RabbitMQ meanwhile


@pytest.mark.parametrize("victims", [("h1",), ("h2",), ("h1", "h2")], ids="-".join)
async def test_homes_are_killed_while_people_talk(
    victims: tuple[str, ...], installation: Installation, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Tell
) -> None:
    """Each home is the sender's home for some messages and the recipient's for others."""
    people = await crowd.settle_in(8)
    homes = [installation.homes[name] for name in victims]
    async with chatter(people, ledger, chance):
        await ledger.grown(chance.randint(20, 150))
        await each(homes, Server.kill)
        await each(homes, Server.start)
        await ledger.grown(50)
    tell(await verify(ledger, people))


async def test_the_global_server_is_killed_and_nobody_who_is_logged_in_notices(
    installation: Installation, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Tell
) -> None:
    """Talking needs no Global Server; registering does, again after its restart."""
    people = await crowd.settle_in(6)
    async with chatter(people, ledger, chance):
        await ledger.grown(chance.randint(20, 80))
        await asyncio.to_thread(installation.global_server.kill)
        await ledger.grown(60)
        await asyncio.to_thread(installation.global_server.start)
    assert all(window.welcomes == 1 for person in people for window in person.windows)
    newcomers = await crowd.settle_in(2)
    assert len({person.uid for person in people + newcomers}) == 8
    tell(await verify(ledger, people))


async def test_a_home_that_is_down_makes_its_users_unknown_not_offline(installation: Installation, crowd: Crowd, tell: Tell) -> None:
    """Bob's client comes back within the grace; Dora's does not."""
    ann, bob, dora = await crowd.pair("h1", "h2", "h2")
    window = await ann.opens()
    await bob.opens()
    doras = await dora.opens()
    await eventually(lambda: (window.presence[bob.uid], window.presence[dora.uid]) == ("online", "online"))
    window.changes.clear()

    await asyncio.to_thread(installation.homes["h2"].kill)
    await eventually(lambda: (window.presence[bob.uid], window.presence[dora.uid]) == ("unknown", "unknown"), NOTICE_S)
    await doras.die()  # with nobody there to hear it
    assert [(change.presence.status, change.reason) for change in window.changes if change.uid == bob.uid] == [("unknown", "home_down")]

    await asyncio.to_thread(installation.homes["h2"].start)
    await eventually(lambda: told_of(window, dora.uid)[-1:] == [("offline", "lost")], NOTICE_S)  # so the grace is over
    statuses = told_of(window, bob.uid)
    assert statuses[1:2] == [("online", "home_up")], statuses
    assert "offline" not in {status for status, _ in statuses}, statuses
    assert window.presence[bob.uid] == "online"
    tell(f"bob was shown as {' '.join(status for status, _ in statuses)}")


async def test_a_home_is_stopped_with_a_goodbye_while_people_talk(
    installation: Installation, crowd: Crowd, ledger: Ledger, chance: random.Random, tell: Tell
) -> None:
    """SIGTERM: every client is told when to come back, and nothing that was accepted is lost."""
    people = await crowd.settle_in(8)
    home = installation.homes[chance.choice(("h1", "h2"))]
    windows = [window for person in people if person.home == home.name for window in person.windows]
    assert windows
    async with chatter(people, ledger, chance):
        await ledger.grown(chance.randint(20, 150))
        home.terminate()
        await eventually(lambda: home.ended() is not None, 30)
        assert home.ended() == 0, home.log_tail()
        await eventually(lambda: all(window.goodbyes for window in windows))
        await asyncio.to_thread(home.start)
        await ledger.grown(50)
    for window in windows:
        assert window.goodbyes[0].reason == "shutdown"
        assert window.goodbyes[0].reconnect_after_s
    tell(await verify(ledger, people))


def told_of(window: Window, uid: int) -> list[tuple[str, str]]:
    """What the window was told of somebody: (status, reason)."""
    return [(change.presence.status, change.reason) for change in window.changes if change.uid == uid]


async def each(servers: list[Server], do: Callable[[Server], None]) -> None:
    """The same to several servers at once."""
    await asyncio.gather(*(asyncio.to_thread(do, server) for server in servers))
