"""The laws of the audit, over random lives of real homes: now is what the homes have, then is what they had, fed again is the same."""

import random
from pathlib import Path

import msgspec
import pytest

from broker.port import StreamItem
from domain.errors import UnknownUser
from domain.rules.home import rules_for
from projections.audit.reader import Reader
from servers.audit.decoder import HistoryDecoder
from servers.sessions.part_bodies import instant
from tests.projections.histories import KEY, contents, fed, items_of
from tests.projections.server.test_home_laws import live
from tests.servers.homes import Town
from tests.support.snapshots import through_msgpack
from tests.support.waiting import eventually

STEPS = 200


@pytest.fixture
async def town(tmp_path, store_url):
    town = Town(tmp_path, store_url)
    await town.start("h1", "h2")
    yield town
    await town.stop()


def _lapses_due(town):
    return [until <= town.clock.now for home in town.homes.values() for until in home.projections.presence.lapses.values()]


async def windows(town, people):
    """What every contact window shows now, and every state, as the homes have it in memory."""
    seen = {}
    for person in people:
        views = await person.lists()
        shown = [(v.uid, v.alias, v.notify, v.name, *msgspec.structs.astuple(v.presence)) for v in views]
        states = person.home.writer.states
        seen[person.uid] = (shown, *(_snapshot(states.get(f"{kind}-{person.uid}")) for kind in ("user", "mailbox")))
    return seen


def _snapshot(state):
    return state and state.version and (state.version, state.to_snapshot())


def told(reader, people, at):
    """The same, as the audit tells it."""
    seen = {}
    for person in people:
        try:
            state = reader.moments.state(person.uid, at)
        except UnknownUser:
            seen[person.uid] = ([], None, None)
            continue
        assert state.complete
        shown = [(s.uid, s.alias, s.notify, s.name, s.status, instant(s.since), s.note) for s in reader.moments.window(person.uid, at)]
        seen[person.uid] = (shown, _snapshot(state.user), _snapshot(state.mailbox))
    return seen


def differences(expected, found):
    """By user. Streams that have not begun are None in one and 0 or None in the other."""
    return [
        (uid, was, is_) for uid in expected for was, is_ in zip(expected[uid], found[uid], strict=True) if (was or None) != (is_ or None)
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_now_is_what_the_homes_have_and_then_is_what_they_had(town, tmp_path: Path, seed):
    chance = random.Random(seed)
    people = [town.person(f"p{n}", chance.choice(["h1", "h2"])) for n in range(6)]
    moments = []
    for _ in range(3):
        await live(town, people, chance, STEPS // 3)
        await eventually(lambda: not any(_lapses_due(town)))  # else one may lapse after the look, at the same moment
        await town.settled()
        moments.append(
            (town.clock.now, await windows(town, people), {h: dict(home.projections.presence.users) for h, home in town.homes.items()})
        )
        town.clock.now += 60

    items = await items_of(town.broker)
    fed(tmp_path / "audit.db", items).close()
    decoder = HistoryDecoder(lambda home: town.homes[home].lifecycle.store.keys)
    reader = Reader(tmp_path / "audit.db", decoder.decode, personal=True, key=KEY)
    short, whole = (Reader(tmp_path / "audit.db", HistoryDecoder().decode, personal=personal, key=KEY) for personal in (False, True))
    for at, expected, users in moments:
        assert differences(expected, told(reader, people, at)) == [], "state and window of that moment"
        online = {(who.person.uid, who.status, who.since) for who in reader.moments.online(at)}
        assert online == {(uid, p.status, p.since) for known in users.values() for uid, p in known.items() if p.status != "offline"}
        for person in people:
            assert reader.moments.presence(person.uid, at) == users[person.home_name].get(person.uid, reader.moments.presence(999, at))
            if person.uid in {uid for uid, (_, user, _) in told(whole, people, at).items() if user}:
                folded = [reader.moments.state(person.uid, at) for reader in (short, whole)]
                then = [through_msgpack(each.user.to_snapshot()) for each in folded]
                assert then[0] == then[1], "a checkpoint is a shortcut"
                assert through_msgpack(folded[0].mailbox.to_snapshot()) == through_msgpack(folded[1].mailbox.to_snapshot())
    for each in (reader, short, whole):
        each.close()


async def test_however_it_is_fed_the_store_is_the_same(town, tmp_path: Path):
    chance = random.Random(7)
    people = [town.person(f"p{n}", chance.choice(["h1", "h2"])) for n in range(5)]
    await live(town, people, chance, STEPS)
    await town.settled()
    items = await items_of(town.broker)
    items = [*items, StreamItem(len(items), b"junk"), *(StreamItem(len(items) + 1 + n, item.body) for n, item in enumerate(items[-3:]))]
    fed(tmp_path / "whole.db", items).close()
    whole = contents(tmp_path / "whole.db")
    assert len(whole["entries"]) > STEPS // 2
    assert whole["checkpoints"]

    batches = []
    position = 0
    while position < len(items):
        size = chance.randrange(1, 6)
        again = max(0, position - chance.randrange(4))  # what was read before comes again
        batches.append(items[again : position + size])
        position += size
    fed(tmp_path / "pieces.db", *batches).close()
    assert contents(tmp_path / "pieces.db") == whole, "in pieces, with repeats"

    feeder = fed(tmp_path / "begun.db", items[: len(items) // 2])
    feeder.close()
    fed(tmp_path / "begun.db", items[len(items) // 2 :]).close()
    assert contents(tmp_path / "begun.db") == whole, "stopped half-way and begun again"

    repeated = [*items, *(StreamItem(len(items) + n, item.body) for n, item in enumerate(items))]
    feeder = fed(tmp_path / "twice.db", repeated)
    twice = contents(tmp_path / "twice.db")
    assert twice.pop("reached") != whole["reached"]
    assert twice == {table: rows for table, rows in whole.items() if table != "reached"}, (
        "published twice by servers that crashed in between"
    )
    assert feeder.reached().offset == 2 * len(items)
    feeder.close()


async def test_between_two_events_the_state_is_that_of_the_first(town, tmp_path: Path):
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    people = [ann, bob]
    await live(town, people, random.Random(3), 80)
    await town.settled()
    fed(tmp_path / "audit.db", await items_of(town.broker)).close()
    decoder = HistoryDecoder(lambda home: town.homes[home].lifecycle.store.keys)
    reader = Reader(tmp_path / "audit.db", decoder.decode, personal=True, key=KEY)
    log = [committed.event for committed in ann.home.lifecycle.store.read(0, 10_000) if committed.event.originator_id == f"user-{ann.uid}"]
    assert len(log) > 10
    rules = rules_for("h1")
    state = rules.new_state(f"user-{ann.uid}")
    for event, following in zip(log, [*log[1:], None], strict=True):
        rules.evolve(state, event)
        if following is None or following.at > event.at:
            assert reader.moments.state(ann.uid, event.at).user.to_snapshot() == state.to_snapshot()
    assert reader.moments.state(ann.uid, log[0].at - 1).user.version == 0
    reader.close()
