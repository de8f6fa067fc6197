"""The contract of the event log, on SQLite and on a real PostgreSQL: one suite for both. Rule: only the port is used."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import psycopg
import pytest
from eventsourcing.persistence import Tracking
from psycopg.sql import Composed

from domain.errors import Unavailable
from servers.store.databases import is_log, open_event_log, open_tables, open_view
from servers.store.log.event_log import Conflicted, EventLog, NewRow, Row, SetBack
from servers.store.log.positions import RELAY
from servers.store.postgres.log import PostgresLog, PostgresTimeouts
from tests.servers.stores import plant_snapshots
from tests.support.waiting import wait_until

IMPATIENT = PostgresTimeouts(connect_s=0.3, lock_s=0.3)
Open = Callable[[], EventLog]


@pytest.fixture
def open_one(url: str) -> Iterator[Open]:
    """Opens the same log once more, as another process would."""
    opened: list[EventLog] = []

    def open_one() -> EventLog:
        opened.append(open_event_log(url, "h1"))
        return opened[-1]

    yield open_one
    for log in opened:
        log.close()


@pytest.fixture
def log(open_one: Open) -> EventLog:
    return open_one()


def event(stream: str, version: int) -> NewRow:
    return (stream, version, "any.topic", f"{stream}/{version}".encode())


def test_what_is_appended_is_read_in_order_and_by_stream(log: EventLog):
    rows = [event("a", 1), event("b", 1), event("a", 2)]
    positions = log.append(rows)
    assert log.read(0, 10) == [Row(position, *row) for position, row in zip(positions, rows, strict=True)]
    assert log.read(positions[0], 1) == [Row(positions[1], *rows[1])]
    assert [row.version for row in log.read_stream("a")] == [1, 2]
    assert log.read_stream("a", 1) == [Row(positions[2], *rows[2])]
    assert log.read_stream("c") == []
    assert log.last_position() == positions[-1]


def test_an_empty_log_has_nothing(log: EventLog):
    assert (log.read(0, 10), log.last_position(), log.newest_snapshot("a")) == ([], 0, None)
    assert (log.tracked("h2"), log.tracked_under("@")) == (0, {})
    assert list(log.append([])) == []


@pytest.mark.parametrize("many", [1, 5, 512, 513, 1_500])
def test_however_many_events_are_appended_their_positions_are_theirs(log: EventLog, many: int):
    rows = [event("a", version) for version in range(1, many + 1)]
    positions = log.append(rows)
    assert [(row.position, row.version) for row in log.read(0, 2_000)] == list(zip(positions, range(1, many + 1), strict=True))


@pytest.mark.parametrize("trackings", [(), (Tracking("h2", 5),)], ids=["events alone", "with a position"])
def test_a_refused_commit_stores_nothing(log: EventLog, open_one: Open, trackings: tuple[Tracking, ...]):
    (first,) = log.append([event("a", 1)])
    with pytest.raises(Conflicted):
        open_one().append([event("b", 1), event("a", 1)], trackings)
    assert (len(log.read(0, 10)), log.tracked("h2"), log.read_stream("b")) == (1, 0, [])
    assert log.append([event("a", 2)])[0] > first


def test_an_inbox_position_must_rise_and_one_of_the_outbox_may_stand(log: EventLog):
    log.append([], [Tracking("h2", 7), Tracking(RELAY, 7)])
    for position in (7, 6):
        with pytest.raises(Conflicted):
            log.append([event("a", 1)], [Tracking("h3", 1), Tracking("h2", position)])
    assert (log.read(0, 10), log.tracked("h2"), log.tracked("h3")) == ([], 7, 0)
    log.append([event("a", 1)], [Tracking(RELAY, 6), Tracking("h2", 8)])
    assert (log.tracked("h2"), log.tracked(RELAY)) == (8, 7)


def test_positions_are_found_by_the_beginning_of_their_names(log: EventLog):
    log.append([], [Tracking("@n h2 1", 1), Tracking("@n h2 7", 2), Tracking("@n h20 1", 1), Tracking("h2", 4), Tracking("@N h2 1", 9)])
    assert log.tracked_under("@n h2 ") == {"@n h2 1": 1, "@n h2 7": 2}


def test_the_newest_snapshot_of_a_stream_is_found(log: EventLog, open_one: Open, url: str):
    plant_snapshots(url, ("a", 10, b"ten"), ("b", 3, b"three"), ("a", 20, b"twenty"))
    assert (open_one().newest_snapshot("a"), log.newest_snapshot("b"), log.newest_snapshot("c")) == ((20, b"twenty"), (3, b"three"), None)


def test_a_snapshot_takes_the_place_of_all_others_of_its_stream(log: EventLog, url: str):
    """Also of one that claims to be newer, and of one of the same version."""
    plant_snapshots(url, *(("a", version, b"old") for version in (10, 20, 999)), ("b", 3, b"three"))
    log.put_snapshot("a", 20, b"twenty")
    assert (log.newest_snapshot("a"), log.snapshot_counts("", 10)) == ((20, b"twenty"), [("a", 1), ("b", 1)])
    log.put_snapshot("a", 30, b"thirty")
    assert (log.newest_snapshot("a"), log.newest_snapshot("b")) == ((30, b"thirty"), (3, b"three"))
    assert log.snapshot_counts("", 10) == [("a", 1), ("b", 1)]


def test_old_snapshots_are_counted_and_dropped_one_by_one(log: EventLog, url: str):
    plant_snapshots(url, *(("b", version, b"old") for version in (9, 10, 11)), ("a", 1, b"one"), ("c", 1, b"one"))
    assert (log.snapshot_counts("", 2), log.snapshot_counts("b", 2)) == ([("a", 1), ("b", 3)], [("c", 1)])
    for left in (2, 1, 1):
        log.drop_old_snapshot("b")
        assert (log.newest_snapshot("b"), dict(log.snapshot_counts("", 10))["b"]) == ((11, b"old"), left)
    log.drop_old_snapshot("nobody")


def test_a_view_shows_one_moment_of_a_log_at_work(log: EventLog, url: str):
    log.append([event("a", 1), event("b", 1)], [Tracking("h2", 3)])
    with closing(open_view(url, "h1")) as view:
        before = log.read(0, 10)
        log.append([event("a", 2)], [Tracking("h2", 4)])
        assert list(view.rows()) == before
        assert list(view.stream("a")) == before[:1]
        assert view.trackings() == {"h2": 3}
    with closing(open_view(url, "h1")) as view:
        assert [row.version for row in view.stream("a")] == [1, 2]
        assert next(view.rows()) == before[0], "a reading that was not finished does not keep the view open"


def test_tables_are_filled_whole_or_not_at_all(url: str, open_one: Open):
    rows = [Row(3, *event("a", 1)), Row(7, *event("b", 4))]
    with open_tables(url, "h1") as tables:
        tables.put(rows)
        tables.track({"h2": 5})
        assert (list(tables.rows()), tables.trackings()) == (rows, {"h2": 5}), "what is not committed is seen from inside"
    with open_tables(url, "h1") as tables:
        assert (next(tables.rows(), None), tables.trackings()) == (None, {})
        tables.put(rows)
        tables.track({"h2": 5})
        assert tables.in_use() is None
        assert tables.commit() == 7
    log = open_one()
    assert (log.read(0, 10), log.tracked("h2"), list(log.append([event("a", 2)]))) == (rows, 5, [8])


def test_where_there_is_no_log_none_is_made_by_looking(url: str):
    assert not is_log(url, "h1")
    with pytest.raises(Unavailable):
        open_view(url, "h1")
    assert not is_log(url, "h1")


def test_a_commit_on_postgresql_waits_for_the_one_before_but_not_for_ever(postgres):
    """Else a reader could see the later one first, go on from its position, and miss the earlier one."""
    database = postgres.new_database()
    with closing(PostgresLog(database, "h1", IMPATIENT)) as log, closing(PostgresLog(database, "h2", IMPATIENT)) as other:
        with psycopg.connect(database) as open_commit:
            open_commit.execute("SELECT flash_h1.flash_commit(0, '{a}', '{1}', '{any}', '{any}', '{}', '{}', '{}', '{}')")
            with pytest.raises(Unavailable, match="lock timeout"):
                log.append([event("b", 1)])
            other.append([event("b", 1)])  # another server's log
        log.append([event("b", 1)])
        assert [row.stream for row in log.read(0, 10)] == ["a", "b"]


def test_commits_on_postgresql_go_on_while_the_tables_are_vacuumed(postgres):
    database = postgres.new_database()
    with closing(PostgresLog(database, "h1", IMPATIENT)) as log, psycopg.connect(database) as vacuum:
        vacuum.execute("LOCK TABLE flash_h1.stored_events, flash_h1.notification_tracking, flash_h1.lease IN SHARE UPDATE EXCLUSIVE MODE")
        log.append([event("a", 1)], [Tracking("h2", 1)])
        assert (len(log.read(0, 10)), log.tracked("h2")) == (1, 1)


def test_servers_that_start_in_the_same_moment_on_one_postgresql_database(postgres):
    database = postgres.new_database()
    with ThreadPoolExecutor(6) as threads:
        logs = list(threads.map(lambda server: PostgresLog(database, server), ["global", "global", "h1", "h1", "h2", "h3"]))
    logs[0].append([event("a", 1)])
    assert len(logs[1].read(0, 10)) == 1
    for log in logs:
        log.close()


def test_postgresql_goes_away_and_comes_back(postgres):
    if not postgres.can_be_controlled:
        pytest.skip("the given PostgreSQL is not ours to stop")
    log = PostgresLog(postgres.new_database(), "h1", IMPATIENT)

    def stored() -> bool:
        try:
            log.append([event("a", 2)])
        except Unavailable:  # a database that has just started is slow to take connections
            return False
        return True

    try:
        log.append([event("a", 1)])
        log.read(0, 10)
        postgres.kill()
        try:
            with pytest.raises(Unavailable):
                log.append([event("a", 2)])
            for question in (lambda: log.read_stream("a"), lambda: log.newest_snapshot("a"), lambda: log.tracked("h2"), log.last_position):
                with pytest.raises(Unavailable):
                    question()
        finally:
            postgres.start()
        wait_until(stored, 30, "the log is back")
        assert [row.version for row in log.read(0, 10)] == [1, 2]
    finally:
        log.close()


def test_a_commit_while_a_new_connection_is_made_does_not_look_as_if_postgresql_was_set_back(postgres, monkeypatch):
    url, commits, execute = postgres.new_database(), [event("a", 2)], psycopg.Connection.execute

    def overtaken(connection, query, *values, **options):
        """The look at the end of the log, and before its answer is heard a commit over another connection."""
        answer = execute(connection, query, *values, **options)
        if commits and isinstance(query, Composed) and "max(notification_id)" in query.as_string(connection):
            wait_until(partial(stored, commits.pop()), 10, "it is committed")
        return answer

    def stored(row: NewRow) -> bool:
        try:
            return bool(log.append([row]))
        except SetBack:
            raise
        except Unavailable:  # its connection was ended, too
            return False

    with closing(PostgresLog(url, "h1")) as log, psycopg.connect(url, autocommit=True) as other:
        log.append([event("a", 1)])
        monkeypatch.setattr(psycopg.Connection, "execute", overtaken)
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        wait_until(lambda: stored(event("b", 1)), 20, "the log goes on")
        wait_until(lambda: len(log.read(0, 10)) == 3, 20, "all commits are there")


def test_a_process_notices_that_postgresql_was_set_back_under_it(postgres):
    """As when an asynchronous replica that lacks the newest commits takes over: nothing is written to it."""
    url = postgres.new_database()
    with closing(PostgresLog(url, "h1", IMPATIENT)) as log, psycopg.connect(url, autocommit=True) as other:
        log.append([("user-1", number, "t", b"x") for number in (1, 2, 3)])
        other.execute("DELETE FROM flash_h1.stored_events WHERE notification_id > 2")
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

        def refusal() -> bool:
            try:
                log.append([("user-2", 1, "t", b"x")])
            except SetBack as error:
                return "ends at 2, and this process has stored events up to 3" in error.detail
            except Unavailable:
                return False
            raise AssertionError("it was written to")

        wait_until(refusal, 20, "the process notices it")
        assert other.execute("SELECT count(*) FROM flash_h1.stored_events").fetchone() == (2,)
