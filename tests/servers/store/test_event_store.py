"""The store's contract, on SQLite and on a real PostgreSQL: one suite for both."""

import time
from itertools import pairwise

import pytest
from eventsourcing.persistence import Tracking
from msgspec.structs import replace
from structlog.testing import capture_logs

from domain.errors import Unavailable
from domain.event import in_stream, stored_fields
from domain.personal import Personal
from servers.encryption.event_codec import EventCodec
from servers.encryption.key_store import KeyStore
from servers.encryption.mac import proven
from servers.encryption.snapshots import pack_snapshot
from servers.store.event_store import Store, snapshot_place
from servers.store.log.event_log import Conflicted
from servers.store.log.positions import APPLIED_LATER, RELAY, SKIPPED, note_of
from servers.writing.config import WriterConfig
from tests.domain.home_stories import BOB, queued, receipt
from tests.servers.stores import HOME, adopted, put, sent
from tests.support.postgres import connected
from tests.support.waiting import wait_until

MANY = 100_000
SINCE = WriterConfig().snapshot_events


@pytest.fixture
def open_store(url):
    """Opens stores on one database; `open_store("h2")` for another server's."""
    opened: list[Store] = []

    def open_one(server: str = "h1") -> Store:
        opened.append(Store(url, server, HOME))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store):
    return open_store()


def test_what_was_put_is_read_in_order(store):
    first = put(store, "user-1", 0, [adopted(1), adopted(2)])
    second = put(store, "user-2", 0, [adopted(3)])
    everything = store.read(0, 10)
    assert everything == first + second
    assert [c.event.originator_id for c in everything] == ["user-1", "user-1", "user-2"]
    assert [c.event.originator_version for c in everything] == [1, 2, 1]
    assert all(a.position < b.position for a, b in pairwise(everything))
    assert [c.record for c in everything] == [c.record for c in first + second], "the very bytes that were stored"
    assert store.last_position() == everything[-1].position
    assert store.read(everything[0].position, 1) == [everything[1]]
    assert store.read(store.last_position(), 10) == []


def test_an_empty_store_has_nothing(store):
    assert (store.read(0, 10), store.last_position(), store.tracked("h2")) == ([], 0, 0)
    state = store.load("user-1")
    assert (state.version, state.handle) == (0, "")


def test_positions_rise_over_failures_and_reopenings(store, open_store):
    put(store, "user-1", 0, [adopted(1)])
    with pytest.raises(Conflicted):
        put(store, "user-1", 0, [adopted(2)])
    put(store, "user-1", 1, [adopted(3)])
    again = open_store()
    put(again, "user-1", 2, [adopted(4)])
    positions = [c.position for c in again.read(0, 10)]
    assert len(positions) == 3
    assert positions == sorted(set(positions))


def test_a_large_batch_keeps_its_order_and_places(store):
    events = [sent(n) for n in range(1_234)]
    committed = put(store, "user-1", 0, events)
    assert [c.event.id for c in committed] == [e.id for e in events]
    assert store.read(0, 5_000) == committed


@pytest.mark.parametrize("trackings", [(), (Tracking("h2", 5),)], ids=["events alone", "with a position"])
def test_a_version_that_is_taken_conflicts_and_stores_nothing(store, trackings):
    put(store, "user-1", 0, [adopted(1)])
    ours = in_stream([adopted(2)], "user-2", 0)
    theirs = in_stream([adopted(3)], "user-1", 0)  # somebody was there before
    with pytest.raises(Conflicted):
        store.keys.make([1, 2])
        store.put([*ours, *theirs], store.codec.encode([*ours, *theirs]), trackings)
    assert len(store.read(0, 10)) == 1
    assert store.tracked("h2") == 0
    assert store.load("user-2").version == 0


def test_two_servers_that_race_for_a_stream_cannot_both_win(store, open_store):
    other = open_store()
    put(store, "user-1", 0, [adopted(1)])
    with pytest.raises(Conflicted):
        put(other, "user-1", 0, [adopted(2)])
    assert [c.event.cause for c in other.read(0, 10)] == ["c1"]


def test_trackings_are_in_the_same_transaction(store, open_store):
    put(store, "user-1", 0, [adopted(1)], [Tracking("h2", 7), Tracking("h3", 9), Tracking(RELAY, 3)])
    store.put([], [], [Tracking("h3", 10)])  # a delivery may change nothing and must still be remembered
    again = open_store()
    assert (again.tracked("h2"), again.tracked("h3"), again.tracked(RELAY), again.tracked("h4")) == (7, 10, 3, 0)


@pytest.mark.parametrize("position", [7, 6])
def test_a_tracking_that_does_not_rise_conflicts_and_stores_nothing(store, position):
    store.put([], [], [Tracking("h2", 7)])
    with pytest.raises(Conflicted):
        put(store, "user-1", 0, [adopted(1)], [Tracking("h2", position)])
    with pytest.raises(Conflicted):
        store.put([], [], [Tracking("h2", position)])
    assert (store.read(0, 10), store.tracked("h2")) == ([], 7)


def test_what_was_set_aside_is_told_by_source_and_takes_effect_only_once(store, open_store):
    store.put([], [], [note_of("h2", 7, SKIPPED), note_of("h2", 10, SKIPPED), note_of("h2 7", 1, SKIPPED), note_of("h20", 4, SKIPPED)])
    put(store, "user-1", 0, [adopted(1)], [note_of("h2", 7, APPLIED_LATER)])
    for note in (SKIPPED, APPLIED_LATER):
        with pytest.raises(Conflicted):
            put(store, "user-1", 1, [adopted(2)], [note_of("h2", 7, note)])
    again = open_store()
    assert (again.notes("h2"), again.notes("h2 7"), again.notes("h")) == ({7: APPLIED_LATER, 10: SKIPPED}, {1: SKIPPED}, {})
    assert (len(again.read(0, 10)), again.tracked("h2")) == (1, 0)


def test_an_outbox_position_that_does_not_rise_is_ignored(store):
    store.put([], [], [Tracking(RELAY, 7)])
    put(store, "user-1", 0, [adopted(1)], [Tracking(RELAY, 6), Tracking("h2", 1)])
    assert (len(store.read(0, 10)), store.tracked(RELAY), store.tracked("h2")) == (1, 7, 1)


def test_homes_on_one_postgresql_database_do_not_see_each_other(postgres):
    database = postgres.new_database()
    h1, h2 = Store(database, "h1", HOME), Store(database, "h-2", HOME)
    put(h1, "user-1", 0, [adopted(1)], [Tracking("h9", 4)])
    put(h2, "user-1", 0, [adopted(2)])
    h2.put_snapshot(*h2.packed_snapshot(h2.load("user-1")))
    assert [c.event.cause for c in h1.read(0, 10)] == ["c1"]
    assert [c.event.cause for c in h2.read(0, 10)] == ["c2"]
    assert (h1.tracked("h9"), h2.tracked("h9")) == (4, 0)
    assert (h1.load("user-1").handle, h2.load("user-1").handle) == ("ann1", "ann2")
    h1.close()
    h2.close()


def test_a_snapshot_and_its_tail_are_the_whole(store):
    put(store, "user-1", 0, [sent(n) for n in range(20)])
    whole = store.load("user-1")
    store.put_snapshot(*store.packed_snapshot(whole))
    put(store, "user-1", 20, [adopted(1)])
    loaded = store.load("user-1")
    assert loaded.version == 21
    assert loaded.to_snapshot() == {**whole.to_snapshot(), "handle": "ann1", "name": Personal(1, "Ann")}


def test_a_snapshot_of_another_format_is_ignored(store):
    put(store, "user-1", 0, [adopted(1)])
    told = pack_snapshot((-1, {"nothing": "we know"}), store.keys)
    store.put_snapshot("user-1", 1, proven(store.keys.own(), snapshot_place("user-1", 1), told))
    loaded = store.loaded("user-1")
    assert (loaded.state.handle, loaded.snapshot_size, loaded.events) == ("ann1", None, 1)


@pytest.mark.parametrize("how", ["without a proof", "with a wrong proof", "of another stream", "of another version", "junk"])
def test_a_snapshot_that_the_server_did_not_write_is_not_believed(store, how):
    """Everything is folded. The writer, which is told so, has it replaced."""
    put(store, "user-1", 0, [adopted(1)])
    forged = {**store.load("user-1").to_snapshot(), "handle": "mallory"}
    told = pack_snapshot((1, forged), store.keys)
    own = store.keys.own()
    stored = {
        "without a proof": told,
        "with a wrong proof": proven(bytes(32), snapshot_place("user-1", 1), told),
        "of another stream": proven(own, snapshot_place("user-2", 1), told),
        "of another version": proven(own, snapshot_place("user-1", 2), told),
        "junk": b"",
    }[how]
    for version in (1, 2**40):  # the other one would be the newest for ever
        store.put_snapshot("user-1", version, stored)
        with capture_logs() as logged:
            loaded = store.loaded("user-1")
        assert (loaded.state.handle, loaded.snapshot_size) == ("ann1", None)
        assert [line["event"] for line in logged] == ["snapshot.not_ours"]
    store.put_snapshot(*store.packed_snapshot(loaded.state))
    with capture_logs() as logged:
        loaded = store.loaded("user-1")
    assert (loaded.state.handle, loaded.events, logged) == ("ann1", 0, [])


def test_events_are_read_by_position_in_order_and_up_to_a_size(store):
    committed = put(store, "user-1", 0, [sent(n) for n in range(10)])
    other = put(store, "user-2", 0, [adopted(1)])
    places = [each.position for each in committed]
    assert store.read_at("user-1", [places[7], places[2], places[4]], 10**9) == [committed[2], committed[4], committed[7]]
    assert store.read_at("user-1", [places[0], other[0].position, 10**12], 10**9) == committed[:1], "of this stream, and what is there"
    assert store.read_at("user-1", [], 10**9) == []
    size = len(committed[0].record.data)
    assert [store.read_at("user-1", places, size * n + 1) for n in range(3)] == [committed[: n + 1] for n in range(3)]


class CountingTable:
    """A table of keys that counts how often it is asked."""

    def __init__(self, table) -> None:
        self.table = table
        self.reads = 0

    def read(self, owners):
        self.reads += 1
        return self.table.read(owners)


def test_the_keys_of_a_page_are_read_in_one_visit(store):
    committed = put(store, "mailbox-1", 0, [replace(queued(n), uid=n + 10, text=f"text {n}") for n in range(1, 65)])
    table = CountingTable(store.keys.table)
    codec = EventCodec(KeyStore(table))
    assert codec.decode_all([each.record for each in committed]) == [each.event for each in committed]
    assert table.reads == 1


def test_a_snapshot_of_79ccbf3_with_texts_in_it_is_read_and_replaced(store):
    """It holds the waiting events themselves, and no place. The writer is told to have it replaced."""
    committed = put(store, "mailbox-1", 0, [queued(1), receipt(2), queued(3, "m3")])
    whole = store.load("mailbox-1")

    def event(number):
        fields = stored_fields(committed[number - 1].event) | {"originator_id": "mailbox-1", "originator_version": number}
        return fields | {name: Personal(BOB, fields[name]) for name in ("text", "name") if name in fields}

    waiting = [[True, event(1)], [False, event(2)], [True, event(3)]]
    old = {"last_seq": 3, "messages": 2, "closed": False, "waiting": waiting, "open": [["m1", BOB, "h2", False], ["m3", BOB, "h2", False]]}
    told = pack_snapshot((1, old), store.keys)
    store.put_snapshot("mailbox-1", 3, proven(store.keys.own(), snapshot_place("mailbox-1", 3), told))
    put(store, "mailbox-1", 3, [queued(4, "m4")])
    state, snapshot_size, events, size = store.loaded("mailbox-1")
    assert (snapshot_size, events, state.version, state.unplaced) == (None, 1, 4, 0)
    assert size == len(store.read(committed[-1].position, 1)[0].record.data), "what was read again for the places weighs nothing"
    assert {seq: waiting for seq, waiting in state.waiting.items() if seq < 4} == whole.waiting
    store.put_snapshot(*store.packed_snapshot(state))
    again = store.loaded("mailbox-1")
    assert (again.state, again.events) == (state, 0)
    assert again.snapshot_size < len(told)


def test_the_same_snapshot_twice_is_harmless(store):
    put(store, "user-1", 0, [adopted(1)])
    packed = store.packed_snapshot(store.load("user-1"))
    store.put_snapshot(*packed)
    store.put_snapshot(*packed)
    assert store.load("user-1").handle == "ann1"


def test_a_load_tells_what_was_read_for_it(store):
    put(store, "user-1", 0, [sent(n) for n in range(20)])
    whole = store.loaded("user-1")
    assert (whole.snapshot_size, whole.events) == (0, 20)
    assert whole.size == sum(len(committed.record.data) for committed in store.read(0, 20))
    packed = store.packed_snapshot(whole.state)
    store.put_snapshot(*packed)
    put(store, "user-1", 20, [adopted(1)])
    state, snapshot_size, events, size = store.loaded("user-1")
    assert (state.version, snapshot_size, events) == (21, len(packed[2]), 1)
    assert size == len(store.read(20, 1)[0].record.data)


def test_a_long_stream_loads_fast(store):
    """100,000 events in one stream: a load folds the snapshot and as many events as there may be after one."""
    chunk = 5_000
    for start in range(0, MANY, chunk):
        put(store, "user-1", start, [sent(n) for n in range(start, start + chunk)])
    began = time.perf_counter()
    state = store.load("user-1")
    slow_s = time.perf_counter() - began
    store.put_snapshot(*store.packed_snapshot(state))
    put(store, "user-1", MANY, [sent(MANY + n) for n in range(SINCE)])
    began = time.perf_counter()
    loaded = store.load("user-1")
    fast_s = time.perf_counter() - began
    print(f"{MANY} events: {slow_s * 1000:.0f} ms folded from the start, {fast_s * 1000:.1f} ms through the snapshot")
    assert loaded.version == MANY + SINCE
    assert f"m{MANY + SINCE - 1}" in loaded.sent
    assert fast_s < slow_s / 5


def test_a_bad_url_is_said_at_once(tmp_path):
    with pytest.raises(ValueError, match="not a store URL"):
        Store("mysql://localhost/x", "h1", HOME)


def test_a_database_that_is_away_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises((Unavailable, OSError)):
        Store(f"sqlite:///{tmp_path}/file/h1.db", "h1", HOME)
    with pytest.raises(Unavailable):
        Store("postgresql://nobody:x@127.0.0.1:1/none", "h1", HOME)


def test_a_store_without_its_keys_is_not_opened_and_leaves_nothing_open(postgres):
    with postgres.lend_database() as url:
        with pytest.raises(Unavailable) as failure:
            Store(url, "h1", HOME, "postgresql://nobody:x@127.0.0.1:9/nothing")
        wait_until(lambda: connected(url) == [], 5, f"the log is closed after {failure}")


def test_a_log_begins_one_life_and_keeps_it(store, open_store):
    store.begin_life(1.0)
    assert (store.life > 0, store.former, store.agreed) == (True, 0, 0)
    again = open_store()
    again.begin_life(1.0)
    assert (again.life, again.last_position()) == (store.life, 1)


def test_a_log_from_before_logs_had_lives_begins_its_first_behind_what_it_has(store):
    put(store, "user-1", 0, [adopted(1), adopted(2), adopted(3)])
    store.begin_life(1.0)
    assert (store.former, store.agreed, store.last_position()) == (0, 3, 4)
