"""From one server's log to another's over a real embedded broker: nothing is lost or takes effect twice, junk becomes a dead letter."""

import asyncio
import contextlib
import itertools
import json
import sqlite3

import msgpack
import pytest
from eventsourcing.persistence import Tracking

from broker import envelope, topology
from broker.envelope import EventRecord
from broker.port import Outgoing
from domain.event import stored_fields
from domain.events.home import LoggedIn, MessageSent
from domain.rules.sources import UNDER_A_HANDLE
from servers.messaging.inbox_parts import InboxConfig
from servers.messaging.outbox_parts import OutboxConfig
from servers.store.event_store import Store
from servers.store.log.positions import RELAY
from tests.domain.home_stories import logged_in, message_sent
from tests.servers.commands import contact, send
from tests.servers.members import HANDLES, Correspondent
from tests.servers.messaging_server import Server
from tests.support.waiting import eventually

NOW = 1_700_000_000.0


@contextlib.asynccontextmanager
async def opened(store_url, broker, **options):
    h1, h2 = await Server(store_url, "h1", broker, **options).start(), await Server(store_url, "h2", broker, **options).start()
    await h1.writer.submit((contact(),))
    yield h1, h2
    await h1.stop()
    await h2.stop()


@pytest.fixture
def h7(servers):
    """A home that the servers know, and that sends what a test wants."""
    return Correspondent("h7", *(server.trust for server in servers))


@pytest.fixture
async def servers(store_url, broker):
    async with opened(store_url, broker) as both:
        yield both


def record(event, position, stream="user-7", version=1, topic=None, data=None):
    """Something that user 7 did, who lives wherever the mail comes from."""
    state = stored_fields(event)
    if stream == "user-7" and isinstance(event, MessageSent):
        state["uid"] = 7
    if isinstance(event, UNDER_A_HANDLE):
        state["handle"] = HANDLES.get(stream.partition("-")[2], "ann")
    if event.class_version > 1:
        state["class_version"] = event.class_version
    return EventRecord(position, stream, version, topic or event.TOPIC, event.at, msgpack.packb(state) if data is None else data)


async def deliver(broker, body, home="h2"):
    await broker.publish([Outgoing(topology.HOMES, home, body)])


def dead_letters(tmp_path):
    with sqlite3.connect(tmp_path / "broker.db") as database:
        rows = database.execute("SELECT headers, body FROM messages WHERE queue = 'flash.dead' ORDER BY id").fetchall()
    database.close()
    return [(json.loads(headers)["flash-reason"], body) for headers, body in rows]


async def test_events_reach_the_home_they_are_for_in_order(servers):
    h1, h2 = servers
    await asyncio.gather(*(h1.writer.submit((send(f"m{n}"),)) for n in range(100)))
    await eventually(lambda: len(h2.mailbox(2)) == 100)
    assert [id_ for id_, _ in h2.mailbox(2)] == [f"m{n}" for n in range(100)]
    await eventually(lambda: h1.outbox.lag == 0)
    assert h2.store.tracked("h1") == h1.store.last_position()


async def test_the_history_has_every_event_once_and_in_order(servers, broker):
    h1, _ = servers
    await asyncio.gather(*(h1.writer.submit((send(f"m{n}"),)) for n in range(50)))
    await eventually(lambda: h1.outbox.lag == 0)
    told = [envelope.decode(item.body) async for item in broker.read_stream(topology.HISTORY, follow=False)]
    ours = [r for e in told if e.source == "h1" for r in e.events]
    assert [(r.position, r.stream, r.version, r.topic, r.data) for r in ours] == [
        (c.position, c.event.originator_id, c.event.originator_version, c.event.TOPIC, c.record.data) for c in h1.store.read(0, 1000)
    ]


async def test_private_events_never_leave(servers, broker, monkeypatch):
    h1, h2 = servers
    await eventually(lambda: h2.store.last_position() == 2)
    monkeypatch.setattr(type(message_sent()), "PRIVATE", True)
    await h1.writer.submit((send(),))
    await eventually(lambda: h1.outbox.lag == 0)
    assert h2.store.last_position() == 2, "its life began, Ann watches Bob, and no more"
    told = [envelope.decode(item.body) async for item in broker.read_stream(topology.HISTORY, follow=False)]
    assert {r.topic for e in told for r in e.events if e.source == "h1"} == {"log.life_began", "user.contact_added"}


async def test_a_repeat_takes_no_effect(servers, broker, h7):
    _, h2 = servers
    body = h7.mail("h2", [record(message_sent("a"), 1), record(message_sent("b"), 2)])
    for _ in range(3):
        await deliver(broker, body)
    await deliver(broker, h7.mail("h2", [record(message_sent("b"), 2), record(message_sent("c"), 3)]))
    await eventually(lambda: len(h2.mailbox(2)) == 3)
    await eventually(lambda: h2.inbox.repeats == 5)
    assert [id_ for id_, _ in h2.mailbox(2)] == ["a", "b", "c"]
    await eventually(lambda: len(h2.heard) >= 3 + 1)  # told after the commit that the mailbox shows; and Ann, who added Bob
    assert len(h2.heard) == 3 + 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x00" * 100,
        msgpack.packb({"v": 2}),
        msgpack.packb({"v": 1, "source": "@relay", "events": []}),
        b"\x90",
        msgpack.packb([3, b"", b""]),
        msgpack.packb([2, b"\xc1", b""]),
        msgpack.packb([2, msgpack.packb([]), b""]),
    ],
)
async def test_a_poison_envelope_is_set_aside_and_the_rest_goes_on(servers, broker, tmp_path, body, h7):
    _, h2 = servers
    await deliver(broker, h7.mail("h2", [record(message_sent("a"), 1)]))
    await deliver(broker, body)
    await deliver(broker, h7.mail("h2", [record(message_sent("b"), 2)]))
    await eventually(lambda: len(h2.mailbox(2)) == 2)
    ((_, letter),) = await eventually(lambda: dead_letters(tmp_path))
    assert letter == body
    assert h2.inbox.dead == 1


WRONG_TYPES = msgpack.packb({**stored_fields(message_sent("x")), "to_home": "h2", "to": {}, "class_version": 2})
A_CONTACT = msgpack.packb({"at": 1.0, "cause": "c", "uid": 2, "handle": "", "name": "", "home": "h2", "alias": None, "notify": False})
POISON = {
    "unknown topic": record(message_sent("x"), 2, topic="user.teleported"),
    "a module to import": record(message_sent("x"), 2, topic="antigravity:fly"),
    "no msgpack": record(message_sent("x"), 2, data=b"\xc1"),
    "no map": record(message_sent("x"), 2, data=msgpack.packb(7)),
    "no fields": record(message_sent("x"), 2, data=msgpack.packb({})),
    "wrong types": record(message_sent("x"), 2, data=WRONG_TYPES),
    "a stream without a number": record(message_sent("x"), 2, "user-x", topic="user.contact_added", data=A_CONTACT),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
async def test_a_poison_event_is_skipped_with_its_reason_and_the_others_of_its_letter_take_effect(servers, broker, tmp_path, poison, h7):
    _, h2 = servers
    body = h7.mail("h2", [record(message_sent("a"), 1), poison, record(message_sent("b"), 3)])
    await deliver(broker, body)
    await deliver(broker, h7.mail("h2", [record(message_sent("c"), 4)]))
    await eventually(lambda: [id_ for id_, _ in h2.mailbox(2)] == ["a", "b", "c"])
    ((reason, letter),) = await eventually(lambda: dead_letters(tmp_path))
    assert letter == body
    assert "at 2 of 'h7'" in reason


async def test_a_listener_that_fails_does_not_stop_the_inbox(servers, broker, tmp_path, h7):
    _, h2 = servers
    h2.hear = lambda event: 1 / 0
    await deliver(broker, h7.mail("h2", [record(logged_in(), 1)]))
    await deliver(broker, h7.mail("h2", [record(message_sent("a"), 2)]))
    await eventually(lambda: len(h2.mailbox(2)) == 1)
    assert dead_letters(tmp_path) == []


def logins(server):
    return [event for event in server.heard if isinstance(event, LoggedIn)]


async def test_a_commit_whose_answer_was_lost_is_not_repeated_and_not_waited_for(servers, broker, h7):
    """A database may commit and die before it says so: then the position stands higher than we know."""
    _, h2 = servers
    await eventually(lambda: h2.heard)  # of Ann, who added Bob: that commit is not the one meant here
    h2.store.lost_answers = 1
    await deliver(broker, h7.mail("h2", [record(logged_in(), 1, stream="user-9"), record(message_sent("a"), 2)]))
    await deliver(broker, h7.mail("h2", [record(message_sent("b"), 3)]))
    await eventually(lambda: [id_ for id_, _ in h2.mailbox(2)] == ["a", "b"])
    await eventually(lambda: logins(h2))  # told after the commit that the mailbox shows
    await eventually(lambda: h2.inbox.dedup.position("h7") == 3)
    assert len(logins(h2)) == 1


async def test_the_broker_goes_away_and_comes_back(servers, broker):
    h1, h2 = servers
    await eventually(lambda: h1.outbox.idle)
    broker.away = True
    await asyncio.gather(*(h1.writer.submit((send(f"m{n}"),)) for n in range(20)))
    assert h1.outbox.lag == 20
    broker.away = False
    await eventually(lambda: len(h2.mailbox(2)) == 20)


async def test_a_read_that_fails_in_whatever_way_does_not_stop_the_outbox(store_url, broker):
    config = OutboxConfig(max_events=5, first_retry_s=0.01, longest_retry_s=0.05)  # the rest must be read
    async with opened(store_url, broker, outbox=config) as (h1, h2):
        await eventually(lambda: h1.outbox.idle)
        broker.away = True
        for number in range(20):
            await h1.writer.submit((send(f"m{number}"),))
        h1.store.read_failures.append(RuntimeError("whatever it is"))
        broker.away = False
        await eventually(lambda: len(h2.mailbox(2)) == 20)
        assert not h1.store.read_failures


async def test_memory_stays_bounded_while_the_broker_is_away_and_the_store_remembers_the_rest(store_url, broker):
    config = OutboxConfig(max_events=50, max_batch=20, first_retry_s=0.01, longest_retry_s=0.05)
    async with opened(store_url, broker, outbox=config) as (h1, h2):
        await eventually(lambda: h1.outbox.idle)
        broker.away = True
        for start in range(0, 300, 10):
            await asyncio.gather(*(h1.writer.submit((send(f"m{start + n}"),)) for n in range(10)))
            assert h1.outbox.recent.events <= 50
        await broker.refused.wait()
        broker.away = False
        await asyncio.gather(*(h1.writer.submit((send(f"late{n}"),)) for n in range(30)))
        await eventually(lambda: len(h2.mailbox(2)) == 330)
        assert [id_ for id_, _ in h2.mailbox(2)] == [f"m{n}" for n in range(300)] + [f"late{n}" for n in range(30)]
        assert h2.inbox.repeats == 0


async def test_what_came_together_after_an_outage_is_applied_in_portions(store_url, broker):
    async with opened(store_url, broker, inbox=InboxConfig(max_events=4, turn_events=1)) as (_, h2):
        h7 = Correspondent("h7", h2.trust)
        sizes = []
        h2.writer.listeners.append(lambda batch: sizes.append(len(batch)))
        body = [h7.mail("h2", [record(message_sent(f"{n}-{k}"), 3 * n + k) for k in (1, 2, 3)]) for n in range(10)]
        await broker.publish([Outgoing(topology.HOMES, "h2", each) for each in body])
        await eventually(lambda: len(h2.mailbox(2)) == 30)
        assert max(sizes) <= 4 + 3 - 1


async def test_while_deliveries_are_read_others_get_their_turn(store_url, broker):
    """Ten deliveries of three events lie in the queue; a turn of the loop ends after each of them."""
    async with opened(store_url, broker, inbox=InboxConfig(retry_s=0.01, turn_events=3)) as (_, h2):
        h7 = Correspondent("h7", h2.trust)
        await eventually(lambda: h2.inbox.idle)
        loop, left = asyncio.get_running_loop(), []

        def look():
            left.append(h2.inbox.waiting)
            if len(left) < 15:
                loop.call_soon(look)

        for n in range(10):
            h2.inbox.arrive(Again(body=h7.mail("h2", [record(message_sent(f"{n}-{k}"), 3 * n + k) for k in (1, 2, 3)])))
        look()
        await eventually(lambda: len(h2.mailbox(2)) == 30)
        assert left[0] == 10
        assert all(before - after <= 1 for before, after in itertools.pairwise(left))


class Again:
    """A delivery over a link that is lost, or not."""

    def __init__(self, gone=False, body=b""):
        self.gone = gone
        self.body = body
        self.headers = {}
        self.publisher = ""

    def ack(self):
        """Nobody waits for it."""


async def test_what_comes_again_while_the_store_is_away_is_kept_once(servers):
    _, h2 = servers
    await h2.inbox.task.stop()  # as if it waited for the store
    prefetch = InboxConfig().prefetch
    for _ in range(3):
        for _ in range(prefetch):
            h2.inbox.arrive(Again(gone=True))
    for _ in range(prefetch):
        h2.inbox.arrive(Again(gone=False))
    assert h2.inbox.waiting <= 2 * prefetch


async def test_how_far_it_published_is_stored_when_the_outbox_stops(servers, broker, tmp_path):
    h1, _ = servers
    await h1.writer.submit((send(),))
    await eventually(lambda: h1.outbox.lag == 0)
    await h1.outbox.stop()
    assert h1.store.tracked(RELAY) == h1.store.last_position()


async def test_a_home_may_be_named_relay(store_url, broker):
    h2 = await Server(store_url, "h2", broker).start()
    await deliver(broker, Correspondent("relay", h2.trust).mail("h2", [record(message_sent("a"), 1_000)]))
    await eventually(lambda: len(h2.mailbox(2)) == 1)
    await eventually(lambda: h2.outbox.lag == 0)
    await h2.stop()
    store = Store(store_url("h2"), "h2", h2.store.rules)
    assert (store.tracked("relay"), store.tracked(RELAY)) == (1_000, store.last_position())
    store.put([], [], [Tracking("relay", 1_001)])
    store.close()
