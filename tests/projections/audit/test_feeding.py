"""Feeding the store: each event once, nothing of a batch that fails, and a stream that was begun anew."""

import ctypes
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest

from broker.envelope import EventRecord
from domain.errors import Unavailable
from domain.events.global_server import UserRegistered
from domain.registry.registered_home import GLOBAL
from projections.audit.coverage import LogLife
from projections.audit.feeding import MANY_EVENTS, Feeder, Message, OtherHistory
from projections.audit.reader import Reader
from projections.audit.rows import ENTRIES_PER_OFFSET, AuditFilter, AuditRow, Reached
from projections.audit.tables import CALM_KIB, FEEDING_KIB, hold_pages, open_for_reading
from servers.audit.decoder import HistoryDecoder
from tests.projections.histories import KEY

MINUTE = 60.0
NOW = 10 * MINUTE
FIRST_LIFE = (0, 0, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def feeder(path: Path) -> Iterator[Feeder]:
    feeder = opened(path)
    yield feeder
    feeder.close()


def opened(path: Path, clock: Callable[[], float] = lambda: NOW) -> Feeder:
    return Feeder(path, HistoryDecoder().decode, clock=clock, checkpoint_every=2, key=KEY)


def said(
    offset: int,
    source: str,
    *positions: int,
    mark: bytes = b"",
    told: tuple[int, int] | None = None,
    life: LogLife = FIRST_LIFE,
    era: int = 0,
) -> Message:
    """A message with these events of one stream of `source`; the event at position 3 is of version 3 and of minute 3."""
    records = [EventRecord(n, "user-1", n, "user.contacter_removed", n * MINUTE, removed(n)) for n in positions]
    return Message(offset, source, records, mark or str(offset).encode(), life, told, era)


def removed(n: int) -> bytes:
    data: bytes = msgpack.packb({"at": n * MINUTE, "cause": "c", "uid": n, "home": "h1"})
    return data


def registered() -> Message:
    """The first message: the Global Server names user 1, who lives at h1."""
    fields = {"at": 0.0, "cause": "r", "uid": 1, "handle": "ann", "home": "h1", "profile": {}}
    return Message(0, GLOBAL, [EventRecord(1, "account-1", 1, UserRegistered.TOPIC, 0.0, msgpack.packb(fields))], b"0")


def rows(path: Path) -> list[AuditRow]:
    """Everything, in the order of arrival."""
    reader = Reader(path, HistoryDecoder().decode, key=KEY)
    found = reader.log.page(AuditFilter(), None, 1_000, "arrival").rows
    reader.close()
    return list(found)


def stored(path: Path) -> list[tuple[str, int]]:
    return [(row.source, row.position) for row in rows(path)]


def test_the_store_says_how_far_it_has_come(feeder):
    assert feeder.reached() == Reached(0, 0, None, None, 0, base=0, era=0)
    assert feeder.reached().cursor is None
    reached = feeder.feed([said(0, "h1", 1, 2)])
    assert reached == feeder.reached() == Reached(1, 2, 2 * MINUTE, NOW - 2 * MINUTE, 0)
    assert (reached.next_id, reached.cursor) == (ENTRIES_PER_OFFSET, str(ENTRIES_PER_OFFSET - 1))
    assert feeder.feed([said(1, "")]) == feeder.reached() == Reached(2, 2, 2 * MINUTE, NOW - 2 * MINUTE, 1), "a message that is not ours"
    assert feeder.feed([]) == Reached(2, 2, 2 * MINUTE, NOW - 2 * MINUTE, 1)
    assert feeder.feed([said(2, "h1", 12)]) == Reached(3, 3, 12 * MINUTE, 0.0, 1), "nothing is behind by less than nothing"


def test_an_era_is_named_by_the_global_server(feeder):
    assert feeder.global_key() == b""
    assert feeder.feed([said(0, "h1", 1)]).era == 0
    assert feeder.feed([said(1, "global", 1, era=7)._replace(key=b"key")]).era == 7
    assert feeder.global_key() == b"key"
    assert feeder.feed([said(2, "h1", 2)]).era == feeder.reached().era == 7
    assert feeder.global_key() == b"key"


def test_what_comes_again_is_stored_once(feeder, path):
    feeder.feed([said(0, "h1", 1, 2), said(1, "h2", 1)])
    assert feeder.feed([said(0, "h1", 1, 2), said(1, "h2", 1)]) == Reached(2, 3, 1 * MINUTE, NOW - 1 * MINUTE, 0), "read again"
    assert feeder.feed([said(0, "h1", 1, 2)]).offset == 2, "an old message is no way back"
    feeder.feed([said(2, "h1", 1, 2, 5), said(3, "h1", 5, 9), said(4, "h2", 3)])
    assert stored(path) == [("h1", 1), ("h1", 2), ("h2", 1), ("h1", 5), ("h1", 9), ("h2", 3)], "published again"
    assert [row.id for row in rows(path)][-3:] == [2 * ENTRIES_PER_OFFSET + 2, 3 * ENTRIES_PER_OFFSET + 1, 4 * ENTRIES_PER_OFFSET]
    assert feeder.reached().entries == 6


def test_of_what_is_signed_a_repeat_is_what_was_told_and_a_gap_may_be_filled(feeder, path):
    feeder.feed([said(0, "h1", 5, told=(3, 6)), said(1, "h1", 5, 6, told=(3, 6)), said(2, "h1", 4, told=(3, 4))])
    assert stored(path) == [("h1", 5)], "positions without an event of this message are none of the history"
    feeder.feed([said(3, "h1", 2, 3, told=(1, 3)), said(4, "h1", 7, told=(6, 7))])
    assert stored(path) == [("h1", 5), ("h1", 2), ("h1", 3), ("h1", 7)]


def test_a_server_that_signs_from_now_on_may_fill_what_lies_before(feeder, path):
    feeder.feed([said(0, "h1", 4, 5), said(1, "h2", 3)])
    signed = [said(2, "h1", 4, told=(3, 4)), said(3, "h1", 5, told=(4, 5)), said(4, "h2", 3, told=(2, 3))]
    feeder.feed(signed)
    assert stored(path) == [("h1", 4), ("h1", 5), ("h2", 3)], "these were told"
    feeder.feed([said(5, "h1", 3, told=(2, 3)), said(6, "h2", 2, told=(1, 2))])
    assert stored(path)[3:] == [("h1", 3), ("h2", 2)]


def test_a_server_may_count_from_0(feeder, path):
    assert feeder.feed([said(0, "h1", 0)]) == Reached(1, 1, 0.0, NOW, 0)
    feeder.feed([said(1, "h1", 0, 1)])
    assert stored(path) == [("h1", 0), ("h1", 1)]


def test_a_log_that_was_restored_tells_anew_what_both_lives_do_not_share(feeder, path):
    feeder.feed([said(0, "h1", 1, 2, 3, told=(0, 3))])
    feeder.feed([said(1, "h1", 2, 3, 4, told=(1, 4), life=(8, 0, 2))])
    assert stored(path) == [("h1", 1), ("h1", 2), ("h1", 3), ("h1", 3), ("h1", 4)]
    feeder.feed([said(2, "h1", 3, 4, told=(2, 4), life=(8, 0, 2))])
    assert len(stored(path)) == 5


def test_another_history_is_known_by_its_last_message(feeder, path):
    before = feeder.feed([said(0, "h1", 1), said(1, "h1", 2, mark=b"ours")])
    assert feeder.feed([said(1, "h1", 2, mark=b"ours")]) == before
    with pytest.raises(OtherHistory):
        feeder.feed([said(1, "h1", 2, mark=b"another"), said(2, "h1", 3)])
    assert feeder.reached() == before
    assert stored(path) == [("h1", 1), ("h1", 2)]


def test_nothing_of_a_batch_that_fails_is_stored(feeder, path):
    feeder.feed([said(0, "h1", 1)])
    with pytest.raises(OtherHistory):
        feeder.feed([said(1, "h9", 1, mark=b"one"), said(1, "h9", 1, mark=b"another")])
    assert stored(path) == [("h1", 1)]
    feeder.feed([said(1, "h8", 1), said(2, "h9", 1)])
    assert stored(path) == [("h1", 1), ("h8", 1), ("h9", 1)], "a server keeps its name, although a number for it was rolled back"


def test_where_the_stream_was_begun_anew_ids_go_on(feeder, path):
    feeder.feed([said(0, "h1", 1), said(1, "h1", 2, era=3)])
    begun = feeder.begin_anew()
    assert begun == Reached(0, 2, 2 * MINUTE, NOW - 2 * MINUTE, 0, base=2 * ENTRIES_PER_OFFSET, era=0)
    assert begun.next_id == begun.base
    assert feeder.feed([said(0, "h1", 1, 2, 3, mark=b"new", era=4)]) == Reached(
        1, 3, 3 * MINUTE, NOW - 3 * MINUTE, 0, base=begun.base, era=4
    )
    assert [(row.id, row.position, row.offset, row.era) for row in rows(path)] == [
        (0, 1, 0, 3),
        (ENTRIES_PER_OFFSET, 2, 1, 3),
        (begun.base + 2, 3, 0, 4),
    ], "what is published again is a repeat"
    assert feeder.begin_anew().base == 3 * ENTRIES_PER_OFFSET
    assert feeder.begin_anew().base == 3 * ENTRIES_PER_OFFSET, "nothing came in between"
    assert feeder.feed([said(0, "h1", 4)]).entries == 4


def test_events_that_come_behind_newer_ones_complete_a_stream_and_are_not_news(feeder, path):
    feeder.feed([registered(), said(1, "h1", 5, 6, told=(4, 6))])
    reader = Reader(path, HistoryDecoder().decode, key=KEY)
    assert not reader.moments.state(1, 6 * MINUTE).complete
    feeder.begin_anew()
    reached = feeder.feed([said(0, "h1", 1, 2, 3, 4, told=(0, 4)), said(1, "h1", 5, 6, told=(4, 6))])
    assert reached == Reached(2, 7, 6 * MINUTE, NOW - 6 * MINUTE, 0, base=2 * ENTRIES_PER_OFFSET)
    state = reader.moments.state(1, 6 * MINUTE)
    assert (state.complete, state.user.version) == (True, 6), "the checkpoint that lacked them is gone"
    assert reader.moments.doubts() == [], "they were not backdated"
    wanted = AuditFilter(source="h1")
    assert [row.position for row in reader.log.page(wanted, None, 10, "oldest").rows] == [1, 2, 3, 4, 5, 6]
    reader.close()
    feeder.feed([said(2, "h1", 7, told=(6, 7))])
    assert feeder.reached().newest == 7 * MINUTE


def test_a_store_goes_on_when_it_is_opened_again(path):
    feeder = opened(path)
    reached = feeder.feed([said(0, "h1", 1), said(1, "h2", 1, mark=b"ours")])
    feeder.close()
    again = opened(path)
    assert again.reached() == reached
    with pytest.raises(OtherHistory):
        again.feed([said(1, "h2", 1, mark=b"another")])
    again.feed([said(2, "h1", 1, 2)])
    again.close()
    assert stored(path) == [("h1", 1), ("h2", 1), ("h1", 2)]


def test_a_store_of_another_format_is_fed_anew(path):
    feeder = opened(path)
    feeder.feed([said(0, "h1", 1)])
    feeder.close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 1")
    database.close()
    again = opened(path)
    assert again.reached() == Reached(0, 0, None, None, 0)
    again.feed([said(0, "h2", 1)])
    again.close()
    assert stored(path) == [("h2", 1)]


def test_who_asks_changes_nothing(feeder, path):
    feeder.feed([said(0, "h1", 1)])
    database = open_for_reading(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("DELETE FROM entries")
    database.close()


def test_a_store_that_cannot_be_used_is_unavailable(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unavailable, match=r"^the audit store .*folder cannot be opened: "):
        opened(tmp_path / "folder")
    with pytest.raises(Unavailable, match=r"^the audit store .*file cannot be opened: "):
        Reader(tmp_path / "nowhere" / "file", HistoryDecoder().decode, key=KEY)
    feeder = opened(tmp_path / "new" / "folder" / "audit.db")
    feeder.close()
    for use in (feeder.reached, feeder.begin_anew, lambda: feeder.feed([said(0, "h1", 1)])):
        with pytest.raises(Unavailable, match=r"^the audit store cannot be used: "):
            use()


def test_only_a_store_that_is_behind_holds_many_pages(feeder):
    """A cache of 64 MiB would fill for hours, event by event, and would not be given back."""
    feeder.feed([said(0, "h1", 1)])
    assert feeder.holds_kib == CALM_KIB
    feeder.feed([said(1, "h1", *range(2, 3 + MANY_EVENTS))])
    assert feeder.holds_kib == FEEDING_KIB
    feeder.feed([said(2, "h1", 3 + MANY_EVENTS)])
    assert feeder.holds_kib == CALM_KIB


def test_pages_that_are_no_longer_held_are_let_go(feeder, path):
    feeder.feed([said(0, "h1", *range(1, 20_000))])
    database = open_for_reading(path)
    hold_pages(database, FEEDING_KIB)
    database.execute("SELECT count(*) FROM entries NOT INDEXED WHERE cause > ''").fetchone()
    used = sqlite_bytes()
    hold_pages(database, 100)
    assert used - sqlite_bytes() > 1_000_000
    database.close()


def sqlite_bytes() -> int:
    """The memory that SQLite has in this process."""
    used = ctypes.CDLL("libsqlite3.so.0").sqlite3_memory_used
    used.restype = ctypes.c_int64
    found: int = used()
    return found
