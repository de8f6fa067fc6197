"""The laws of a home's projections, over random lives of real homes: replay is live, repeats change nothing.

A checkpoint and the events after it are the whole.
"""

import random
from pathlib import Path

import pytest

from domain.errors import FlashError
from projections.by_server import HomeProjections, by_name
from projections.server.presence import PresenceIndex
from servers.home.config import HousekeepingConfig
from servers.maintenance.rebuild_projections import rebuild_projections
from servers.writing.projector import Projector, read_checkpoint
from tests.servers.homes import Person, Town
from tests.support.snapshots import through_msgpack
from tests.support.waiting import eventually

STEPS = 250


@pytest.fixture
async def town(tmp_path, store_url):
    town = Town(tmp_path, store_url)
    await town.start("h1", "h2")
    yield town
    await town.stop()


async def live(town: Town, people: list[Person], chance: random.Random, steps: int) -> None:
    """What people do, in no order; what is refused is refused."""
    open_ones = []
    sent = ["m0"]
    for step in range(steps):
        ann, bob = chance.choice(people), chance.choice(people)
        town.clock.now += chance.choice([0, 0.5, 30])
        deed = chance.choice(["in", "in", "off", "lost", "add", "add", "remove", "send", "send", "send", "ack", "status", "done"])
        try:
            if deed == "in":
                replaced = chance.choice([None, *((session.id, 0) for who, session, _ in open_ones if who is ann)])
                open_ones.append((ann, *await ann.opens(resume=replaced)))
            elif deed in ("off", "lost", "ack") and open_ones:
                who, session, window = chance.choice(open_ones)
                if deed == "ack":
                    await who.acks(session, window)
                elif deed == "off":
                    await who.home.log_off(who.who, session.id)
                else:
                    who.home.lost(session)
            elif deed == "add":
                await ann.adds(bob, alias=chance.choice([None, "x"]), notify=chance.random() < 0.5)
            elif deed == "remove":
                await ann.home.contacts.remove(ann.who, bob.uid)
            elif deed == "send":
                sent.append(f"m{step}")
                await ann.sends(bob, "hi", id=sent[-1], in_reply_to=chance.choice([None, chance.choice(sent)]))
            elif deed == "status":
                until = chance.choice([None, town.clock.now + 20])
                await ann.home.set_status(ann.who, chance.choice(["online", "away", "dnd"]), chance.choice(["", "x"]), until)
            elif deed == "done":
                await ann.home.done(ann.who, chance.choice(sent))
        except FlashError:
            continue


def checkpoints(indices):
    return {name: through_msgpack(index.to_checkpoint()) for name, index in indices.items()}


@pytest.mark.parametrize("seed", range(4))
async def test_replay_is_live_whatever_people_do(town, tmp_path: Path, store_url, seed):
    chance = random.Random(seed)
    people = [town.person(f"p{n}", chance.choice(["h1", "h2"])) for n in range(6)]
    await live(town, people, chance, STEPS)
    await town.settled()
    for name, home in town.homes.items():
        running = by_name(home.projections)
        log = home.lifecycle.store.read(0, 100_000)
        assert log

        fresh = by_name(HomeProjections())
        for committed in log:
            for index in fresh.values():
                index.apply(committed.position, committed.event)
        assert checkpoints(fresh) == checkpoints(running), "replaying the log gives the live indices"

        for committed in chance.sample(log, len(log) // 2):
            for index in fresh.values():
                index.apply(committed.position, committed.event)
        assert checkpoints(fresh) == checkpoints(running), "repeats change nothing, in whatever order"

        cut = chance.randrange(len(log))
        before, after = by_name(HomeProjections()), by_name(HomeProjections())
        for committed in log[:cut]:
            for index in before.values():
                index.apply(committed.position, committed.event)
        for key, index in after.items():
            assert index.from_checkpoint(through_msgpack(before[key].to_checkpoint()))
        for committed in log:
            for index in after.values():
                index.apply(committed.position, committed.event)
        assert checkpoints(after) == checkpoints(running), "a checkpoint and the events after it are the whole"

        for stream in {committed.event.originator_id for committed in log}:
            known = home.writer.states.get(stream)
            if known is not None:
                assert home.lifecycle.store.load(stream).to_snapshot() == known.to_snapshot(), "a state in memory is what the log says"

        projector = Projector(home.lifecycle.store, tmp_path / name, running)
        await projector.save()
        lines = await rebuild_projections(store_url(name), name, tmp_path / name)
        assert [line.rpartition(", ")[2] for line in lines] == ["same as before"] * len(running)
        for key, index in running.items():
            assert read_checkpoint(tmp_path / name / f"{key}.projection", home.lifecycle.store.keys) == through_msgpack(
                index.to_checkpoint()
            )


@pytest.mark.parametrize("seed", range(2))
async def test_what_homes_know_of_each_other_is_true(town, seed):
    chance = random.Random(seed)
    people = [town.person(f"p{n}", chance.choice(["h1", "h2"])) for n in range(6)]
    await live(town, people, chance, STEPS)
    await town.settled()
    for person in people:
        for view in await person.lists():
            contact = town.people[view.uid]
            (truth,) = [contact.home.projections.presence.of(contact.uid)]
            assert view.presence.status == truth.status, f"{person.who.handle} sees {contact.who.handle}"
    for person in people:
        for contacter, home in person.home.projections.contacters.contacters.get(person.uid, {}).items():
            watcher = town.people[contacter]
            assert watcher.home_name == home
            assert contacter in watcher.home.projections.contacters.watchers[person.uid]


async def test_after_a_restart_the_indices_are_the_same(town):
    chance = random.Random(9)
    people = [town.person(f"p{n}", "h1") for n in range(5)]
    await live(town, people, chance, STEPS)
    await town.settled()
    town.housekeeping = HousekeepingConfig(restart_grace_s=3600)
    home = town.homes["h1"]
    await home.lifecycle.sealer.stop()  # closing would seal, which is an event more
    await eventually(
        lambda: all(until > town.clock() for until in home.projections.presence.lapses.values())
    )  # so would a status whose time is over
    before = checkpoints(by_name(home.projections))
    await town.closes("h1")
    await town.opens("h1")
    home = town.homes["h1"]
    assert checkpoints(by_name(home.projections)) == before


class OddAtFirst(PresenceIndex):
    """A projection whose first checkpoint cannot be written."""

    odd = True

    def to_checkpoint(self):
        odd, self.odd = self.odd, False
        return {"odd": object()} if odd else super().to_checkpoint()


async def test_a_checkpoint_that_cannot_be_written_is_tried_again(town, tmp_path: Path):
    projector = Projector(town.homes["h1"].lifecycle.store, tmp_path / "checkpoints", {"presence": OddAtFirst()})
    await projector.save()
    assert not (tmp_path / "checkpoints" / "presence.projection").exists()
    await projector.save()
    assert (tmp_path / "checkpoints" / "presence.projection").exists()


def test_a_checkpoint_of_another_format_is_refused_and_changes_nothing():
    for index in by_name(HomeProjections()).values():
        before = index.to_checkpoint()
        assert not index.from_checkpoint({**before, "format": -1, "position": 99})
        assert index.to_checkpoint() == before
