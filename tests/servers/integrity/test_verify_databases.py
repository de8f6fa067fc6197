"""Verification on a real PostgreSQL, gaps included, and of servers that run meanwhile."""

import asyncio
from typing import Any

import psycopg
import pytest

from domain.errors import Unavailable
from servers.integrity.policy import SealPolicy
from servers.integrity.residents import Residents
from servers.integrity.verify import History, verify
from servers.store.log.event_log import Conflicted
from servers.store.postgres.schema import schema_of
from tests.servers.genuine import found
from tests.servers.sealed import SealedLog
from tests.servers.stores import adopted, put

TABLE = f"{schema_of('h-1')}.stored_events"
POLICY = SealPolicy(events=10, seconds=3600)
GAP = 8


@pytest.fixture
async def url(postgres) -> str:
    """A log of 36 numbers, one of them without an event."""
    url = postgres.new_database()
    log = await SealedLog(url, POLICY, "h-1").start()
    await log.adopts(*range(1, GAP))
    with pytest.raises(Conflicted):
        put(log.store, "user-1", 0, [adopted(1)])
    await log.adopts(*range(GAP, 33))
    await log.stop()
    return url


def tampered(url: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Do it, and what is found then."""
    with psycopg.connect(url, autocommit=True) as database:
        assert database.execute(sql.replace("EVENTS", TABLE).encode(), values).rowcount
    return found(verify("h-1", url))


async def test_a_genuine_log_with_a_gap_is_honest(url):
    await (await SealedLog(url, POLICY, "global").start()).stop()
    report = verify("h-1", url, url, residents=Residents())
    assert (report.honest, report.events, report.last, report.sealed, report.unsealed) == (True, 36, 37, 36, 1)
    assert [(w.name, w.checked) for w in report.witnesses] == [("its own seals", 4), ("the Global Server's copies", 0)]


async def test_who_tampers_is_found(url):
    assert tampered(url, "UPDATE EVENTS SET state = state || '\\x00' WHERE notification_id = %s", 5) == [("changed", 5)]
    assert tampered(url, "UPDATE EVENTS SET topic = 'user.logged_in' WHERE notification_id = %s", 12) == [("changed", 5), ("changed", 12)]
    expected = [("changed", 5), ("changed", 12), ("removed", 20)]
    assert tampered(url, "DELETE FROM EVENTS WHERE notification_id = %s", 20) == expected
    forged = "INSERT INTO EVENTS VALUES ('user-99', 1, 'user.adopted', '\\x80', %s)"
    assert tampered(url, forged, GAP) == [("changed", 5), ("inserted", GAP), ("changed", 12), ("removed", 20)]


async def test_events_that_changed_places_are_found(url):
    swap = "UPDATE EVENTS SET notification_id = CASE notification_id WHEN 3 THEN -4 ELSE -3 END WHERE notification_id IN (3, 4)"
    assert found(verify("h-1", url)) == []
    assert tampered(url, swap) == [("moved", -4, -3)]
    assert tampered(url, "UPDATE EVENTS SET notification_id = -notification_id WHERE notification_id < 0") == [("moved", 3), ("moved", 4)]


async def test_an_end_that_was_cut_off_shows_in_the_copies_only(url):
    """Here the history stands in for them: what it knows, the store must have."""
    with psycopg.connect(url) as database:
        history = History("h-1")
        for row in database.execute(f"SELECT notification_id, * FROM {TABLE} ORDER BY 1".encode()):  # noqa: S608 - a constant
            history.learn(*row[:5])
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(f"DELETE FROM {TABLE} WHERE notification_id > 23".encode())  # noqa: S608 - a constant
    assert found(verify("h-1", url)) == []
    assert found(verify("h-1", url, None, history)) == [("cut_off", 24, 37)]


async def test_a_database_that_is_not_there(postgres):
    for nothing in (postgres.new_database(), "postgresql://nobody@127.0.0.1:1/x"):
        with pytest.raises(Unavailable):
            verify("h-1", nothing)


async def test_a_server_at_work_is_honest_at_every_moment(store_url):
    url = store_url("h1")
    log = await SealedLog(url, SealPolicy(events=7, seconds=0.01)).start()
    try:
        for round_ in range(10):
            work = asyncio.create_task(log.adopts(*range(1 + round_ * 50, 51 + round_ * 50)))
            report = await asyncio.to_thread(verify, "h1", url)
            await work
            assert report.honest, [str(f) for f in report.findings]
        await log.sealed_up_to(500)
    finally:
        await log.stop()
    report = verify("h1", url)
    assert (report.honest, report.unsealed, report.events - report.witnesses[0].checked) == (True, 1, 500)
