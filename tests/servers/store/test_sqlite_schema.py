"""Streams on SQLite: found without an index, as the library finds them with one, also in a log that the library made."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from eventsourcing.persistence import ProcessRecorder, StoredEvent
from eventsourcing.sqlite import SQLiteFactory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers.store.databases import open_view
from servers.store.event_store import Store
from servers.store.log.event_log import Conflicted
from servers.store.sqlite.log import SqliteLog
from tests.servers.stores import HOME, adopted, put


def event(stream: str, version: int) -> tuple[str, int, str, bytes]:
    """As ours are inserted: what a `StoredEvent` of the library's holds."""
    return (stream, version, "user.adopted", f"{stream}/{version}".encode())


def stored(events: Sequence[tuple[str, int, str, bytes]]) -> list[StoredEvent]:
    return [StoredEvent(*event) for event in events]


def ours(path: Path) -> SqliteLog:
    return SqliteLog(path)


def the_librarys(path: Path) -> ProcessRecorder:
    return SQLiteFactory({"SQLITE_DBNAME": str(path), "ORIGINATOR_ID_TYPE": "text"}).process_recorder()


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database, database:
        return database.execute(sql).fetchall()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=5), max_size=8), st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_streams_are_read_as_the_library_reads_them(tmp_path_factory: pytest.TempPathFactory, commits, versions_asked):
    directory = tmp_path_factory.mktemp("streams")
    mine, other = ours(directory / "ours.db"), the_librarys(directory / "theirs.db")
    versions = dict.fromkeys("abc", 0)
    for commit in commits:
        events = []
        for stream in commit:
            versions[stream] += 1
            events.append(event(stream, versions[stream]))
        assert list(mine.append(events)) == list(other.insert_events(stored(events)) or ())
    for stream in "abcd":
        for after in versions_asked:
            assert stored([row[1:] for row in mine.read_stream(stream, after)]) == other.select_events(stream, gt=after)
    assert [tuple(row) for row in mine.read(0, 100)] == [
        (n.id, n.originator_id, n.originator_version, n.topic, n.state) for n in other.select_notifications(None, 100)
    ]
    mine.close()


def test_a_version_is_stored_once_and_nothing_of_a_refused_commit(tmp_path: Path):
    log = ours(tmp_path / "h1.db")
    log.append([event("a", 1), event("a", 2)])
    for refused in ([event("b", 1), event("a", 2)], [event("a", 1)], [event("b", 1), event("b", 1)]):
        with pytest.raises(Conflicted):
            log.append(refused)
    assert log.last_position() == 2
    assert log.read_stream("b") == []
    assert log.append([event("a", 3)]) == range(3, 4)


def test_a_version_may_be_missing(tmp_path: Path):
    """Private events are in no history; a log that was restored from one lacks them."""
    log = ours(tmp_path / "h1.db")
    log.append([event("a", 1), event("a", 4), event("a", 5)])
    assert [row.version for row in log.read_stream("a", 1)] == [4, 5]


def test_a_log_that_the_library_made_is_brought_over_with_its_positions(tmp_path: Path):
    path = tmp_path / "h1.db"
    before = the_librarys(path)
    before.insert_events(stored([event("a", 1), event("b", 1)]))
    before.insert_events(stored([event("a", 2)]))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE stored_events SET rowid = 7 WHERE rowid = 3")
    log = ours(path)
    assert [row[:3] for row in log.read(0, 9)] == [(1, "a", 1), (2, "b", 1), (7, "a", 2)]
    assert [row.data for row in log.read_stream("a")] == [b"a/1", b"a/2"]
    assert log.append([event("a", 3)]) == range(8, 9)
    assert ask(path, "SELECT name FROM sqlite_master WHERE name LIKE '%before%' OR name LIKE '%autoindex_stored%'") == []
    assert [row.data for row in ours(path).read_stream("a", 1)] == [b"a/2", b"a/3"], "once only"


def test_tidying_up_the_file_leaves_the_positions(tmp_path: Path):
    path = tmp_path / "h1.db"
    log = ours(path)
    log.append([event("a", 1), event("a", 2), event("b", 1)])
    ask(path, "DELETE FROM stored_events WHERE rowid = 1")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("VACUUM")
    assert [row.position for row in log.read(0, 9)] == [2, 3]
    assert [row.data for row in log.read_stream("a")] == [b"a/2"], "what somebody deleted does not hide what is left"


def test_a_state_is_loaded_through_a_long_stream(tmp_path: Path):
    store = Store(f"sqlite:///{tmp_path}/h1.db", "h1", HOME)
    put(store, "user-1", 0, [adopted(number) for number in range(1, 2_001)])
    state = store.load("user-1")
    assert (state.version, state.handle) == (2_000, "ann2000")
    with closing(open_view(f"sqlite:///{tmp_path}/h1.db", "h1")) as log:
        assert sum(1 for _ in log.stream("user-1")) == 2_000
    store.close()
