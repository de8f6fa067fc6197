"""Leases and fences, in a real PostgreSQL: only one process writes, whichever process pauses, and whenever it does."""

import asyncio
import contextlib
from itertools import pairwise

import psycopg
import pytest
from eventsourcing.persistence import Tracking
from psycopg.pq import TransactionStatus

from domain.errors import Unavailable
from servers.messaging.leased_broker import leased
from servers.store.event_store import Store
from servers.store.log.lease import Lease, LeaseLost
from servers.writing.writer import Writer
from tests.servers.stores import HOME, NOW, adopted, put
from tests.support.waiting import eventually

LONG_S = 3_600.0
SHORT_S = 0.4


@pytest.fixture
def database(postgres):
    return postgres.new_database()


@pytest.fixture
def stores(database):
    """Two processes' views of one home's store."""
    both = [Store(database, "h1", HOME) for _ in range(2)]
    yield both
    for store in both:
        store.close()


@pytest.fixture
def tables(stores):
    both = [store.lease() for store in stores]
    yield both
    for table in both:
        table.close()


def test_one_holds_it_until_it_is_over_or_given_back(tables):
    first, second = tables
    assert first.take("one", LONG_S, False) == 1
    assert second.take("two", LONG_S, False) is None
    assert second.holder() == "one"
    assert first.renew(1, 0.0)  # over at once
    assert second.take("two", LONG_S, False) == 2
    assert not first.renew(1, LONG_S)
    first.release(1)  # an old number gives nothing back
    assert first.take("one", LONG_S, False) is None
    second.release(2)
    assert first.take("one", LONG_S, False) == 3


def test_a_restarted_process_takes_its_own_lease_back_at_once(tables):
    first, again = tables
    assert first.take("one", LONG_S, True) == 1
    assert again.take("other", LONG_S, True) is None
    assert again.take("one", LONG_S, True) == 2


def test_a_commit_under_an_old_lease_fails_and_stores_nothing(stores, tables):
    old, new = stores
    old.fence(tables[0].take("one", 0.0, False))
    put(old, "user-1", 0, [adopted(1)], [Tracking("h2", 3)])
    new.fence(tables[1].take("two", LONG_S, False))
    for attempt in (lambda: put(old, "user-1", 1, [adopted(2)], [Tracking("h2", 4)]), lambda: old.put([], [], [Tracking("h2", 4)])):
        with pytest.raises(LeaseLost):
            attempt()
    assert (len(new.read(0, 10)), new.tracked("h2")) == (1, 3)
    put(new, "user-1", 1, [adopted(3)], [Tracking("h2", 4)])
    assert [c.event.cause for c in old.read(0, 10)] == ["c1", "c3"]


def test_a_takeover_comes_after_a_commit_that_has_passed_the_fence_and_a_renewal_need_not(database, tables):
    """However long that commit takes: nobody waits so long that the database seems away."""
    first, second = tables
    first.take("one", 0.0, False)
    with psycopg.connect(database) as connection:
        connection.execute("SELECT FROM flash_h1.lease WHERE epoch = 1 FOR KEY SHARE")  # as every commit does
        assert first.renew(1, 0.0)
        assert second.take("two", LONG_S, False) is None
    assert second.take("two", LONG_S, False) == 2


async def test_two_processes_pass_a_lease_back_and_forth_and_numbers_rise(tables):
    """Each gives up renewing by turns; there is never more than one that may serve."""
    leases = [Lease(table, "h1", name, SHORT_S) for table, name in zip(tables, "ab", strict=True)]
    epochs = []
    tasks = [asyncio.create_task(lease.acquire(nothing)) for lease in leases]
    first = await first_holder(leases)
    epochs.append(first.epoch)
    other = leases[1 - leases.index(first)]
    assert "Standby" in other.why_not()
    await first.task.stop()  # it hangs
    await eventually(lambda: other.held)
    assert not first.held
    epochs.append(other.epoch)
    assert not await asyncio.to_thread(tables[leases.index(first)].renew, first.epoch, SHORT_S)
    assert all(a < b for a, b in pairwise(epochs))
    await asyncio.gather(*tasks)
    for lease in leases:
        await lease.stop()


async def test_a_lease_given_back_is_taken_without_waiting(tables):
    first, second = (Lease(table, "h1", name, 20.0) for table, name in zip(tables, "ab", strict=True))
    await first.acquire(nothing)
    waiting = asyncio.create_task(second.acquire(nothing))
    await eventually(lambda: "served by a" in second.why_not())
    await first.stop()
    await asyncio.wait_for(waiting, 10.0)
    await second.stop()


class Shaky:
    """A lease table that can be away, or lost."""

    def __init__(self):
        self.away = False
        self.taken = False

    def take(self, holder, lasts_s, restarted):
        return None if self._here() else 7

    def renew(self, epoch, lasts_s):
        self._here()
        return not self.taken

    def release(self, epoch):
        self._here()

    def holder(self):
        return ""

    def close(self):
        pass

    def _here(self):
        if self.away:
            raise Unavailable("away")


async def test_who_cannot_renew_stops_serving_in_time_and_goes_on_when_nobody_took_it():
    table = Shaky()
    lease = Lease(table, "h1", "a", SHORT_S)
    await lease.acquire(nothing)
    table.away = True
    await eventually(lambda: not lease.held)
    assert "could not be renewed" in lease.why_not()
    table.away = False
    await eventually(lambda: lease.held)
    assert not lease.lost.is_set()
    table.taken = True
    await eventually(lease.lost.is_set)
    assert not lease.held
    await lease.stop()


async def test_the_lease_ends_while_the_process_sleeps():
    """The clock goes on although the loop does not: the first look after a pause says no, before any renewal was heard of."""
    now = [0.0]
    lease = Lease(Shaky(), "h1", "a", 4.0, lambda: now[0])
    await lease.acquire(nothing)
    assert lease.held
    now[0] += 4.0
    assert not lease.held
    await lease.stop()


async def test_who_may_not_write_says_nothing():
    said = []

    class Told:
        connected = True

        def __getattr__(self, name):
            async def call(*arguments):
                said.append(name)
                if name == "serve":
                    self.handler = arguments[1]

            return call

    now = [0.0]
    lease = Lease(Shaky(), "h1", "a", 4.0, lambda: now[0])
    await lease.acquire(nothing)
    told = Told()
    broker = leased(told, lease)
    await broker.publish([])
    await broker.send_heartbeat(b"")
    await broker.serve("home.h1", asyncio.sleep)
    assert said == ["publish", "send_heartbeat", "serve"]
    assert broker.connected
    now[0] += 4.0
    assert not broker.connected
    await broker.send_heartbeat(b"")
    with pytest.raises(Unavailable):
        await broker.publish([])
    with pytest.raises(Unavailable):
        await told.handler(b"", "h2")
    assert said == ["publish", "send_heartbeat", "serve"]
    await lease.stop()


async def first_holder(leases):
    """The one of them that got it."""
    await eventually(lambda: any(lease.held for lease in leases))
    return next(lease for lease in leases if lease.held)


async def nothing():
    """What these standbys do meanwhile."""


async def test_a_consumer_ends_although_its_cancellation_got_lost():
    """As when a channel is closed in the moment in which its link is lost: aiormq, and `wait_for` before Python 3.12, hear of one only."""
    letting_go = asyncio.Event()

    class Told:
        async def consume(self, *_):
            return self

        async def cancel(self):
            letting_go.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    now = [0.0]
    lease = Lease(Shaky(), "h1", "a", 4.0, lambda: now[0])
    await lease.acquire(nothing)
    consumer = await leased(Told(), lease).consume("h1", print)
    now[0] += 4.0
    await letting_go.wait()
    await asyncio.wait_for(consumer.cancel(), 5.0)
    await lease.stop()


async def test_who_was_fenced_out_tells_nothing_of_what_its_successor_commits(stores, tables):
    """There is no end to that: a writer that followed it could not stop."""
    old, new = stores
    old.fence(tables[0].take("one", 0.0, False))
    told, lost = [], []
    writer = Writer(old, lambda: NOW, [told.extend], fenced_out=lambda: lost.append(True))
    writer.start()
    new.fence(tables[1].take("two", LONG_S, False))
    for _ in range(2):
        with pytest.raises(LeaseLost):
            await writer.submit((), trackings=[Tracking("h2", 1)])
        put(new, f"user-{len(new.read(0, 10))}", 0, [adopted(1)])
    await writer.stop()
    assert (told, lost[:1]) == ([], [True])


def test_a_process_that_is_stopped_while_it_makes_keys_keeps_no_other_from_making_them(stores, monkeypatch):
    """After no answer of the database is a transaction open."""
    table, statuses = stores[0].keys.table, []
    table.read([1])
    wait = psycopg.Connection.wait

    def watched(connection, *arguments, **options):
        answer = wait(connection, *arguments, **options)
        statuses.append(connection.info.transaction_status)
        return answer

    monkeypatch.setattr(psycopg.Connection, "wait", watched)
    table.add({7: b"7" * 32, 8: None})
    table.add({7: b"6" * 32, 9: b"9" * 32})
    assert table.read([7, 8, 9]) == {7: b"7" * 32, 8: None, 9: b"9" * 32}
    assert set(statuses) == {TransactionStatus.IDLE}
