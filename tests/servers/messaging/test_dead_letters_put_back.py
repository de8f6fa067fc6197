"""Mail that cannot be read yet waits; what was skipped takes effect once when it is put back. Rule: no dead letter is lost in silence."""

from dataclasses import replace

import msgpack
import pytest
import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker import topology
from broker.envelope import EventRecord
from domain.errors import Unavailable
from domain.event import in_stream, stored_fields
from domain.events.home import MessageSent
from servers.encryption.event_codec import encrypt
from servers.messaging.inbox_parts import NOTHING_NEW
from tests.domain.home_stories import message_sent
from tests.servers.members import Correspondent
from tests.servers.messaging.test_outbox_and_inbox import deliver, record
from tests.servers.messaging_server import Server
from tests.support.waiting import eventually

NEW_KEY = (-2, b"n" * 32)  # one that h2 has not heard of
NEWER_KEY = (-3, b"o" * 32)


@pytest.fixture
async def h2(store_url, broker):
    h2 = await Server(store_url, "h2", broker).start()
    yield h2
    await h2.stop()


def unreadable(id, position, key=NEW_KEY):
    """A popup that cannot be read by a server that does not know this key."""
    (event,) = in_stream([message_sent(id)], "user-1", 0)
    state = stored_fields(event) | {"class_version": event.class_version}
    text = {"text": state.pop("text")}
    number, secret = key
    state["sealed"] = [(number, encrypt(AESGCM(secret), text, b"user-1/1/user.message_sent"))]
    return EventRecord(position, "user-1", 1, event.TOPIC, event.at, msgpack.packb(state))


def learns(server, number, key):
    """From now on the server can read it."""
    server.store.keys.table.add({number: key})
    server.store.keys.forget(number)


def plain(id, position):
    return record(message_sent(id), position)


@pytest.fixture
def h1():
    """A home that sends what a test wants."""
    return Correspondent("h1")


async def arrive(h1, h2, *records):
    h1.meets(h2.trust)
    await deliver(h2.broker, h1.mail("h2", records))


async def dead(broker, count):
    async def all_there():
        letters = await broker.dead_letters()
        return letters if len(letters) == count else None

    return await eventually(all_there)


async def empty(broker):
    async def depths():
        return set((await broker.depths()).values()) == {0}

    await eventually(depths)


def ids(server):
    return [id_ for id_, _ in server.mailbox(2)]


async def test_mail_waits_while_the_key_cannot_be_read(h2, broker, monkeypatch, h1):
    learns(h2, *NEW_KEY)
    h2.store.keys.forget(NEW_KEY[0])  # as if many others had been needed since

    def away(owners):
        raise Unavailable("the database is away")

    with monkeypatch.context() as patched, structlog.testing.capture_logs() as logs:
        patched.setattr(h2.store.keys.table, "read", away)
        await arrive(h1, h2, unreadable("a", 1))
        await eventually(lambda: len([entry for entry in logs if entry["event"] == "inbox.key_away"]) > 1)
        assert (ids(h2), h2.inbox.dead) == ([], 0)
    await eventually(lambda: ids(h2) == ["a"])
    await empty(broker)


@pytest.mark.parametrize("restart", [False, True], ids=["at once", "after a restart"])
async def test_events_put_back_take_effect_after_later_mail_and_the_others_of_their_letter_do_not_again(store_url, broker, restart, h1):
    h2 = await Server(store_url, "h2", broker).start()
    await arrive(h1, h2, plain("a", 1), unreadable("b", 2), plain("c", 3))
    await arrive(h1, h2, unreadable("d", 4))
    await arrive(h1, h2, plain("e", 5))
    await eventually(lambda: ids(h2) == ["a", "c", "e"])
    await dead(broker, 2)
    if restart:
        await h2.stop()
        h2 = await Server(store_url, "h2", broker).start()
    learns(h2, *NEW_KEY)
    assert await broker.requeue_dead() == 2
    await eventually(lambda: ids(h2) == ["a", "c", "e", "b", "d"])
    await empty(broker)
    await arrive(h1, h2, plain("f", 6))
    await eventually(lambda: ids(h2) == ["a", "c", "e", "b", "d", "f"])
    await h2.stop()


async def test_a_letter_that_is_still_unreadable_dies_again_and_takes_effect_later(h2, broker, h1):
    await arrive(h1, h2, unreadable("a", 1))
    await arrive(h1, h2, plain("b", 2))
    await dead(broker, 1)
    for _ in range(2):
        died = h2.inbox.dead
        assert await broker.requeue_dead() == 1
        await eventually(lambda: h2.inbox.dead == died + 1)  # noqa: B023  # awaited in this turn
        await dead(broker, 1)
    learns(h2, *NEW_KEY)
    assert await broker.requeue_dead() == 1
    await eventually(lambda: ids(h2) == ["b", "a"])
    await empty(broker)


async def test_an_event_that_could_not_be_applied_takes_effect_when_it_is_put_back(h2, broker, h1):
    whole = h2.rules
    policy = whole.policies[MessageSent]
    h2.rules = replace(whole, policies={MessageSent: lambda event, *where: 1 / 0 if event.id == "b" else policy(event, *where)})
    await arrive(h1, h2, plain("a", 1), plain("b", 2), plain("c", 3))
    await arrive(h1, h2, plain("d", 4))
    await eventually(lambda: ids(h2) == ["a", "c", "d"])
    await dead(broker, 1)
    h2.rules = whole
    assert await broker.requeue_dead() == 1
    await eventually(lambda: ids(h2) == ["a", "c", "d", "b"])
    await empty(broker)


async def test_a_letter_that_comes_again_while_it_is_dead_takes_effect_once(h2, broker, h1):
    """As after a crash, or when it is sent again: one dead letter is enough, and it takes effect once."""
    for _ in range(2):
        await arrive(h1, h2, plain("a", 1), unreadable("b", 2))
    await arrive(h1, h2, plain("c", 3))
    await eventually(lambda: ids(h2) == ["a", "c"])
    await dead(broker, 1)
    learns(h2, *NEW_KEY)
    assert await broker.requeue_dead() == 1
    await eventually(lambda: ids(h2) == ["a", "c", "b"])
    await arrive(h1, h2, plain("a", 1), unreadable("b", 2))
    await empty(broker)
    assert ids(h2) == ["a", "c", "b"]


async def test_a_letter_put_back_takes_effect_once_though_the_answer_of_its_commit_was_lost(h2, broker, h1):
    await arrive(h1, h2, unreadable("a", 1))
    await arrive(h1, h2, plain("b", 2))
    await dead(broker, 1)
    learns(h2, *NEW_KEY)
    h2.store.lost_answers = 1
    await broker.requeue_dead()
    await empty(broker)
    assert ids(h2) == ["b", "a"]


async def test_a_letter_of_which_nothing_is_noted_comes_back_rather_than_vanish(store_url, broker, h1):
    """One that died before there were notes, or when not even its envelope could be read."""
    consumer = await broker.consume("h2", lambda delivery: delivery.dead("as it was"))
    h2 = Server(store_url, "h2", broker)
    await arrive(h1, h2, plain("a", 1))
    await dead(broker, 1)
    await consumer.cancel()
    await h2.start()
    await arrive(h1, h2, plain("b", 2))
    await eventually(lambda: ids(h2) == ["b"])
    assert await broker.requeue_dead() == 1
    await eventually(lambda: h2.inbox.dead == 1)
    (letter,) = await dead(broker, 1)
    assert (letter.queue, letter.reason) == (topology.inbox("h2").name, NOTHING_NEW)
    assert ids(h2) == ["b"]
    await h2.stop()


async def test_what_took_effect_and_is_unreadable_when_it_comes_again_does_not_take_effect_twice(h2, broker, h1):
    """A home is killed between the commit and the ack, and the mail comes again, and cannot be read any more."""
    learns(h2, *NEW_KEY)
    await arrive(h1, h2, unreadable("a", 1))
    await eventually(lambda: ids(h2) == ["a"])
    await arrive(h1, h2, unreadable("a", 1, NEWER_KEY))
    await arrive(h1, h2, plain("b", 2))
    await eventually(lambda: ids(h2) == ["a", "b"])
    await empty(broker)
    assert h2.inbox.dead == 0
