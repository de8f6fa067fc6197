"""A user leaves for good: what they wrote and were called is gone at every home, also at one that was down, and others see it sensibly."""

import pytest

from broker import envelope, topology
from domain.errors import Unauthorized, UnknownUser
from projections.by_server import HomeProjections, by_name
from servers.encryption.event_codec import EventDecoder
from tests.servers.homes import Town, erases, shown
from tests.support.postgres import every_row
from tests.support.snapshots import through_msgpack

SECRET = "the very secret words"


@pytest.fixture
async def town(tmp_path, store_url):
    town = Town(tmp_path, store_url)
    await town.start("h1", "h2")
    yield town
    await town.stop()


@pytest.fixture
async def friends(town):
    """Ann at h1, Bob at h2, who have each other as contacts."""
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.adds(bob, alias="Bobby")
    await bob.adds(ann, alias="Annie")
    await town.settled()
    return ann, bob


async def erased_at(town, person, *homes):
    for name in homes:
        home = town.homes[name]
        await shown(
            lambda home=home: (person.uid in home.projections.closed.uids, home.lifecycle.store.keys.cipher(person.uid)), (True, None)
        )
    await town.settled()


async def history(town):
    """Every event of the history, decoded with all the keys there are."""
    found = []
    async for item in town.broker.read_stream(topology.HISTORY, follow=False):
        told = envelope.decode(item.body)
        decoder = EventDecoder(town.homes[told.source].lifecycle.store.keys)
        found += [decoder.decode(r.stream, r.version, r.topic, r.data) for r in told.events]
    return found


def words_in(events):
    return [event for event in events if SECRET in repr(event) or "'Ann'" in repr(event)]


def places_with(town, word):
    """The files of the town in which a word stands, and PostgreSQL if it stands in any row there."""
    url = town.store_url("h1")
    rows = every_row(url) if url.startswith("postgresql") else []
    files = {file.name for file in town.directory.rglob("*") if file.is_file() and word.encode() in file.read_bytes()}
    return files | {"PostgreSQL" for row in rows if word in row}


async def test_what_ann_wrote_is_gone_from_every_home_and_the_history(town, friends):
    ann, bob = friends
    _, window = await bob.opens()
    await ann.sends(bob, SECRET)
    await shown(window.texts, [SECRET])
    await town.settled()
    assert words_in(await history(town)), "with the keys it can be read"
    assert places_with(town, "ann-1") & {"h1.db", "h1.db-wal", "PostgreSQL"}, "what is stored in the clear is found"
    assert not places_with(town, SECRET), "encrypted in every file from the start"
    await erases(town, ann)
    await erased_at(town, ann, "h1", "h2")
    events = await history(town)
    assert not words_in(events)
    assert [(e.id, e.text, e.uid, e.to) for e in events if e.TOPIC == "user.message_sent"] == [("ann-1", "", ann.uid, bob.uid)]
    assert [c.name for c in await bob.lists()] == ["ann"], "the handle is all that is left"


async def test_bob_sees_ann_go_and_gets_his_messages_back(town, friends):
    ann, bob = friends
    _, anns = await ann.opens()
    _, bobs = await bob.opens()
    await shown(lambda: bobs.statuses(ann.uid)[-1:], [("online", "login")])
    id_ = await bob.sends(ann, "are you there?")
    await shown(anns.texts, ["are you there?"])
    await erases(town, ann)
    await shown(lambda: [part.name for part in anns.parts][-1:], ["goodbye"])
    assert anns.bodies("goodbye") == [{"reason": "closed", "reconnect_after_s": None}]
    assert anns.closed
    await shown(lambda: bobs.statuses(ann.uid)[-1:], [("offline", "logoff")])
    await shown(bobs.states, [(id_, "bounced", "closed")])
    late = await bob.sends(ann, "too late")
    await shown(bobs.states, [(id_, "bounced", "closed"), (late, "bounced", "closed")])


async def test_what_another_home_believes_is_judged_anew_when_somebody_left(town, friends):
    ann, bob = friends
    for handle in ("carl", "dora", "eve", "fay"):
        await town.person(handle, "h1").adds(bob)
    await town.settled()

    def believed():
        return next(each.entries for each in town.homes["h2"].lifecycle.inbox.holdings() if each.bound.name == "believed")

    before = believed()
    await erases(town, ann)
    await erased_at(town, ann, "h2")
    assert believed() < before - 4


async def test_ann_can_do_nothing_any_more(town, friends):
    ann, bob = friends
    await erases(town, ann)
    await erased_at(town, ann, "h1", "h2")
    with pytest.raises(Unauthorized):
        await ann.opens()
    with pytest.raises(Unauthorized):
        await ann.sends(bob, "once more")
    with pytest.raises(Unauthorized):
        await ann.home.set_status(ann.who, "away", "note", None)
    carl = town.person("carl", "h1")
    with pytest.raises(UnknownUser):
        await carl.adds(ann)


async def test_what_bob_has_not_seen_he_never_sees(town, friends):
    ann, bob = friends
    await ann.sends(bob, SECRET)
    await town.settled()
    await erases(town, ann)
    await erased_at(town, ann, "h1", "h2")
    _, window = await bob.opens()
    assert window.bodies("welcome")[0]["resume"] == {"verdict": "fresh", "count": 0}
    assert window.texts() == []
    gone = [c.event for c in bob.home.lifecycle.store.read(0, 1_000) if c.event.TOPIC == "mailbox.message_erased"]
    assert [(e.id, e.uid) for e in gone] == [("ann-1", ann.uid)], "the log says so"


async def test_a_window_that_is_slow_is_not_sent_it_either(town, friends):
    ann, bob = friends
    _, window = await bob.opens()
    window.slow = True
    await ann.sends(bob, SECRET)
    await town.settled()
    await erases(town, ann)
    await erased_at(town, ann, "h1", "h2")
    window.slow = False
    for session in bob.home.sessions.of(bob.uid):
        session.resume()
    assert window.texts() == []
    await shown(lambda: dict(bob.home.projections.waiting.mailboxes), {})


async def test_a_home_that_was_down_does_it_when_it_is_back(town, friends):
    ann, bob = friends
    await ann.sends(bob, SECRET)
    await town.settled()
    await town.closes("h2")
    await erases(town, ann)
    await erased_at(town, ann, "h1")
    await town.opens("h2")
    await erased_at(town, ann, "h2")
    _, window = await bob.opens()
    assert window.texts() == []


async def test_a_key_that_outlived_the_event_goes_at_the_next_start(town, friends, monkeypatch):
    """As after a kill between the commit and the destruction."""
    ann, bob = friends
    home = town.homes["h2"]
    await ann.sends(bob, SECRET)
    await town.settled()

    async def dies(uids):
        """The process is gone."""

    home.lifecycle.erasure.destroy = dies
    await erases(town, ann)
    await shown(lambda: ann.uid in home.projections.closed.uids, True)
    assert home.lifecycle.store.keys.cipher(ann.uid) is not None
    await town.closes("h2")
    await town.opens("h2")
    assert town.homes["h2"].lifecycle.store.keys.cipher(ann.uid) is None


async def test_replay_is_live_after_an_erasure(town, friends):
    ann, bob = friends
    await ann.opens()
    await bob.opens()
    await ann.home.set_status(ann.who, "away", SECRET, town.clock.now + 50)
    for text in ("one", "two"):
        await ann.sends(bob, text)
        await bob.sends(ann, text)
    await town.settled()
    await erases(town, ann)
    await erased_at(town, ann, "h1", "h2")
    for person in friends:
        await person.home.writer.submit(())
    for home in town.homes.values():
        log = home.lifecycle.store.read(0, 10_000)
        fresh = by_name(HomeProjections())
        for position, event, _ in log:
            for index in fresh.values():
                index.apply(position, event)
        running = by_name(home.projections)
        for name, index in fresh.items():
            assert through_msgpack(index.to_checkpoint()) == through_msgpack(running[name].to_checkpoint()), name
        for stream, known in home.writer.states.items():
            loaded = home.lifecycle.store.load(stream)
            if known.version or loaded.version:
                assert loaded.to_snapshot() == known.to_snapshot(), "a state in memory is what the log says"


async def crowd(town, size):
    """People of h2 who are online, each with a message from the next one that they have not acknowledged."""
    people = [town.person(f"person{n}", "h2") for n in range(size)]
    for person, following in zip(people, [*people[1:], people[0]], strict=True):
        await person.adds(following)
        await person.opens()
    for person, following in zip(people, [*people[1:], people[0]], strict=True):
        await person.sends(following, "hello")
    await town.settled()
    return people


def people_in_memory(home):
    return {stream for stream in home.writer.states if stream.startswith(("user-", "mailbox-"))}


async def test_the_erasure_of_somebody_whom_nobody_knows_touches_nobody(town):
    await crowd(town, 5)
    home, stranger = town.homes["h2"], town.person("stranger", "h2")
    await stranger.adds(stranger)
    cached, tokens = people_in_memory(home), home.verifier.cached
    await erases(town, stranger)
    await erased_at(town, stranger, "h2")
    assert people_in_memory(home) == cached - {f"user-{stranger.uid}", f"mailbox-{stranger.uid}"}
    assert home.writer.states.dropped <= 2
    assert home.verifier.cached == tokens, "nobody else's token is checked anew"
    home.writer.states.clear()
    other = town.person("other", "h2")
    await other.adds(other)
    await erases(town, other, 2)
    await erased_at(town, other, "h2")
    assert people_in_memory(home) == set(), "no mailbox of anybody else was loaded for a command"


async def test_an_erasure_finds_what_holds_something_of_the_person(town, friends):
    ann, bob = friends
    people = await crowd(town, 5)
    home = town.homes["h2"]
    _, slow = await bob.opens()
    await bob.opens()
    await people[0].adds(ann)
    slow.slow = True
    await ann.sends(bob, SECRET)
    await town.settled()
    before = home.writer.states.dropped
    streams = {f"user-{ann.uid}", f"mailbox-{ann.uid}", f"user-{bob.uid}", f"mailbox-{bob.uid}", f"user-{people[0].uid}"}
    assert set(home.projections.streams_with(ann.uid)) == streams
    here = streams & set(home.writer.states)
    await erases(town, ann)
    await erased_at(town, ann, "h1", "h2")
    assert home.writer.states.dropped - before <= len(here) + 1, "ann's own stream came with her closing"
    assert SECRET not in repr(list(home.writer.states.values()))
