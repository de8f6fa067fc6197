"""Sessions and notices: the window, slow and dead clients, resuming, and one write per session and commit."""

import asyncio

import pytest

from domain.errors import Invalid, TooManyRequests
from domain.mailbox.state import MAX_RECEIPTS, MAX_WAITING
from domain.user.decide import MAX_SESSIONS
from domain.values import LAST_MOMENT
from projections.server.presence import Change
from runtime.times import rfc3339
from servers.home import logins as home_module
from servers.sessions.blanks import SLOTS
from servers.sessions.part_bodies import Told, change_view
from servers.sessions.parts import Part
from servers.sessions.session import ACK_WINDOW, FLUSH, MAX_BACKLOG, MAX_LAG, PRESENCE
from tests.domain.home_stories import queued, receipt
from tests.servers.homes import Town, Window, shown
from tests.servers.sessions.stored_mail import session


def commit(client, events):
    client.pages.commit(client, events)


def messages(first, last):
    return [queued(seq, f"m{seq}") for seq in range(first, last + 1)]


def seqs(window):
    return [part.seq for part in window.parts]


# -- the window


def test_at_most_a_window_of_messages_is_unacked():
    window = Window()
    client = session(window)
    commit(client, messages(1, 200))
    assert seqs(window) == list(range(1, ACK_WINDOW + 1))
    client.acked(1)
    assert seqs(window)[-1] == ACK_WINDOW + 1
    client.acked(ACK_WINDOW + 1)
    assert seqs(window) == list(range(1, 2 * ACK_WINDOW + 2))
    client.acked(2 * ACK_WINDOW + 1)
    assert seqs(window) == list(range(1, 3 * ACK_WINDOW + 2))


def test_receipts_need_no_window():
    window = Window()
    client = session(window)
    commit(client, messages(1, ACK_WINDOW))
    commit(client, [receipt(ACK_WINDOW + n) for n in range(1, 100)])
    assert len(window.parts) == ACK_WINDOW + 99


def test_an_idle_session_owns_nothing():
    window = Window()
    client = session(window)
    commit(client, messages(1, 10))
    client.acked(10)
    assert (client.queue, client.unacked, client.backlog) == (None, None, None)


def test_a_slow_client_keeps_a_bounded_number_of_references_and_is_then_dropped():
    window = Window()
    window.slow = True
    client = session(window)
    commit(client, messages(1, MAX_LAG))
    assert window.parts == []
    assert not window.aborted
    commit(client, messages(MAX_LAG + 1, MAX_LAG + 1))
    assert window.aborted
    assert MAX_LAG >= MAX_WAITING + MAX_RECEIPTS, "a full mailbox must fit"


def test_what_else_waits_for_a_slow_client_is_bounded_too():
    window = Window()
    window.slow = True
    client = session(window)
    for _ in range(MAX_BACKLOG):
        client.tell(Part("done", b"{}"))
    assert not window.aborted
    client.tell(Part("done", b"{}"))
    assert window.aborted


def change(uid, status):
    return Told(uid, change_view(Change(uid, status, None, "", "status"), False))


def test_presence_that_waits_for_a_slow_client_is_merged_per_person_and_cuts_nobody_off():
    """On 79ccbf3 the client was cut off after 256 changes."""
    window = Window()
    client = session(window)
    window.slow = True
    for _ in range(1_000):
        client.tell_presence([change(1, "away"), change(2, "away")])
        client.tell_presence([change(1, "online")])
    client.tell_presence([change(3, "dnd")])
    assert not window.aborted
    assert len(client.late) == 3
    window.slow = False
    client.resume()
    assert [(told["uid"], told["status"]) for told in window.bodies("presence")[0]["changes"]] == [(1, "online"), (2, "away"), (3, "dnd")]
    assert client.late is None
    client.tell_presence([change(1, "away"), change(1, "online")])
    assert len(window.bodies("presence")[1]["changes"]) == 2, "a client that reads is told everything"


def test_merged_presence_comes_in_portions_and_after_what_the_contact_list_says():
    window = Window()
    window.slow = True
    client = session(window)
    client.tell_presence([change(uid, "away") for uid in range(1, 2 * PRESENCE + 2)])
    client.tell_contacts(Part("contacts", b"{}"), [1, 2 * PRESENCE])
    window.slow = False
    client.resume()
    assert [part.name for part in window.parts] == ["contacts", "presence", "presence"]
    told = [entry["uid"] for body in window.bodies("presence") for entry in body["changes"]]
    assert told == [uid for uid in range(2, 2 * PRESENCE + 2) if uid != 2 * PRESENCE]
    assert max(len(body["changes"]) for body in window.bodies("presence")) == PRESENCE


def test_what_was_kept_is_sent_when_the_transport_drains():
    window = Window()
    window.slow = True
    client = session(window)
    client.tell(Part("presence", b"1"))
    commit(client, messages(1, 3))
    window.slow = False
    client.tell(Part("presence", b"2"))
    assert window.parts == [], "in order: what was kept goes first"
    client.resume()
    assert [part.body for part in window.parts[:2]] == [b"1", b"2"]
    assert seqs(window)[2:] == [1, 2, 3]


def test_an_ended_session_sends_nothing():
    window = Window()
    client = session(window)
    client.closed = True
    commit(client, messages(1, 3))
    assert window.parts == []


# -- through the home's door


@pytest.fixture
async def town(tmp_path, store_url):
    town = Town(tmp_path, store_url)
    await town.start("h1")
    yield town
    await town.stop()


@pytest.fixture
async def friends(town):
    ann, bob = town.person("ann", "h1"), town.person("bob", "h1")
    await ann.adds(bob)
    await bob.adds(ann)
    return ann, bob


def resumed(window):
    (welcome,) = window.bodies("welcome")
    return welcome["resume"]["verdict"], welcome["resume"]["count"]


async def test_the_verdict_says_what_a_client_missed(friends):
    ann, bob = friends
    first, window = await bob.opens()
    assert resumed(window) == ("fresh", 0)
    for text in "abcd":
        await ann.sends(bob, text)
    assert window.texts() == list("abcd")
    _, same = await bob.opens(resume=(first.id, 2))
    assert (resumed(same), same.texts()) == (("replayed", 2), ["c", "d"])
    assert window.aborted, "the client said that its old session is dead"
    other, elsewhere = await bob.opens()
    await bob.acks(other, elsewhere)
    await ann.sends(bob, "e")
    _, late = await bob.opens(resume=("long gone", 2))
    assert (resumed(late), late.texts()) == (("gap", 1), ["e"])
    _, beyond = await bob.opens(resume=(first.id, 99))
    assert (resumed(beyond), beyond.texts()) == (("gap", 1), ["e"]), "a number never given takes nothing out"
    _, current = await bob.opens(resume=(first.id, 5))
    assert resumed(current) == ("fresh", 0)


async def test_a_login_whose_welcome_cannot_be_made_leaves_no_session(friends, monkeypatch):
    _, bob = friends

    def broken(*arguments):
        raise ValueError("no such time")

    monkeypatch.setattr(home_module, "welcome_head", broken)
    with pytest.raises(ValueError, match="no such time"):
        await bob.opens()
    assert len(bob.home.sessions) == 0


def test_a_time_that_cannot_be_written_is_told_as_the_last_that_can():
    assert [rfc3339(at) for at in (LAST_MOMENT + 0.5, LAST_MOMENT + 1.0)] == ["9999-12-31T23:59:59.500000Z", "9999-12-31T23:59:59.000000Z"]


async def test_nobody_acks_what_was_not_sent_to_them(friends):
    ann, bob = friends
    client, window = await bob.opens()
    await ann.sends(bob, "a")
    with pytest.raises(Invalid):
        await bob.home.acknowledge(bob.who, client.id, 2)
    await bob.acks(client, window)
    await bob.acks(client, window)


async def test_a_slow_client_delays_nobody_and_gets_everything_later(friends):
    ann, bob = friends
    slow, lagging = await bob.opens()
    quick, window = await bob.opens()
    lagging.slow = True
    for number in range(100):
        await ann.sends(bob, str(number))
        if number % 20 == 19:
            await bob.acks(quick, window)
    assert window.texts() == [str(n) for n in range(100)]
    assert lagging.texts() == []
    lagging.slow = False
    slow.resume()
    while len(lagging.texts()) < 100:
        await bob.acks(slow, lagging)
    assert lagging.texts() == window.texts()


async def test_one_write_per_session_and_commit_however_much_happened(town):
    ann = town.person("ann", "h1")
    others = [town.person(f"friend{n}", "h1") for n in range(30)]
    for other in others:
        await ann.adds(other)
    _, window = await ann.opens()
    commits, writes = ann.home.writer.commits, window.writes
    await asyncio.gather(*(other.opens() for other in others))
    assert window.writes - writes == ann.home.writer.commits - commits == 1
    assert len(window.bodies("presence")[0]["changes"]) == 30


async def test_a_second_session_is_no_news(friends):
    ann, bob = friends
    _, window = await ann.opens()
    first, _ = await bob.opens()
    second, _ = await bob.opens()
    await bob.home.log_off(bob.who, first.id)
    assert window.statuses(bob.uid) == [("online", "login")]
    bob.home.lost(second)
    await shown(lambda: window.statuses(bob.uid), [("online", "login"), ("offline", "lost")])


async def test_a_dead_client_is_ended_as_timed_out(town, friends):
    ann, bob = friends
    _, window = await ann.opens()
    _, dead = await bob.opens(pong=True)
    town.monotonic.now += 2.01 * bob.home.blanks.interval_s
    for _ in range(SLOTS):
        bob.home.blanks.tick()
    await shown(lambda: window.statuses(bob.uid), [("online", "login"), ("offline", "timeout")])
    assert dead.aborted


class NotRenewed:
    """A lease that this process has lost hold of."""

    def why_not(self) -> str:
        return "The lease could not be renewed: the database is away."


async def test_nobody_is_dead_whose_answers_are_refused(town, friends, monkeypatch):
    """A home that cannot renew its lease, because its database is away, takes no calls."""
    _, bob = friends
    blanks = bob.home.blanks
    _, window = await bob.opens(pong=True)
    monkeypatch.setattr(bob.home.lifecycle, "lease", NotRenewed())
    for _ in range(3):
        town.monotonic.now += 2.01 * blanks.interval_s
        for _ in range(SLOTS):
            blanks.tick()
    assert not window.aborted
    monkeypatch.undo()
    town.monotonic.now += 2.01 * blanks.interval_s
    for _ in range(SLOTS):
        blanks.tick()
    assert window.aborted


async def test_sessions_are_limited_per_user_and_a_returning_client_needs_no_room(friends):
    _, bob = friends
    first, _ = await bob.opens()
    for _ in range(MAX_SESSIONS - 1):
        await bob.opens()
    with pytest.raises(TooManyRequests):
        await bob.opens()
    await bob.opens(resume=(first.id, 0))
    assert len(bob.home.sessions) == MAX_SESSIONS


async def test_a_home_that_stops_says_goodbye_and_spreads_its_clients(town, friends):
    ann, bob = friends
    windows = [(await person.opens())[1] for person in (ann, bob, ann, bob)]
    await town.closes("h1")
    goodbyes = [window.bodies("goodbye")[0] for window in windows]
    assert {g["reason"] for g in goodbyes} == {"shutdown"}
    assert len({g["reconnect_after_s"] for g in goodbyes}) == 4
    assert all(window.closed for window in windows)


async def test_a_home_stops_although_a_client_cannot_be_told(town, friends):
    ann, _ = friends
    home, (_, window) = ann.home, await ann.opens()
    window.broken = True
    with pytest.raises(ConnectionError):
        await town.closes("h1")
    assert not home.writer.alive


def test_a_burst_is_sent_to_a_client_that_takes_it_and_only_one_that_does_not_is_dropped():
    quick, slow = Window(), Window()
    slow.slow = True
    for window in (quick, slow):
        commit(session(window), [receipt(seq) for seq in range(1, MAX_LAG + 2)])
    assert (quick.aborted, len(quick.bodies("receipt"))) == (False, MAX_LAG + 1)
    assert (slow.aborted, slow.parts) == (True, [])


def test_what_was_kept_while_the_transport_was_full_comes_in_order_and_in_portions():
    window = Window()
    window.slow = True
    client = session(window)
    commit(client, messages(1, 10))
    for number in range(FLUSH + 5):
        client.tell(Part("done", b'{"id":%d}' % number))
    window.slow = False
    sizes, write = [], window.write

    def measured(parts):
        sizes.append(len(parts))
        write(parts)

    window.write = measured
    client.resume()
    assert max(sizes) <= FLUSH
    assert [body["id"] for body in window.bodies("done")] == list(range(FLUSH + 5))
    assert [body["seq"] for body in window.bodies("message")] == list(range(1, 11))
