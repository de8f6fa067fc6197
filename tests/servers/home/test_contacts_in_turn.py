"""Contact lists are made in turn: however many are asked for at once, a step makes one slice, and everybody has steps."""

import asyncio

import pytest

from domain.user.state import Contact
from projections.server.presence import Presence
from runtime.scheduler import Scheduler
from servers.sessions.listing import SHORT, SHORT_BYTES, SLICE, Listing
from tests.servers.homes import Town, json_contacts
from tests.support.waiting import eventually

CONTACTS = 3 * SLICE


class Counted:
    """A scheduler that makes one step when a test says so."""

    def __init__(self) -> None:
        self.due = []
        self.scheduler = Scheduler(budget_s=1e-9, call_soon=self.due.append)

    async def steps(self, count):
        for _ in range(count):
            await eventually(lambda: self.due)
            self.due.pop()()


@pytest.fixture
def counted():
    return Counted()


@pytest.fixture
async def town(tmp_path, counted):
    town = Town(tmp_path)
    town.scheduler = counted.scheduler
    await town.start("h1")
    yield town
    await town.stop()


async def test_many_lists_of_one_user_keep_no_other_user_waiting(town, counted):
    """Ann asks for her 150 contacts over 40 connections; bob's short list is there after one step of hers and his own."""
    ann, bob = town.person("ann", "h1"), town.person("bob", "h1")
    people = [town.person(f"u{number}", "h1") for number in range(CONTACTS)]
    await asyncio.gather(*(ann.adds(person) for person in people))
    await bob.adds(ann)
    made = []

    async def asks(person):
        made.append((person.who.handle, counted.scheduler.steps, await person.lists()))

    asking = [asyncio.ensure_future(asks(ann)) for _ in range(40)]
    await eventually(lambda: counted.scheduler.waiting == 40)
    asking.append(asyncio.ensure_future(asks(bob)))
    await eventually(lambda: counted.scheduler.waiting == 41)
    await counted.steps(2)
    await eventually(lambda: made)
    assert [handle for handle, *_ in made] == ["bob"]
    await counted.steps(40 * 3 - 1)
    await asyncio.gather(*asking)
    assert all(len(listed) == CONTACTS for handle, _, listed in made if handle == "ann")
    assert counted.scheduler.steps == 40 * (CONTACTS // SLICE) + 1
    assert not counted.due


async def test_a_step_makes_one_slice(town, counted):
    """Bytes that are written between two steps hold one slice of contacts, and none while the transport is full."""
    ann = town.person("ann", "h1")
    await asyncio.gather(*(ann.adds(town.person(f"u{number}", "h1")) for number in range(CONTACTS)))
    listing = await ann.home.contacts.read(ann.who)
    written, sizes = [], []
    job = listing.send(written.append, lambda: None)
    while not job.done:
        await counted.steps(1)
        sizes.append(b"".join(written).count(b'"handle"'))
    assert sizes == [SLICE, 2 * SLICE, 3 * SLICE]
    assert len(json_contacts(b"".join(written))) == CONTACTS


async def test_a_list_of_long_names_is_sent_as_its_client_reads():
    """Whole it would be no more contacts than a short one, but half a megabyte for each of the user's 64 connections."""
    contacts = [Contact(number, f"u{number}", "\U0001f642" * 500, "h1", None, False) for number in range(SHORT)]
    listing = Listing(1, contacts, lambda uid, home: Presence(1, "online", None, "", ""), Scheduler())
    assert await listing.whole() is None
    short = Listing(1, contacts[:20], lambda uid, home: Presence(1, "online", None, "", ""), Scheduler())
    whole = await short.whole()
    assert len(json_contacts(whole)) == 20
    assert SHORT_BYTES // 2 < len(whole) <= SHORT_BYTES


async def test_a_popup_never_meets_the_scheduler(town, counted):
    """A send, its delivery and its acknowledgement are no jobs: nothing of them waits behind anybody's long work."""
    ann, bob = town.person("ann", "h1"), town.person("bob", "h1")
    await ann.adds(bob)
    await bob.adds(ann)
    opening = asyncio.ensure_future(bob.opens())
    await counted.steps(1)
    session, window = await opening
    steps = counted.scheduler.steps
    await ann.sends(bob, "hi")
    await eventually(lambda: window.texts() == ["hi"])
    await bob.acks(session, window)
    assert (counted.scheduler.steps, counted.scheduler.waiting, counted.due) == (steps, 0, [])


async def test_a_large_state_is_loaded_before_a_commit_needs_it(town):
    """Ann is said to have a thousand contacts, and is not in memory. Bob has few, and his state is loaded for the commit."""
    ann, bob, carol = (town.person(handle, "h1") for handle in ("ann", "bob", "carol"))
    await ann.adds(bob)
    await bob.adds(ann)
    states, contacts = town.homes["h1"].writer.states, town.homes["h1"].projections.contacters.contacts
    contacts[ann.uid] = 1_000
    states.clear()
    await bob.adds(carol)
    assert states.warmed == 0
    await ann.adds(carol)
    assert states.warmed == 1
