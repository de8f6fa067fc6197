"""What stays of the states in memory, and when a snapshot is written: both are questions of bytes."""

import asyncio
import gc
import itertools
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from domain.errors import Unavailable
from domain.events.home import ContactAdded, MessageQueued, MessageSent
from domain.mailbox.commands import Acknowledge
from domain.user.commands import SetStatus
from servers.encryption.mac import proven
from servers.store.event_store import snapshot_place
from servers.writing.config import WriterConfig
from servers.writing.state_cache import StateCache
from servers.writing.writer import Writer
from tests.servers.commands import contact, log_in, queue, send
from tests.servers.fragile import FragileStore
from tests.servers.stores import HOME, NOW, adopted, plant_snapshots, put, sent
from tests.support.waiting import eventually


def added(uid: int, name: str) -> ContactAdded:
    return ContactAdded(at=NOW, cause="c", uid=uid, handle=f"person{uid}", name=name, home="h2", alias=None, notify=False)


def sends(number: int) -> MessageSent:
    return MessageSent(at=NOW + number, cause="c", id=f"{number:032x}", uid=1, handle="ann", name="Ann", to=number, to_home="h2",
                       text="hi", in_reply_to=None, urgent=False)  # fmt: skip


def queued(number: int) -> MessageQueued:
    return MessageQueued(at=NOW, cause="c", seq=number, id=f"{number:032x}", uid=number, home="h2", handle="bob", name="Bob", text="hello",
                         sent_at=NOW, in_reply_to=None, urgent=False)  # fmt: skip


@dataclass
class WriterOnStore:
    """A writer on a store of its own."""

    store: FragileStore
    writer: Writer

    @property
    def states(self) -> StateCache:
        return self.writer.states

    async def do(self, *commands: Any) -> Any:
        return await self.writer.submit(commands)

    async def sends(self, first: int, count: int) -> None:
        await asyncio.gather(*(self.do(send(f"m{number}")) for number in range(first, first + count)))

    def snapshot(self, stream: str = "user-1") -> int:
        """The version of its snapshot; 0 without any."""
        found = self.store.log.newest_snapshot(stream)
        return found[0] if found else 0


@asynccontextmanager
async def opened(url: str, **bounds: Any) -> AsyncIterator[WriterOnStore]:
    store = FragileStore(url, "h1", HOME)
    writer = Writer(store, lambda: NOW, config=WriterConfig(**bounds))
    writer.start()
    try:
        yield WriterOnStore(store, writer)
    finally:
        store.snapshots_go_on.set()
        store.reader_goes_on.set()
        await writer.stop()
        store.close()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        ("user-1", [added(uid, f"Person {uid}") for uid in range(2, 3_002)]),
        ("user-1", [added(uid, f"{uid:0500}") for uid in range(2, 1_002)]),
        ("user-1", [sends(number) for number in range(2, 4_098)]),
        ("mailbox-1", [queued(number) for number in range(1, 1_001)]),
    ],
    ids=["contacts", "contacts with long names", "messages sent", "messages waiting"],
)
async def test_a_state_weighs_about_what_it_takes(tmp_path, stream, events):
    """Between 0.6 and 1.8 times the bytes of memory, whether it comes from events or from its snapshot."""
    url = f"sqlite:///{tmp_path}/h1.db"
    async with opened(url) as server:
        put(server.store, stream, 0, events)
        for _ in range(2):
            server.store.loaded(stream)  # keys and codes that the first load leaves behind are not the state's
            gc.collect()
            tracemalloc.start()
            await server.states.load(stream, ())
            await server.states.snapshots.stop()
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            print(f"{stream}: {server.states.size} for {taken} bytes")
            assert 0.6 * taken < server.states.size < 1.8 * taken
            server.store.put_snapshot(*server.store.packed_snapshot(server.states[stream]))
            server.states.clear()
            assert server.states.size == 0


async def test_states_in_memory_are_bounded_in_bytes_and_the_least_recently_used_go_first(url):
    """One with 200 contacts of long names weighs as much as a hundred others, and who is used stays."""
    async with opened(url, max_state_bytes=200_000) as server:
        put(server.store, "user-1000", 0, [added(uid, "x" * 500) for uid in range(1, 201)])
        for uid in range(1, 101):
            await server.do(log_in(uid))
        assert len(server.states) == 100
        assert server.states.forgotten == 0
        await server.do(log_in(1, "s2"))
        await server.do(log_in(1_000))
        await eventually(lambda: server.states.forgotten)
        assert server.states.size <= 200_000
        assert {"user-1", "user-1000"} <= set(server.states)
        assert "user-2" not in server.states
        await server.do(log_in(2, "s2"))
        assert list(server.store.load("user-2").sessions) == ["s1", "s2"]


async def test_what_grows_in_memory_is_bounded_too(url):
    """No state is loaded, and yet they take more and more."""
    async with opened(url, max_state_bytes=20_000) as server:
        await server.do(contact())
        await server.do(log_in(3))
        for start in range(0, 200, 20):
            await server.sends(start, 20)
        await eventually(lambda: server.states.size <= 20_000)
        assert len(server.store.load("user-1").sent) == 200


async def test_what_has_left_a_mailbox_makes_nobody_go(url):
    """Each of twenty mailboxes gets and gives away a sixth of what the memory has room for, and is empty in the end."""
    async with opened(url, max_state_bytes=600_000) as server:
        for uid in range(1, 21):
            for start in range(0, 200, 20):
                await asyncio.gather(*(server.do(queue(f"m{number}", uid)) for number in range(start, start + 20)))
                await server.do(Acknowledge(uid=uid, cause="s1", session="s1", upto=start + 20))
        assert server.states.forgotten == 0
        assert len(server.states) == 20


async def test_a_state_that_has_to_go_leaves_a_snapshot_so_that_few_events_are_folded_when_it_comes_back(url):
    async with opened(url, max_state_bytes=20_000) as server:
        await server.do(contact())
        await server.sends(0, 40)
        await asyncio.gather(*(server.do(log_in(uid)) for uid in range(2, 40)))
        assert "user-1" not in server.states
        await eventually(server.snapshot)
        assert server.store.loaded("user-1").events == 0


async def test_what_is_used_loaded_and_forgotten_is_counted(url):
    async with opened(url) as server:
        for _ in range(5):
            await server.do(log_in())
        assert (server.states.asked, server.states.missed) == (5, 1)
        server.states.clear()
        await server.do(log_in())
        assert (server.states.asked, server.states.missed) == (6, 2)


async def test_no_bytes_stay_of_states_that_are_gone(url):
    async with opened(url) as server:
        await asyncio.gather(*(server.do(log_in(uid)) for uid in range(1, 20)))
        server.states.forget(committed.event for committed in server.store.read(0, 20))
        server.states.drop(list(server.states))
        assert (len(server.states), server.states.size) == (0, 0)


async def test_a_snapshot_is_written_when_the_events_since_outweigh_it(url):
    """The larger it is, the more has to come before the next one, and the older one is deleted with it."""
    async with opened(url, snapshot_bytes=10_000) as server:
        versions = [0]
        for start in range(2, 1_002, 10):
            await asyncio.gather(*(server.do(contact(1, number)) for number in range(start, start + 10)))
            await server.states.snapshots.stop()
            if server.snapshot() != versions[-1]:
                versions.append(server.snapshot())
            assert server.store.log.snapshot_counts("", 10) in ([], [("user-1", 1)])
        steps = [later - earlier for earlier, later in itertools.pairwise(versions)]
        print(f"snapshots at {versions}")
        assert 3 <= len(steps) <= 8
        assert steps[-1] >= 2 * steps[0], "the snapshot grows, and with it what comes before the next one"
        assert server.states.snapshots.written == len(steps)


async def test_few_letters_to_somebody_with_much_text_write_no_snapshot(url):
    """On 79ccbf3 every 500th event wrote the whole state: here some 500 KB each."""
    async with opened(url) as server:
        put(server.store, "user-1", 0, [added(uid, "x" * 500) for uid in range(2, 1_002)])
        server.store.put_snapshot(*server.store.packed_snapshot(server.store.load("user-1")))
        for start in range(0, 1_000, 50):
            await server.sends(start, 50)
        await server.states.snapshots.stop()
        assert (server.states.snapshots.written, server.snapshot()) == (0, 1_000)


async def test_many_small_events_are_bounded_by_their_number(url):
    async with opened(url, snapshot_events=100) as server:
        await server.do(contact())
        for start in range(0, 350, 10):
            await server.sends(start, 10)
            await server.states.snapshots.stop()
        assert server.store.loaded("user-1").events < 120
        assert server.states.snapshots.written == 3


async def test_a_state_with_a_long_tail_gets_a_snapshot_when_it_is_loaded(url):
    """An earlier snapshot failed, or an earlier version wrote fewer."""
    async with opened(url, snapshot_events=100) as server:
        put(server.store, "user-1", 0, [adopted(1), *(sent(number) for number in range(150))])
        await server.do(contact())
        assert await eventually(server.snapshot) == 151


async def test_a_snapshot_that_fails_is_tried_again_and_harms_nobody(url):
    async with opened(url, snapshot_events=50) as server:
        await server.do(contact())
        server.store.snapshot_failures.append(ZeroDivisionError())
        for start in range(0, 200, 10):
            await server.sends(start, 10)
            await server.states.snapshots.stop()
        assert (server.snapshot(), server.states.snapshots.failed) == (0, 4), "not with every event"
        server.store.snapshot_failures.clear()
        for start in range(200, 260, 10):
            await server.sends(start, 10)
        await eventually(server.snapshot)
        assert len(server.store.load("user-1").sent) == 260


async def test_what_waits_to_be_stored_is_bounded(url):
    async with opened(url, snapshot_events=1) as server:
        server.store.snapshots_go_on.clear()
        for uid in range(1, 101):
            put(server.store, f"user-{uid}", 0, [added(other, "x" * 500) for other in range(1_000, 1_200)])
            await server.do(log_in(uid))
        waiting = server.states.snapshots.waiting
        print(f"{waiting} bytes wait")
        assert 7_000_000 < waiting < 8_000_000
        server.store.snapshots_go_on.set()
        await server.states.snapshots.stop()
        assert server.states.snapshots.waiting == 0
        for uid in range(1, 101):
            await server.do(SetStatus(uid=uid, cause="c", status="away", note="", until=None))
            await server.states.snapshots.stop()
        assert len(server.store.log.snapshot_counts("", 200)) == 100


async def test_a_snapshot_that_somebody_else_put_there_is_replaced(url):
    """Whatever its version claims, it is gone after the next load."""
    async with opened(url) as server:
        put(server.store, "user-1", 0, [adopted(1)])
        forged = proven(bytes(32), snapshot_place("user-1", 2**40), b"forged")
        plant_snapshots(url, ("user-1", 2**40, forged), ("user-1", 1, b"without a proof"))
        await server.do(contact())
        await eventually(lambda: server.snapshot() < 2**40)
        assert server.store.log.snapshot_counts("", 10) == [("user-1", 1)]
        assert server.store.loaded("user-1").snapshot_size


async def test_old_snapshots_are_deleted_after_a_start(url):
    """79ccbf3 kept one for every 500 events."""
    async with opened(url) as server:
        put(server.store, "user-1", 0, [adopted(1), adopted(2), adopted(3)])
        version, packed = server.store.packed_snapshot(server.store.load("user-1"))[1:]
    plant_snapshots(url, ("user-1", 1, b"old"), ("user-1", 2, b"old"), ("user-1", version, packed), ("user-2", 1, b"other"))
    async with opened(url) as server:
        await eventually(lambda: server.states.snapshots.old_dropped == 2)
        assert server.store.log.snapshot_counts("", 10) == [("user-1", 1), ("user-2", 1)]
        assert server.store.loaded("user-1").events == 0


async def test_a_state_that_waits_to_be_stored_is_forgotten_with_who_left(url):
    """It holds decrypted words of theirs, and its key may be gone before its turn comes."""
    async with opened(url, snapshot_events=1) as server:
        server.store.snapshots_go_on.clear()
        for uid in (1, 2, 3):
            await server.do(contact(uid))
        assert server.states.snapshots.waiting
        server.states.drop(["user-2", "user-3"])
        server.store.snapshots_go_on.set()
        await server.states.snapshots.stop()
        assert [stream for stream, _ in server.store.log.snapshot_counts("", 10)] == ["user-1"]


async def test_commits_go_on_while_a_large_state_is_loaded(url):
    """Whoever asks for the same one waits for the same load, and the command that wanted it loads nothing."""
    async with opened(url) as server:
        put(server.store, "user-1", 0, [added(uid, "x" * 500) for uid in range(2, 502)])
        server.store.reader_goes_on.clear()
        loads = [asyncio.create_task(server.states.warm("user-1")) for _ in range(3)]
        await server.do(log_in(2))
        assert not any(load.done() for load in loads)
        server.store.reader_goes_on.set()
        await asyncio.gather(*loads)
        missed = server.states.missed
        await server.do(send())
        await server.states.warm("user-1")
        assert (server.states.warmed, server.states.missed) == (1, missed)
        assert server.store.load("user-1").version == 501


async def test_a_state_that_a_commit_has_changed_meanwhile_is_not_put_back(url):
    async with opened(url) as server:
        put(server.store, "user-1", 0, [added(2, "Bob")])
        server.store.reader_goes_on.clear()
        load = asyncio.create_task(server.states.warm("user-1"))
        await asyncio.sleep(0)
        await server.do(send("m1"))
        server.states.let_go("user-1")
        server.store.reader_goes_on.set()
        await load
        assert (server.states.warmed, "user-1" in server.states) == (0, False)
        await server.do(send("m2"))
        assert [id in server.store.load("user-1").sent for id in ("m1", "m2")] == [True, True]


async def test_a_load_beforehand_that_fails_harms_nobody(url):
    async with opened(url) as server:
        put(server.store, "user-1", 0, [added(2, "Bob")])
        server.store.load_failures_of_reader.append(Unavailable("away"))
        await server.states.warm("user-1")
        await server.do(send())
        await server.states.warm("user-9")
        assert "user-9" not in server.states, "another process may begin it"
        assert server.states.warmed == 0
