"""The welcome: made in slices, sent as its client reads; nothing that happens meanwhile is lost, told twice or told in another order."""

import asyncio
import json
import random

import pytest

from domain.user.state import Contact
from projections.server.presence import Presence
from runtime.scheduler import Scheduler
from servers.sessions import views
from servers.sessions.listing import SLICE
from servers.sessions.parts import Part
from servers.sessions.welcome import MAX_KEPT_BYTES, Welcome
from tests.servers.homes import Town, Window
from tests.servers.sessions.stored_mail import session as a_session
from tests.support.waiting import eventually

QUIET = 3 * SLICE  # contacts to whom nothing happens
LIVELY = 6  # contacts to whom a lot happens, some in each slice


class ByHand:
    """A scheduler that makes one step when a test says so."""

    def __init__(self) -> None:
        self.due = []
        self.scheduler = Scheduler(budget_s=1e-9, call_soon=self.due.append)

    def step(self):
        self.due.pop()()


@pytest.fixture
def by_hand():
    return ByHand()


@pytest.fixture
async def town(tmp_path, by_hand):
    town = Town(tmp_path)
    town.scheduler = by_hand.scheduler
    await town.start("h1")
    yield town
    await town.stop()


async def done(by_hand, task):
    """The result of a task that needs steps."""
    while not task.done():
        await eventually(lambda: by_hand.due or task.done())
        if by_hand.due:
            by_hand.step()
    return await task


class Life:
    """Things happen to ann's contacts. `notes`: every note that each of them has had, in order."""

    def __init__(self, ann, lively, chance) -> None:
        self.ann = ann
        self.lively = lively
        self.chance = chance
        self.notes = {person.uid: [] for person in lively}
        self.listed_anew = set()  # contacts whose entry was told again, with their presence
        self.number = 0

    async def goes_on(self):
        """One thing happens."""
        person = self.chance.choice(self.lively)
        self.number += 1
        what = self.chance.choice(["status", "status", "status", "alias", "removed and added"])
        if what == "status":
            await person.home.set_status(person.who, self.chance.choice(["online", "away", "dnd"]), str(self.number), None)
            self.notes[person.uid].append(str(self.number))
            return
        self.listed_anew.add(person.uid)
        if what == "removed and added":
            await self.ann.home.contacts.remove(self.ann.who, person.uid)
        await self.ann.adds(person, alias=str(self.number))


class Client:
    """What a client makes of its parts. `seen`: the notes that it was shown of each contact, in order."""

    def __init__(self, parts) -> None:
        self.contacts = {}
        self.seen = {}
        for part in parts:
            body = json.loads(part.body)
            for contact in body.get("contacts", []) + body.get("added", []):
                self.contacts[contact["uid"]] = contact
                self.sees(contact["uid"], contact["presence"]["note"])
            for uid in body.get("removed", []):
                del self.contacts[uid]
            for change in body.get("changes", []):
                self.contacts[change["uid"]]["presence"] |= {"status": change["status"], "note": change["note"]}
                self.sees(change["uid"], change["note"])

    def sees(self, uid, note):
        self.seen.setdefault(uid, []).append(note)


@pytest.mark.parametrize("seed", range(6))
async def test_no_change_is_lost_told_twice_or_turned_round(town, by_hand, seed):
    """People change their statuses, and ann changes her list, between the slices of her welcome."""
    chance = random.Random(seed)
    ann = town.person("ann", "h1")
    people = [town.person(f"u{number}", "h1") for number in range(QUIET + LIVELY)]
    await asyncio.gather(*(ann.adds(person) for person in people))
    lively = chance.sample(people, LIVELY)
    for person in lively:
        await done(by_hand, asyncio.ensure_future(person.opens()))
    life = Life(ann, lively, chance)
    for _ in range(20):
        await life.goes_on()

    window = Window()
    login = asyncio.ensure_future(ann.opens_with(window))
    await eventually(lambda: by_hand.due)
    assert not window.parts
    slices = 0
    while not window.parts:
        for _ in range(chance.randrange(6)):
            await life.goes_on()
        by_hand.step()
        slices += 1
    await login
    for _ in range(5):
        await life.goes_on()

    assert slices == -(-len(people) // SLICE)
    assert [part.name for part in window.parts].count("welcome") == 1
    assert window.parts[0].name == "welcome"
    client = Client(window.parts)
    listed = asyncio.ensure_future(ann.lists())
    truth = {view.uid: (view.alias, view.presence.status, view.presence.note) for view in await done(by_hand, listed)}
    shown = {uid: (c["alias"], c["presence"]["status"], c["presence"]["note"]) for uid, c in client.contacts.items()}
    assert shown == truth
    for uid, notes in life.notes.items():
        seen = client.seen[uid]
        if uid in life.listed_anew:  # an entry says once more how its contact stands, and nothing is known of one who is off the list
            seen = [note for number, note in enumerate(seen) if note and (not number or note != seen[number - 1])]
        had = iter(notes or [""])
        assert all(note in had for note in seen), "from the welcome on, no change twice or out of order"


async def test_a_message_that_comes_meanwhile_stands_behind_the_welcome(town, by_hand):
    ann, bob = town.person("ann", "h1"), town.person("bob", "h1")
    await ann.adds(bob)
    await bob.adds(ann)
    await bob.sends(ann, "before")
    window = Window()
    login = asyncio.ensure_future(ann.opens_with(window))
    await eventually(lambda: by_hand.due)
    await bob.sends(ann, "meanwhile")
    assert not window.parts
    await done(by_hand, login)
    assert [part.name for part in window.parts] == ["welcome", "message", "message"]
    assert window.texts() == ["before", "meanwhile"]


async def test_a_login_that_is_given_up_leaves_no_session_and_no_job(town, by_hand):
    ann = town.person("ann", "h1")
    window = Window()
    login = asyncio.ensure_future(ann.opens_with(window))
    await eventually(lambda: by_hand.due)
    login.cancel()
    await asyncio.gather(login, return_exceptions=True)
    assert len(ann.home.sessions) == 0
    assert window.aborted
    by_hand.step()
    assert not window.parts
    assert not by_hand.due


async def test_a_goodbye_takes_the_place_of_a_welcome_that_is_not_made(town, by_hand):
    ann = town.person("ann", "h1")
    window = Window()
    login = asyncio.ensure_future(ann.opens_with(window))
    await eventually(lambda: by_hand.due)
    (session,) = ann.home.sessions
    await ann.home.log_off(ann.who, session.id)
    await login
    by_hand.step()
    assert [part.name for part in window.parts] == ["goodbye"]
    assert window.closed


HEAD = views.Welcome("s1", 1, 30.0, views.Resumed("fresh", 0), [], views.OwnStatus("online", "", None))
NAME = "N" * 500


def long_welcome(window, by_hand, contacts=1_000):
    session = a_session(window)
    listed = {uid: Contact(uid, f"u{uid}", NAME, "h1", None, False) for uid in range(contacts)}
    welcome = Welcome(window, HEAD, listed, lambda uid, home: Presence(1, "online", None, "", ""), session.welcomed)
    session.await_welcome(welcome)
    welcome.start(by_hand.scheduler, 1)
    return session, welcome


async def test_a_long_welcome_is_sent_as_its_client_reads(by_hand):
    """Half a megabyte: while the client reads nothing, one slice is written and no more, and nothing else is in memory."""
    window = Window()
    session, welcome = long_welcome(window, by_hand)
    for _ in range(1_000 // SLICE - 1):
        by_hand.step()
        assert not window.writes
    window.slow = True
    by_hand.step()
    assert welcome.begun.done, "who called for the login need not wait"
    assert not by_hand.due
    session.tell(Part("presence", b"{}"))
    written = len(window.body)
    assert written < 1_000
    for _ in range(3):
        window.slow = False
        session.resume()
        window.slow = True
        by_hand.step()
        assert not by_hand.due
    assert len(window.body) < written + 10 * SLICE * 700
    window.slow = False
    session.resume()
    while by_hand.due:
        by_hand.step()
    assert [part.name for part in window.parts] == ["welcome", "presence"]
    (body,) = window.bodies("welcome")
    assert len(window.parts[0].body) > MAX_KEPT_BYTES
    assert [contact["uid"] for contact in body["contacts"]] == list(range(1_000))
    assert (body["session"], body["status"]["status"], body["contacts"][7]["name"]) == ("s1", "online", NAME)
    assert session.outlet is window


async def test_a_goodbye_breaks_off_a_welcome_that_is_half_sent(by_hand):
    window = Window()
    session, _ = long_welcome(window, by_hand)
    for _ in range(1_000 // SLICE + 3):
        by_hand.step()
    session.outlet.write((Part("goodbye", b"{}"),))
    assert window.aborted
    by_hand.step()
    assert not by_hand.due
