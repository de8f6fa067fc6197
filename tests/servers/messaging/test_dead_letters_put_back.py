"""Mail that cannot be read yet waits; what was skipped takes effect once when it is put back. Rule: no dead letter is lost in silence."""

from contextlib import closing
from dataclasses import replace

import msgspec
import pytest
import structlog

from broker import envelope, topology
from domain.errors import Unavailable
from domain.event import in_stream
from domain.events.home import MessageSent
from domain.personal import owners
from servers.messaging.inbox import NOTHING_NEW
from servers.store.event_store import Store
from tests.domain.home_stories import message_sent
from tests.servers.commands import contact, send
from tests.servers.messaging.test_outbox_and_inbox import deliver, record
from tests.servers.messaging_server import Server
from tests.servers.stores import HOME
from tests.support.waiting import eventually

NEW_KEY = (-2, b"n" * 32)  # one that h2 has not heard of
NEWER_KEY = (-3, b"o" * 32)


@pytest.fixture
async def h2(store_url, broker):
    h2 = await Server(store_url, "h2", broker).start()
    yield h2
    await h2.stop()


@pytest.fixture
def unreadable(store_url):
    """Records of h1's popups, encrypted with a key that h2 does not know."""
    with closing(Store(store_url("h1"), "h1", HOME)) as store:

        def make(id, position, key=NEW_KEY):
            store.learn_transit_key(*key)
            (event,) = in_stream([message_sent(id)], "user-1", 0)
            store.keys.make(owners(event))
            (packed,) = store.codec.encode([event])
            return msgspec.structs.replace(store.for_transit(event, packed), position=position)

        yield make


def plain(id, position):
    return record(message_sent(id), position)


async def arrive(broker, *records):
    await deliver(broker, envelope.encode("h1", records))


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


async def test_mail_waits_for_a_home_that_lost_its_keys_until_it_has_heard_the_key_again(store_url, broker):
    await broker.declare_inbox("h2")
    h1, h2 = Server(store_url, "h1", broker), Server(store_url, "h2", broker, transit_key=None)
    await h1.start()
    await h1.writer.submit((contact(),))
    for number in range(3):
        await h1.writer.submit((send(f"m{number}"),))
    await eventually(lambda: h1.outbox.lag == 0)
    with structlog.testing.capture_logs() as logs:
        await h2.start()
        await eventually(lambda: [entry for entry in logs if entry["event"] == "inbox.key_away"])
    assert (ids(h2), h2.inbox.dead) == ([], 0)
    await h2.store.run(h2.store.learn_transit_key, -1, b"k" * 32)
    await eventually(lambda: ids(h2) == ["m0", "m1", "m2"])
    await empty(broker)
    await h1.stop()
    await h2.stop()


async def test_mail_waits_while_the_key_cannot_be_read(h2, broker, unreadable, monkeypatch):
    await h2.store.run(h2.store.learn_transit_key, *NEW_KEY)
    h2.store.keys.forget(NEW_KEY[0])  # as if many others had been needed since

    def away(owners):
        raise Unavailable("the database is away")

    with monkeypatch.context() as patched, structlog.testing.capture_logs() as logs:
        patched.setattr(h2.store.keys.table, "read", away)
        await arrive(broker, unreadable("a", 1))
        await eventually(lambda: len([entry for entry in logs if entry["event"] == "inbox.key_away"]) > 1)
        assert (ids(h2), h2.inbox.dead) == ([], 0)
    await eventually(lambda: ids(h2) == ["a"])
    await empty(broker)


@pytest.mark.parametrize("restart", [False, True], ids=["at once", "after a restart"])
async def test_events_put_back_take_effect_after_later_mail_and_the_others_of_their_letter_do_not_again(
    store_url, broker, unreadable, restart
):
    h2 = await Server(store_url, "h2", broker).start()
    await arrive(broker, plain("a", 1), unreadable("b", 2), plain("c", 3))
    await arrive(broker, unreadable("d", 4))
    await arrive(broker, plain("e", 5))
    await eventually(lambda: ids(h2) == ["a", "c", "e"])
    await dead(broker, 2)
    if restart:
        await h2.stop()
        h2 = await Server(store_url, "h2", broker).start()
    await h2.store.run(h2.store.learn_transit_key, *NEW_KEY)
    assert await broker.requeue_dead() == 2
    await eventually(lambda: ids(h2) == ["a", "c", "e", "b", "d"])
    await empty(broker)
    await arrive(broker, plain("f", 6))
    await eventually(lambda: ids(h2) == ["a", "c", "e", "b", "d", "f"])
    await h2.stop()


async def test_a_letter_that_is_still_unreadable_dies_again_and_takes_effect_later(h2, broker, unreadable):
    await arrive(broker, unreadable("a", 1))
    await arrive(broker, plain("b", 2))
    await dead(broker, 1)
    for _ in range(2):
        died = h2.inbox.dead
        assert await broker.requeue_dead() == 1
        await eventually(lambda: h2.inbox.dead == died + 1)  # noqa: B023  # awaited in this turn
        await dead(broker, 1)
    await h2.store.run(h2.store.learn_transit_key, *NEW_KEY)
    assert await broker.requeue_dead() == 1
    await eventually(lambda: ids(h2) == ["b", "a"])
    await empty(broker)


async def test_an_event_that_could_not_be_applied_takes_effect_when_it_is_put_back(h2, broker):
    whole = h2.rules
    policy = whole.policies[MessageSent]
    h2.rules = replace(whole, policies={MessageSent: lambda event, *where: 1 / 0 if event.id == "b" else policy(event, *where)})
    await arrive(broker, plain("a", 1), plain("b", 2), plain("c", 3))
    await arrive(broker, plain("d", 4))
    await eventually(lambda: ids(h2) == ["a", "c", "d"])
    await dead(broker, 1)
    h2.rules = whole
    assert await broker.requeue_dead() == 1
    await eventually(lambda: ids(h2) == ["a", "c", "d", "b"])
    await empty(broker)


async def test_a_letter_that_is_there_twice_takes_effect_once(h2, broker, unreadable):
    """As after a crash: it is in its queue again and not yet out of the dead letters, or came again while it died."""
    for _ in range(2):
        await arrive(broker, plain("a", 1), unreadable("b", 2))
    await arrive(broker, plain("c", 3))
    letters = await dead(broker, 2)
    await h2.store.run(h2.store.learn_transit_key, *NEW_KEY)
    assert await broker.requeue_dead([letters[0].id]) == 1
    await eventually(lambda: ids(h2) == ["a", "c", "b"])
    assert await broker.requeue_dead() == 1
    await empty(broker)
    assert ids(h2) == ["a", "c", "b"]


async def test_a_letter_put_back_takes_effect_once_though_the_answer_of_its_commit_was_lost(h2, broker, unreadable):
    await arrive(broker, unreadable("a", 1))
    await arrive(broker, plain("b", 2))
    await dead(broker, 1)
    await h2.store.run(h2.store.learn_transit_key, *NEW_KEY)
    h2.store.lost_answers = 1
    await broker.requeue_dead()
    await empty(broker)
    assert ids(h2) == ["b", "a"]


async def test_a_letter_of_which_nothing_is_noted_comes_back_rather_than_vanish(store_url, broker):
    """One that died before there were notes, or when not even its envelope could be read."""
    consumer = await broker.consume("h2", lambda delivery: delivery.dead("as it was"))
    await arrive(broker, plain("a", 1))
    await dead(broker, 1)
    await consumer.cancel()
    h2 = await Server(store_url, "h2", broker).start()
    await arrive(broker, plain("b", 2))
    await eventually(lambda: ids(h2) == ["b"])
    assert await broker.requeue_dead() == 1
    await eventually(lambda: h2.inbox.dead == 1)
    (letter,) = await dead(broker, 1)
    assert (letter.queue, letter.reason) == (topology.inbox("h2").name, NOTHING_NEW)
    assert ids(h2) == ["b"]
    await h2.stop()


async def test_what_took_effect_and_is_unreadable_when_it_comes_again_does_not_take_effect_twice(h2, broker, unreadable):
    """A home is killed between the commit and the ack, and the mail comes again, encrypted with a key that the home does not know."""
    await h2.store.run(h2.store.learn_transit_key, *NEW_KEY)
    await arrive(broker, unreadable("a", 1))
    await eventually(lambda: ids(h2) == ["a"])
    await arrive(broker, unreadable("a", 1, NEWER_KEY))
    await dead(broker, 1)
    await h2.store.run(h2.store.learn_transit_key, *NEWER_KEY)
    assert await broker.requeue_dead() == 1
    await eventually(lambda: h2.inbox.dead == 2)
    assert [letter.reason for letter in await dead(broker, 1)] == [NOTHING_NEW]
    assert ids(h2) == ["a"]
