"""Tickets between homes: who is given one, for how long, and what is stamped with it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec import UNSET

from domain.errors import NoRoute
from servers.messaging.questions import AskTicket, TicketRoute
from servers.sessions.route import DirectRoute
from servers.sessions.tickets import TICKET_S, ticket_key
from tests.servers.homes import Person, Town

KEY = b"k" * 32
NEAR, FAR = "10.0.0.2", "10.0.1.2"


@pytest.fixture
async def town(tmp_path: Path, store_url: Callable[[str], str]) -> AsyncIterator[Town]:
    town = Town(tmp_path, store_url)
    yield town
    await town.stop()


async def friends(town: Town, home: str = "h2") -> tuple[Person, Person]:
    """Ann, who can be called in her network, and Bob, who has her on his list."""
    await town.start("h1", "h2")
    ann, bob = town.person("ann", home), town.person("bob", "h1")
    session, _ = await ann.opens()
    session.route = DirectRoute("10.0.0.1", 40_123, KEY)
    await bob.opens()
    await bob.adds(ann)
    await town.settled()
    return ann, bob


async def sends(bob: Person, ann: Person, ticket: str, id: str = "m1"):
    return await bob.home.send(bob.who, id, ann.uid, "pop over?", None, False, ticket)


@pytest.mark.parametrize("home", ["h1", "h2"])
async def test_a_contact_near_by_is_told_the_way(town: Town, home):
    ann, bob = await friends(town, home)
    answer = await bob.home.issue_ticket(bob.who, ann.uid, NEAR)
    assert (answer.address, answer.port) == ("10.0.0.1", 40_123)
    held = bob.home.tickets.held[answer.ticket]
    assert held.key == ticket_key(KEY, bob.uid, ann.uid, answer.expires_at)
    assert KEY.hex() not in repr(held) + repr(answer)
    assert (await sends(bob, ann, answer.ticket)).stamp is not UNSET


async def test_nobody_else_is(town: Town):
    ann, bob = await friends(town)
    for address in (FAR, "", "2001:db8::1"):
        with pytest.raises(NoRoute):
            await bob.home.issue_ticket(bob.who, ann.uid, address)
    with pytest.raises(NoRoute):
        await ann.home.issue_ticket(ann.who, bob.uid, NEAR)
    stranger = AskTicket(999, ann.uid, NEAR)  # whatever another home may say
    assert ann.home.tickets.answer(stranger, "h1") == TicketRoute()
    assert ann.home.tickets.answer(AskTicket(bob.uid, ann.uid, NEAR), "h1") != TicketRoute()
    assert ann.home.tickets.answer(AskTicket(bob.uid, ann.uid, NEAR), "h3") == TicketRoute(), "Bob does not live there"
    await town.closes("h2")
    with pytest.raises(NoRoute):
        await bob.home.issue_ticket(bob.who, ann.uid, NEAR)


async def test_the_way_ends_with_the_session(town: Town):
    ann, bob = await friends(town)
    (session,) = ann.home.sessions.of(ann.uid)
    await ann.home.log_off(ann.who, session.id)
    with pytest.raises(NoRoute):
        await bob.home.issue_ticket(bob.who, ann.uid, NEAR)


async def test_a_ticket_is_over_after_a_minute(town: Town):
    ann, bob = await friends(town)
    ticket = (await bob.home.issue_ticket(bob.who, ann.uid, NEAR)).ticket
    town.clock.now += TICKET_S
    assert (await sends(bob, ann, ticket)).stamp is UNSET
    await bob.home.issue_ticket(bob.who, ann.uid, NEAR)
    assert ticket not in bob.home.tickets.held


async def test_only_so_many_are_kept(town: Town):
    town.max_tickets = 2
    ann, bob = await friends(town)
    first, *others = [(await bob.home.issue_ticket(bob.who, ann.uid, NEAR)).ticket for _ in range(3)]
    assert (await sends(bob, ann, first)).stamp is UNSET
    assert (await sends(bob, ann, others[0], id="m2")).stamp is not UNSET
