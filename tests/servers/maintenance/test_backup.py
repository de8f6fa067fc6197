"""A home is backed up at work, dies with all its files, and is put back: what came after the backup comes out of the history."""

import asyncio
import dataclasses
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
import pytest
from eventsourcing.persistence import Tracking

from broker import envelope
from broker.embedded.reader import EmbeddedReader
from servers.encryption.key_tables import SqliteKeys
from servers.lives.continuation import JUMP, JUMP_BLIND
from servers.maintenance.backup import back_up_keys, back_up_log
from servers.maintenance.errors import NotBackedUp, NotRestored
from servers.store.databases import open_view
from servers.store.log.event_log import Row
from servers.trust.trust import Trust
from tests.faults.history import open_store
from tests.servers.homes import erases, shown
from tests.servers.maintenance.losses import AFTER, Place, ruin, state, told_by
from tests.support.waiting import eventually


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Alive."""
    place = await Place(tmp_path).start()
    yield place
    await place.town.stop()


@pytest.fixture(scope="module")
def ruined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ruined")
    asyncio.run(ruin(directory))
    return directory


@pytest.fixture
def lost(ruined: Path, tmp_path: Path) -> Place:
    """Stopped some time after its backup, files still there."""
    return Place(shutil.copytree(ruined, tmp_path / "place"))


def log(url: object) -> list[Row]:
    """All of it."""
    with closing(open_view(str(url), "h1")) as opened:
        return list(opened.rows())


def trackings(url: str) -> dict[str, int]:
    with closing(open_view(url, "h1")) as opened:
        return opened.trackings()


async def test_nothing_is_lost_by_a_disaster_after_the_backup(place):
    await asyncio.to_thread(place.back_up)
    await place.talk("after", AFTER)
    session, window = await place.bob.opens()
    await place.bob.acks(session, window)
    await place.town.settled()
    await place.town.closes("h1")
    with closing(SqliteKeys(place.directory / "keys" / "h1.db")) as keys:
        known, words = Trust("h1", keys, place.town.clock).identity.public, keys.every_word()
    before, rows, were = state(place.url), log(place.url), trackings(place.url)
    assert any("from bob" in folded for folded in before[0].values()), "no text was read: the keys are wrong"
    place.lose()

    done = await place.restore()
    assert done.from_backup + done.from_history == len(rows)
    assert (done.last, done.continues_at) == (rows[-1].position, rows[-1].position + JUMP)
    assert (done.missing, done.unreadable) == (0, 0)
    assert log(place.url)[:-2] == rows
    assert state(place.url) == before
    with closing(SqliteKeys(place.directory / "keys" / "h1.db")) as keys:
        assert Trust("h1", keys, place.town.clock).identity.public == known
        assert words.keys() >= {place.ann.uid, place.bob.uid}
        assert keys.every_word() == words
    assert (await place.verified()).honest
    mail = [record for record in await told_by(place.directory, "h2") if record.topic == "user.message_sent"]
    assert mail[-1].position <= trackings(place.url)["h2"] <= were["h2"], "what was consumed before would be consumed again"

    await place.town.opens("h1")
    await place.town.meet()
    _, anns = await place.ann.opens()
    _, bobs = await place.bob.opens()
    texts = [f"{what} {number} from bob" for what, count in (("before", 3), ("after", AFTER)) for number in range(count)]
    await shown(anns.texts, texts)
    await place.talk("since")
    await shown(anns.texts, [*texts, *(f"since {number} from bob" for number in range(3))])
    await shown(bobs.texts, [f"since {number} from ann" for number in range(3)])
    await place.town.closes("h1")
    report = await place.verified()
    assert report.honest, [str(finding) for finding in report.findings]
    assert report.last > rows[-1].position + JUMP


async def test_what_others_heard_and_no_history_knows_is_no_repeat(place):
    """The last moment of a home: its mail went out, the history did not hear of it. Its numbers must not be used again."""
    await asyncio.to_thread(place.back_up)
    h2 = place.town.homes["h2"]
    lost = place.town.homes["h1"].lifecycle.store.last_position() + 50
    await place.town.closes("h1")
    await h2.writer.submit((), trackings=[Tracking("h1", lost)])
    h2.lifecycle.inbox.dedup.forget(["h1"])
    place.lose()
    await place.restore()
    _, bobs = await place.bob.opens()
    await place.town.opens("h1")
    await place.town.meet()
    await place.ann.sends(place.bob, "still there?")
    await eventually(lambda: "still there?" in bobs.texts())


async def test_mail_that_waits_is_no_repeat_although_what_an_older_popup_led_to_came_after_it(place):
    """Done and a reply speak of the same popup as its delivery does, which the home had heard of."""
    await asyncio.to_thread(place.back_up)
    asked = await place.ann.sends(place.bob, "pop over?")
    await place.town.settled()
    session, window = await place.bob.opens()
    await place.bob.acks(session, window)
    await place.town.settled()
    await place.town.closes("h1")
    await place.bob.sends(place.ann, "while you were away")
    await place.bob.home.done(place.bob.who, asked)
    await place.bob.sends(place.ann, "gladly", in_reply_to=asked)

    async def the_history_has_it_all() -> bool:
        topics = [record.topic for record in await told_by(place.directory, "h2")]
        return "mailbox.message_done" in topics and topics.count("user.message_sent") >= 5

    await eventually(the_history_has_it_all)
    place.lose()
    await place.restore()
    await place.town.opens("h1")
    await place.town.meet()
    _, anns = await place.ann.opens()
    await eventually(lambda: anns.texts()[-2:] == ["while you were away", "gladly"])
    assert [state for id, state, _ in anns.states() if id == asked][-1] == "done"


async def test_a_number_from_before_the_disaster_takes_nothing_out(place):
    """The client had more than the restored mailbox ever gave; what the same numbers stand for now, it has not seen."""
    await asyncio.to_thread(place.back_up)
    await place.bob.sends(place.ann, "nobody will remember")
    session, window = await place.ann.opens()
    await place.ann.acks(session, window)
    upto = window.newest
    await place.town.closes("h1")
    place.lose()
    await place.restore(history=None, incomplete=True)
    await place.town.opens("h1")
    await place.town.meet()
    texts = [f"new {number}" for number in range(upto)]
    for text in texts:
        await place.bob.sends(place.ann, text)
    await place.town.settled()
    again, window = await place.ann.opens(resume=(session.id, upto))
    assert window.bodies("welcome")[0]["resume"]["verdict"] == "gap"
    await eventually(lambda: window.texts()[-len(texts) :] == texts)
    await place.ann.acks(again, window)
    _, window = await place.ann.opens(resume=(again.id, window.newest))
    assert window.bodies("welcome")[0]["resume"]["verdict"] == "fresh"


async def test_nothing_is_restored_over_anything(place):
    place.back_up()
    with pytest.raises(NotBackedUp, match="there already"):
        place.back_up()
    await place.town.closes("h1")
    with pytest.raises(NotRestored, match="not empty"):
        await place.restore()


async def test_a_restored_home_says_so_in_its_log(lost):
    lost.lose()
    done = await lost.restore()
    marker, began = log(lost.url)[-2:]
    told = msgpack.unpackb(marker.data)
    assert (marker.topic, marker.position) == ("log.restored", done.continues_at)
    assert (told["backed_up"], told["told"], told["missing"]) == (done.backed_up, done.last, 0)
    assert (began.topic, began.stream, began.version) == ("log.life_began", "life-h1", 2)
    before = [msgpack.unpackb(row.data)["life"] for row in log(f"sqlite:///{lost.saved}/h1.db") if row.topic == "log.life_began"]
    told = msgpack.unpackb(began.data)
    assert (told["former"], told["agreed"]) == (before[0], done.last)
    assert told["life"] not in (0, before[0])


class Holed:
    """A history without one event."""

    def __init__(self, directory: Path, position: int) -> None:
        self._whole = EmbeddedReader(directory / "broker.db")
        self._position = position

    async def read_stream(self, *arguments: Any, **options: Any) -> Any:
        async for item in self._whole.read_stream(*arguments, **options):
            told = envelope.decode(item.body)
            records = [r for r in told.events if (told.source, r.position) != ("h1", self._position)]
            yield dataclasses.replace(item, body=envelope.encode(told.source, records))


async def test_a_history_with_a_hole_stops_it_unless_told_to_go_on(lost):
    end = log(f"sqlite:///{lost.saved}/h1.db")[-1].position
    hole = next(row for row in log(lost.url) if row.position > end and row.topic == "user.message_sent")
    history = Holed(lost.directory, hole.position)
    lost.lose()
    with pytest.raises(
        NotRestored, match=f"neither in the backup nor in the history, the first {hole.stream} {hole.version}; --incomplete"
    ):
        await lost.restore(history=history)
    assert not list(lost.directory.glob("h1.db"))
    said: list[str] = []
    assert (await lost.restore(history=history, incomplete=True, say=said.append)).missing == 1
    assert len(said) == 1


async def test_without_any_history_it_goes_on_far_away_and_repeats_its_mail(lost):
    lost.lose()
    with pytest.raises(NotRestored, match="there is no history"):
        await lost.restore(history=None)
    done = await lost.restore(history=None, incomplete=True)
    assert done.continues_at == done.last + JUMP_BLIND
    assert {"@relay", "@relay-history"}.isdisjoint(trackings(lost.url))


async def test_a_backup_of_another_life_is_refused(lost):
    lost.lose()
    with closing(sqlite3.connect(lost.saved / "h1.db")) as database, database:
        database.execute("UPDATE stored_events SET state = x'80' WHERE rowid = (SELECT max(rowid) FROM stored_events)")
    with pytest.raises(NotRestored, match="other events of h1"):
        await lost.restore()


async def test_keys_that_are_still_there_win_and_missing_ones_are_counted(lost):
    lost.lose(keys=False)
    with closing(SqliteKeys(lost.directory / "keys" / "h1.db")) as keys:
        keys.destroy(2)
        assert (await lost.restore()).unreadable == 0
        assert keys.read((2,)) == {2: None}
    lost.lose()
    (lost.saved / "keys" / "h1.db").unlink()
    SqliteKeys(lost.saved / "keys" / "h1.db").close()
    assert (await lost.restore()).unreadable == 2


async def test_nobody_who_was_erased_comes_back_with_an_old_backup_of_the_keys(place):
    """Ann closes her account after the keys were saved."""
    await asyncio.to_thread(place.back_up)
    await erases(place.town, place.ann)
    await eventually(lambda: place.ann.uid in place.town.homes["h1"].projections.closed.uids)
    await place.town.settled()
    await place.town.closes("h1")
    place.lose()
    await place.restore()
    with closing(SqliteKeys(place.directory / "keys" / "h1.db")) as keys:
        assert keys.read((1, 2))[1] is None
        assert keys.read((1, 2))[2]


async def test_a_backup_is_its_owners_only_and_without_keys_says_nothing(lost):
    assert {path.stat().st_mode & 0o777 for path in (lost.saved / "h1.db", lost.saved / "keys" / "h1.db")} == {0o600}
    assert {path.name for path in lost.saved.rglob("*")} == {"h1.db", "keys"}
    assert b"from ann" not in (lost.saved / "h1.db").read_bytes()


async def test_postgresql_is_backed_up_and_put_back(lost, postgres):
    before, rows = state(lost.url), log(lost.url)
    url, empty = postgres.new_database(), postgres.new_database()
    await lost.restore(url)
    assert state(url) == before
    assert log(url)[:-2] == rows
    shutil.rmtree(lost.saved)
    back_up_log("h1", url, lost.saved / "h1.db")
    back_up_keys("h1", "", url, lost.saved / "keys" / "h1.db")
    done = await lost.restore(empty)
    assert state(empty) == before
    assert (done.from_backup, done.from_history) == (len(rows) + 2, 0)
    store = open_store(empty, "h1")
    assert store.last_position() == done.continues_at + 1
    store.close()
