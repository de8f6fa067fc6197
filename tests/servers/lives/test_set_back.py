"""A home whose log was emptied, or is an older copy: what the history has comes back, and only what nobody has waits for the ops."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.errors import Unavailable
from servers.lives.continuation import JUMP
from servers.messaging.heartbeats import PURPOSE, TWIN_BEATS, Beat
from tests.servers.homes import shown
from tests.servers.maintenance.losses import Place
from tests.servers.maintenance.test_backup import log
from tests.support.waiting import eventually


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = await Place(tmp_path).start()
    yield place
    await place.town.stop()


async def talks_on(place: Place, *texts: str) -> None:
    """Nobody lost a popup and nobody gets one twice, on either side."""
    await place.town.meet()
    _, anns = await place.ann.opens()
    _, bobs = await place.bob.opens()
    heard = [f"{text} {number} from bob" for text in texts for number in range(3)]
    await shown(anns.texts, heard)
    await place.talk("since")
    await shown(anns.texts, [*heard, *(f"since {number} from bob" for number in range(3))])
    await shown(lambda: [text for text in bobs.texts() if text.startswith("since")], [f"since {number} from ann" for number in range(3)])


async def test_an_emptied_log_is_put_back_and_another_life_begins(place):
    life = place.town.homes["h1"].lifecycle.store.life
    await place.town.closes("h1")
    rows = log(place.url)
    place.lose(keys=False)
    home = await place.town.opens("h1")
    assert home.lifecycle.keeper.put_back == len(rows)
    assert log(place.url)[: len(rows)] == rows
    store = home.lifecycle.store
    assert (store.former, store.agreed) == (life, rows[-1].position)
    assert store.life not in (0, life)
    await talks_on(place, "before")


async def test_an_older_copy_gets_what_came_after_it(place):
    await place.town.closes("h1")
    shutil.copy(place.directory / "h1.db", place.directory / "older")
    await place.town.opens("h1")
    await place.town.meet()
    await place.talk("after")
    await place.town.closes("h1")
    rows = log(place.url)
    shutil.copy(place.directory / "older", place.directory / "h1.db")
    home = await place.town.opens("h1")
    assert log(place.url)[: len(rows)] == rows
    assert home.lifecycle.store.agreed == rows[-1].position
    await talks_on(place, "before", "after")


async def test_a_restart_is_the_same_life(place):
    life = place.town.homes["h1"].lifecycle.store.life
    await place.town.closes("h1")
    home = await place.town.opens("h1")
    assert (home.lifecycle.store.life, home.lifecycle.keeper.put_back) == (life, 0)


async def waiting(place: Place) -> "asyncio.Task[object]":
    """The start of a home that may not begin."""
    opening = asyncio.create_task(place.town.opens("h1"))
    await eventually(lambda: "h1" in place.town.losses)
    return opening


async def test_what_nobody_has_waits_for_the_ops(place):
    """The Global Server has seals of events that are neither in the log nor in the history."""
    await place.town.closes("h1")
    end = log(place.url)[-1].position
    known = place.town.sealed["h1"] = end + 7
    opening = await waiting(place)
    home = place.town.homes["h1"]
    assert f"the events after {end}, up to {known} at least, which the Global Server knows of, are nowhere" in (home.closed() or "")
    assert "flash servers accept h1" in (home.closed() or "")
    assert log(place.url)[-1].position == end, "something was written before the ops had spoken"
    place.town.accepted.add("h1")
    await opening
    assert home.closed() is None
    assert log(place.url)[-1].position > known + JUMP
    await talks_on(place, "before")


async def test_names_and_texts_whose_keys_are_gone_wait_for_the_ops(place):
    await place.town.closes("h1")
    place.lose()
    opening = await waiting(place)
    assert "the keys of" in place.town.losses["h1"]
    place.town.accepted.add("h1")
    await opening


async def test_a_home_that_lost_its_keys_too_is_enrolled_before_it_asks_what_was_lost(place):
    """The town's Global Server answers nothing about lives in the clear, and the home has no key for a box at first."""
    await place.town.closes("h1")
    place.lose()
    opening = await waiting(place)
    assert place.town.homes["h1"].lifecycle.trust.enrolled
    place.town.accepted.add("h1")
    await opening


async def test_a_running_home_that_was_set_back_stops_writing_at_once(place):
    home = place.town.homes["h1"]
    home.lifecycle.keeper.heard_of("The Global Server", 10**6)
    with pytest.raises(Unavailable, match="was set back"):
        await place.ann.sends(place.bob, "too late")
    assert home.lifecycle.keeper.over.is_set()
    assert "was set back: The Global Server knows that this log had come to 1000000" in (home.closed() or "")


async def test_nobody_is_believed_who_knows_no_more_than_the_log(place):
    home = place.town.homes["h1"]
    home.lifecycle.keeper.heard_of("The Global Server", home.lifecycle.outbox.recent.last)
    await place.ann.sends(place.bob, "still here")


async def test_a_log_is_at_work_once(place):
    """A copied directory, or the name of a home that runs: the second process is refused before it writes anything."""
    copy = place.directory / "copy"
    copy.mkdir()
    shutil.copy(place.directory / "h1.db", copy / "h1.db")
    first = place.town.homes["h1"]
    place.town.store_url = lambda home: f"sqlite:///{copy}/{home}.db"
    with pytest.raises(Unavailable, match="Another process serves h1 already"):
        await place.town.opens("h1", shared_broker=True)
    await place.town.closes("h1")
    place.town.homes["h1"] = first
    await place.ann.sends(place.bob, "the first one goes on")


def copied(place: Place, name: str) -> None:
    """A copy of h1's log and of its data directory."""
    shutil.copytree(place.directory / "h1", place.directory / name / "h1")
    shutil.copy(place.directory / "h1.db", place.directory / name / "h1.db")


def goes_on_from(place: Place, name: str) -> "asyncio.Task[object]":
    """h1 is started from this copy."""
    for path in place.directory.glob("h1.db*"):
        path.unlink()
    shutil.rmtree(place.directory / "h1")
    shutil.copytree(place.directory / name, place.directory, dirs_exist_ok=True)
    return asyncio.create_task(place.town.opens("h1"))


async def told_nobody(place: Place, count: int) -> None:
    """h1 commits so much that is in no history when its machine dies."""
    history = place.town.homes["h1"].lifecycle.outbox.history
    await history.kill()
    for number in range(count):
        await place.ann.sends(place.bob, f"the original's last {number}")


@pytest.mark.parametrize(
    ("alone", "more"),
    [
        pytest.param(1, 30, id="the copy has come further"),
        pytest.param(40, 0, id="the original has come further"),
        pytest.param(40, 60, id="both were sealed since"),
    ],
)
async def test_a_log_whose_copy_was_continued_meanwhile_is_refused(place, alone, more):
    """Neither process ever sees the other one. The history has what the copy did, at positions that the original has, too."""
    await place.town.closes("h1")
    copied(place, "copy")
    agreed = log(place.url)[-1].position
    await place.town.opens("h1")
    await place.town.meet()
    await told_nobody(place, alone)
    await place.town.homes.pop("h1").lifecycle.stop()
    copied(place, "original")

    await goes_on_from(place, "copy")
    await place.town.meet()
    await place.ann.sends(place.bob, "the copy's first")
    await place.town.settled()
    for number in range(more):
        await place.ann.sends(place.bob, f"the copy's {number}")
    await place.town.closes("h1")

    opening = goes_on_from(place, "original")
    await eventually(lambda: "h1" in place.town.losses)
    home = place.town.homes["h1"]
    rows = log(place.url)
    assert "another process has gone on from a copy of it" in (home.closed() or "")
    assert f"from position {agreed + 1} on" in (home.closed() or "")
    assert log(place.url) == rows, "something was written before the ops had spoken"
    place.town.accepted.add("h1")
    await opening
    assert home.lifecycle.store.agreed == agreed
    await talks_on(place, "before")


def beat_of(home, run, number):
    trust = home.lifecycle.trust
    return trust.identity.signed(PURPOSE, Beat("h1", run, trust.clock(), number))


async def test_of_two_that_found_each_other_late_the_second_gives_way(place):
    home = place.town.homes["h1"]
    for beat in range(TWIN_BEATS):
        assert not home.lifecycle.keeper.over.is_set(), f"{beat} heartbeats may be of its own former run"
        await place.town.broker.send_heartbeat(beat_of(home, "0 earlier", beat))
        await asyncio.sleep(0)
    await eventually(home.lifecycle.keeper.over.is_set)
    with pytest.raises(Unavailable, match="Another process serves h1 already"):
        await place.ann.sends(place.bob, "from the second one")


async def test_the_first_of_two_goes_on(place):
    home = place.town.homes["h1"]
    for beat in range(2 * TWIN_BEATS):
        await place.town.broker.send_heartbeat(beat_of(home, "9 later", beat))
    await place.town.settled()
    assert not home.lifecycle.keeper.over.is_set()


async def test_a_peers_word_alone_stops_nobody(place):
    """One lying peer could otherwise stop every home; its word makes a home look into the history."""
    keeper = place.town.homes["h1"].lifecycle.keeper
    keeper.heard_of_peer("h2", 2**62)
    keeper.heard_of_peer("h2", 2**62)
    await keeper.stop()
    assert keeper.doubts == 2
    assert not keeper.over.is_set()
    await place.ann.sends(place.bob, "still here")
