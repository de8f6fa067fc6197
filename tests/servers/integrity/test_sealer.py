"""A server seals its log: everything, once, in order, and only when something happened. On SQLite and on a real PostgreSQL."""

import asyncio
from contextlib import closing

import pytest

from broker.envelope import EventRecord
from broker.port import Outgoing
from broker.topology import HOMES
from domain.errors import Unavailable
from domain.event import in_stream
from domain.events.integrity import LogSealed, SealReceived
from domain.integrity import chain as log_chain
from domain.integrity.chain import before_all, fingerprint
from domain.registry.registered_home import GLOBAL
from servers.global_server.assembly import assemble
from servers.global_server.config import GlobalConfig
from servers.global_server.service import GlobalServer
from servers.integrity.policy import SealPolicy
from servers.security.passwords import CHEAP
from servers.store.event_store import Store
from servers.store.log.event_log import Conflicted
from tests.servers.homes import STANDS_STILL, Town
from tests.servers.members import certified, mail_from
from tests.servers.sealed import AT_ONCE, ONLY_FULL, SealedLog
from tests.servers.stores import adopted, put
from tests.servers.strangers import RecordsInMemory
from tests.support.waiting import eventually


@pytest.fixture
async def opened():
    """Servers to be stopped at the end."""
    logs: list[SealedLog] = []
    yield logs
    for log in logs:
        await log.stop()


async def opens(opened, url, policy=AT_ONCE) -> SealedLog:
    opened.append(await SealedLog(url, policy).start())
    return opened[-1]


def holds(log: SealedLog) -> None:
    """The seals cover the log without a hole, and each is made of the stored bytes."""
    stored = log.log()
    expected, digest = 1, before_all("h1")
    for seal in log.seals():
        covered = [c for c in stored if seal.first <= c.position <= seal.last]
        prints = [fingerprint(c.event.originator_id, c.event.originator_version, c.event.TOPIC, c.record.data) for c in covered]
        assert (seal.first, seal.previous) == (expected, digest)
        assert seal.positions() == [c.position for c in covered]
        assert seal.digest == log_chain.digest(seal.previous, seal.first, seal.last, seal.positions(), prints)
        assert seal.marks == "".join(log_chain.mark(each) for each in prints)
        expected, digest = seal.last + 1, seal.digest


async def test_what_happened_is_sealed_and_an_idle_server_is_quiet(opened, url):
    log = await opens(opened, url)
    await log.adopts(*range(1, 8))
    await log.sealed_up_to(7)
    await log.adopts(8)
    await log.sealed_up_to(9)
    commits = log.writer.commits
    assert [(s.first, s.last) for s in log.seals()] == [(1, 7), (8, 9)]  # the second covers the first, and nothing covers the second
    await eventually(lambda: log.sealer.idle)
    assert log.sealer.unsealed == 1
    await log.writer.submit(())
    assert log.writer.commits == commits
    holds(log)


async def test_a_full_seal_waits_for_no_clock_and_the_rest_for_the_end(opened, url):
    log = await opens(opened, url, ONLY_FULL)
    await log.adopts(*range(1, 26))
    await log.sealed_up_to(20)
    assert [s.count for s in log.seals()] == [10, 10]
    await log.sealer.stop()
    assert [s.last for s in log.seals()] == [10, 20, log.log()[-2].position]
    holds(log)


async def test_what_was_written_before_there_were_seals_is_sealed_too(opened, url):
    old = SealedLog(url)
    put(old.store, "user-1", 0, [adopted(number) for number in range(2_345)])
    await asyncio.to_thread(old.store.close)
    log = await opens(opened, url)
    await log.sealed_up_to(2_345)
    assert [s.count for s in log.seals()][:2] == [1_000, 1_000]
    holds(log)


async def test_a_sealer_that_is_behind_reads_each_old_event_once_however_much_is_committed_meanwhile(opened, url):
    old = SealedLog(url)
    put(old.store, "user-1", 0, [adopted(number) for number in range(45)])
    await asyncio.to_thread(old.store.close)
    reads, uid = [], iter(range(100, 200))

    class WrittenWhileRead(Store):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments)
            self.only_read, self.run_reader = self.run_reader, self.read_while_others_write

        async def read_while_others_write(self, function, *args):
            found = await self.only_read(function, *args)
            if function == self.read:  # the writer loads large states in the same thread
                reads.append(len(found))
                await log.adopts(next(uid))
            return found

    log = SealedLog(url, ONLY_FULL, store=WrittenWhileRead)
    opened.append(log)
    await log.start()
    await log.sealed_up_to(40)
    for _ in range(30):
        await log.adopts(next(uid))
    await log.sealed_up_to(70)
    assert reads == [45]
    holds(log)


async def test_a_server_that_was_killed_goes_on_where_the_last_seal_ended(opened, url):
    first = await SealedLog(url, ONLY_FULL).start()
    await first.adopts(*range(1, 16))
    await first.sealed_up_to(10)
    await first.dies()
    again = await opens(opened, url)
    await again.adopts(99)
    await again.sealed_up_to(17)
    holds(again)


async def test_two_processes_on_one_store_share_one_chain(opened, url):
    one, other = await opens(opened, url), await opens(opened, url)
    for number in range(1, 13):
        log = (one, other)[number % 2]
        while True:
            try:
                await log.adopts(number)
                break
            except Conflicted:  # a user's home is one process; here only the log is shared
                continue
        await eventually(lambda: len(one.store.read(max(one.sealer.sealed, other.sealer.sealed), 9)) <= 1)  # the last seal, if any
    holds(one)


async def test_numbers_that_the_database_left_out_are_gaps(opened, postgres):
    url = postgres.new_database()
    log = await opens(opened, url, SealPolicy(events=1_000, seconds=0.2))
    await log.adopts(1)
    with pytest.raises(Conflicted):
        put(log.store, "user-1", 0, [adopted(2)])  # takes a number, and is rolled back
    await log.adopts(3, 4)
    last = log.store.last_position()
    assert last == 4
    await log.sealed_up_to(last)
    assert [s.gaps for s in log.seals() if s.gaps] == [[[2, 2]]]
    holds(log)


async def test_a_store_that_was_away_leaves_no_hole(opened, url):
    refusals = [Unavailable("away") for _ in range(3)]

    class AwayForSeals(Store):
        def put(self, events, stored, trackings=()):
            if any(isinstance(event, LogSealed) for event in events) and refusals:
                raise refusals.pop()
            return super().put(events, stored, trackings)

    log = await SealedLog(url, store=AwayForSeals).start()
    opened.append(log)
    await log.adopts(1, 2, 3)
    await log.sealed_up_to(3)
    assert not refusals
    holds(log)


async def test_the_global_server_keeps_every_seal_of_a_home_once(tmp_path, store_url):
    """Through the real inbox, repeats and impostors included."""
    town = Town(tmp_path, store_url)
    town.seals = AT_ONCE
    await town.start("h1")
    ann = town.person("ann", "h1")
    await ann.opens()
    await town.closes("h1")
    config = GlobalConfig(
        store_url("global"), tmp_path / "global", password_cost=CHEAP, keys_url=town.registry.keys_url, clock=STANDS_STILL
    )
    server = assemble(config, town.broker, clock=town.clock)
    h2 = certified("h2", RecordsInMemory(), clock=town.clock, registry=town.registry.trust.identity)
    h2.peers.learn(town.registry.trust.card)
    for card in (h2.card, town.registry.trust.peers.known["h1"].raw):
        server.lifecycle.trust.peers.learn(card)
    body = mail_from(h2, GLOBAL, [_forged(store_url("h2"))])
    await town.broker.publish([Outgoing(HOMES, GLOBAL, body, mandatory=True)])
    try:
        await server.start()
        home = SealedLog(store_url("h1"))
        theirs = [c.event for c in home.log() if isinstance(c.event, LogSealed)]
        await asyncio.to_thread(home.store.close)
        kept = await eventually(lambda: [e for e in _received(server) if len(_received(server)) == len(theirs)])
        assert theirs
        assert [(e.number, e.digest, e.marks, e.sealed_at) for e in kept] == [
            (e.originator_version, e.digest, e.marks, e.at) for e in theirs
        ]
        assert all(e.follows for e in kept)
        assert await eventually(lambda: server.lifecycle.store.tracked("h2") == 7)
        assert not [e for e in _received(server) if e.server != "h1"]
    finally:
        await server.stop()
        await town.stop()


def _received(server: GlobalServer) -> list[SealReceived]:
    return [c.event for c in server.lifecycle.store.read(0, 1_000) if isinstance(c.event, SealReceived)]


def _forged(url: str) -> EventRecord:
    """h2 claims to seal h1's log."""
    event = LogSealed(
        server="h1", life=0, first=1, last=1, count=1, gaps=[], previous=before_all("h1"), digest="0" * 64, marks="A" * 8, at=1.0, cause="x"
    )
    with closing(SealedLog(url, server="h2").store) as store:
        packed = store.codec.encode(in_stream([event], "log-h1", 0))[0]
    return EventRecord(7, "log-h1", 1, packed.topic, 1.0, packed.data)
