"""Mail that the broker forgot arrives all the same: each mail names the one before it, and the two ends compare how far they have come."""

import asyncio
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from broker.embedded.broker import EmbeddedBroker
from broker.rabbitmq.broker import RabbitBroker
from servers.messaging.mail_check import MailCheckConfig
from servers.messaging.outbox_parts import OutboxConfig
from servers.messaging.questions import AskEnd, SendAgain
from servers.store.event_store import Store
from servers.store.log.positions import RELAY, mailed
from tests.servers.commands import contact, send
from tests.servers.fragile import FragileBroker
from tests.servers.messaging_server import Server
from tests.servers.stores import HOME, adopted, put
from tests.support.rabbitmq import NEW_VHOST
from tests.support.waiting import eventually

ASKS_NOBODY = MailCheckConfig(look_s=3600.0)  # but whom it meets


def ids(server, uid=2):
    return [id_ for id_, _ in server.mailbox(uid)]


@pytest.fixture
async def h1(store_url, broker):
    h1 = await Server(store_url, "h1", broker).start()
    await broker.declare_inbox("h2")
    await h1.writer.submit((contact(),))
    yield h1
    await h1.stop()


@pytest.fixture
async def h2(h1, store_url, broker):
    h2 = await Server(store_url, "h2", broker).start()
    await eventually(lambda: h1.outbox.idle and h2.store.tracked("h1") == 2)
    yield h2
    await h2.stop()


async def sends(server, *ids):
    for id_ in ids:
        await server.writer.submit((send(id_),))
    await eventually(lambda: server.outbox.lag == 0)


async def test_a_hole_in_the_middle_is_found_by_the_mail_behind_it(store_url, broker):
    """The sender asks nobody here: the highest position that was committed would hide the hole."""
    h1, h2 = [await Server(store_url, name, broker, check=ASKS_NOBODY).start() for name in ("h1", "h2")]
    await h1.writer.submit((contact(),))
    await sends(h1, "before")
    await eventually(lambda: ids(h2) == ["before"])
    await eventually(lambda: not h1.outbox.receivers.behind)
    broker.forgets, before, asked = {"h2"}, h1.outbox.receivers.again, len(h2.asked_anew)
    await sends(h1, "lost 1", "lost 2")
    assert broker.forgotten == 2
    broker.forgets = set()
    await sends(h1, "behind")
    await eventually(lambda: len(ids(h2)) == 4)
    assert ids(h2) == ["before", "lost 1", "lost 2", "behind"]
    assert h2.inbox.holes >= 1
    assert h1.outbox.receivers.again == before + 1
    await eventually(lambda: len(h2.asked_anew) > asked)  # how h1's users stand is not sent again
    await h1.stop()
    await h2.stop()


async def asks_again(h1, h2):
    """h2 says to h1 that it could not open what followed on what it has."""
    await h1.mail_check.answer("h2", SendAgain("h2", await h2.inbox.progress.of("h1")))


async def test_who_asks_before_the_sender_knows_that_it_has_sent_gets_it_again(store_url, broker):
    """The broker hands over mail before it confirms it; nobody else asks here."""
    h1, h2 = [await Server(store_url, name, broker, check=ASKS_NOBODY).start() for name in ("h1", "h2")]
    await h1.writer.submit((contact(),))
    await sends(h1, "before")
    await eventually(lambda: ids(h2) == ["before"] and not h1.outbox.receivers.behind)
    broker.forgets, forgotten = {"h2"}, broker.forgotten
    broker.confirms.clear()
    await h1.writer.submit((send("under way"),))
    await eventually(lambda: broker.forgotten > forgotten)
    broker.forgets = set()
    await asks_again(h1, h2)
    broker.confirms.set()
    await eventually(lambda: ids(h2) == ["before", "under way"])
    await h1.stop()
    await h2.stop()


async def test_who_asks_while_it_is_sent_something_again_is_looked_at_soon(store_url, broker):
    """What was sent again is lost, too, and the receiver asks before the sender knows that it has sent it."""
    h1, h2 = [await Server(store_url, name, broker, check=ASKS_NOBODY).start() for name in ("h1", "h2")]
    await h1.writer.submit((contact(),))
    await sends(h1, "before")
    await eventually(lambda: ids(h2) == ["before"] and not h1.outbox.receivers.behind)
    broker.forgets, forgotten = {"h2"}, broker.forgotten
    await sends(h1, "lost")
    broker.confirms.clear()
    await asks_again(h1, h2)
    await eventually(lambda: broker.forgotten == forgotten + 2)
    broker.forgets = set()
    await asks_again(h1, h2)
    broker.confirms.set()
    await eventually(lambda: ids(h2) == ["before", "lost"])
    await h1.stop()
    await h2.stop()


async def test_a_peer_that_knows_what_another_process_wrote_to_our_log_is_not_ahead(h1, store_url):
    """Two Global Servers share one log, and a home's standby takes it over: each knows only its own commits at once."""
    with closing(Store(store_url("h1"), "h1", HOME)) as other:
        (written,) = put(other, "user-9", 0, [adopted(9)])
    assert written.position > h1.outbox.recent.last
    with capture_logs() as logs:
        told = await h1.mail_check.answer("h2", AskEnd("h2", written.position))
        assert (told.end, h1.mail_check.ahead, h1.doubted, logs) == (written.position, set(), [], [])
        told = await h1.mail_check.answer("h2", AskEnd("h2", written.position + 1))
    assert (told.end, h1.mail_check.ahead, h1.doubted) == (written.position, {"h2"}, ["h2"])
    assert [entry["event"] for entry in logs] == ["mail.receiver_is_ahead"]


async def test_the_tail_is_missed_though_nothing_comes_behind_it(h1, h2, broker):
    broker.forgets = {"h2"}
    await sends(h1, *(f"m{n}" for n in range(5)))
    broker.forgets = set()
    await eventually(lambda: ids(h2) == [f"m{n}" for n in range(5)])


async def test_five_of_five_arrive_though_the_brokers_data_was_wiped_with_them_on_the_way(store_url, tmp_path):
    first = EmbeddedBroker(tmp_path / "first.db")
    await first.start()
    await first.declare_inbox("h2")
    h1 = await Server(store_url, "h1", first).start()
    await h1.writer.submit((contact(),))
    await sends(h1, *(f"m{n}" for n in range(5)))
    await h1.stop()
    await first.close()

    second = EmbeddedBroker(tmp_path / "second.db")
    await second.start()
    h1, h2 = await Server(store_url, "h1", second).start(), await Server(store_url, "h2", second).start()
    await eventually(lambda: len(ids(h2)) == 5)
    await sends(h1, "later")
    await eventually(lambda: len(ids(h2)) == 6)
    assert ids(h2) == [*(f"m{n}" for n in range(5)), "later"]
    await h1.stop()
    await h2.stop()
    await second.close()


async def test_a_sender_that_crashed_between_publishing_and_its_row_repeats_and_leaves_no_hole(store_url, broker):
    never = OutboxConfig(save_after_s=3600.0)  # but with a later commit
    h1, h2 = await Server(store_url, "h1", broker, outbox=never).start(), await Server(store_url, "h2", broker).start()
    await h1.writer.submit((contact(),))
    await sends(h1, "a", "b")
    await eventually(lambda: ids(h2) == ["a", "b"])
    published = h1.outbox.receivers.of("h2").addressed
    await h1.dies()
    h1 = Server(store_url, "h1", broker)
    assert h1.store.tracked(mailed("h2")) < published
    assert h1.store.tracked(RELAY) < published
    repeats, holes = h2.inbox.repeats, h2.inbox.holes
    await h1.start()
    await sends(h1, "c")
    await eventually(lambda: ids(h2) == ["a", "b", "c"])
    await eventually(lambda: h2.inbox.repeats > repeats)
    assert h2.inbox.holes == holes
    await eventually(lambda: h1.store.tracked(mailed("h2")) == h1.store.tracked(RELAY) == published + 1)
    await h1.stop()
    await h2.stop()


async def test_a_receiver_that_was_restarted_knows_how_far_it_had_come(h1, store_url, broker):
    h2 = await Server(store_url, "h2", broker).start()
    await sends(h1, "a", "b")
    await eventually(lambda: ids(h2) == ["a", "b"])
    await h2.dies()
    broker.forgets = {"h2"}
    await sends(h1, "c")
    broker.forgets = set()
    h2 = await Server(store_url, "h2", broker).start()
    await eventually(lambda: ids(h2) == ["a", "b", "c"])
    await h2.stop()


async def test_a_home_that_does_not_exist_does_not_stop_the_mail_of_others(h1, h2, broker, store_url):
    await h1.writer.submit((contact(other=7, home="nowhere"),))
    await h1.writer.submit((send("to nobody", to=7),))
    await sends(h1, "to bob")
    await eventually(lambda: ids(h2) == ["to bob"])
    assert h1.outbox.lag == 0
    assert h1.outbox.receivers.behind == {"nowhere"}
    nowhere = await Server(store_url, "nowhere", broker).start()
    await eventually(lambda: ids(nowhere, 7) == ["to nobody"])
    await eventually(lambda: not h1.outbox.receivers.behind)
    await nowhere.stop()


async def test_while_a_receiver_is_behind_its_new_mail_waits_its_turn_and_others_get_theirs_at_once(store_url, tmp_path):
    """h2 lacks 300 popups, which are sent again in portions of 10."""
    broker = FragileBroker(tmp_path / "broker.db")
    await broker.start()
    small = OutboxConfig(max_batch=10, first_retry_s=0.01, longest_retry_s=0.05)
    h1 = await Server(store_url, "h1", broker, outbox=small, check=ASKS_NOBODY).start()
    h2, h3 = await Server(store_url, "h2", broker).start(), await Server(store_url, "h3", broker).start()
    await h1.writer.submit((contact(),))
    await h1.writer.submit((contact(other=3, home="h3"),))
    await eventually(lambda: h2.store.tracked("h1") and h3.store.tracked("h1"))
    broker.forgets, before = {"h2"}, h1.outbox.receivers.again
    await asyncio.gather(*(h1.writer.submit((send(f"m{n}"),)) for n in range(300)))
    await eventually(lambda: h1.outbox.lag == 0)
    broker.forgets = set()
    await eventually(lambda: h2.inbox.empty)
    h1.mail_check.met("h2")
    await eventually(lambda: "h2" in h1.outbox.receivers.behind)
    await h1.writer.submit((send("late"),))
    await h1.writer.submit((send("for h3", to=3),))
    await eventually(lambda: ids(h3, 3) == ["for h3"])
    await eventually(lambda: len(ids(h2)) == 301)
    assert ids(h2) == [*(f"m{n}" for n in range(300)), "late"]
    assert h1.outbox.receivers.again == before + 1
    for server in (h1, h2, h3):
        await server.stop()
    await broker.close()


async def test_five_of_five_arrive_though_rabbitmqs_data_was_wiped_with_them_on_the_way(tmp_path, rabbitmq):
    if not rabbitmq.can_be_controlled:
        pytest.skip("this RabbitMQ's data cannot be wiped by a test")
    amqp = rabbitmq.new_vhost()
    vhost = amqp.rpartition("/")[2]

    async def starts(name):
        broker = RabbitBroker(amqp, name)
        await broker.start()
        await broker.wait_connected(10)
        return await Server(lambda home: f"sqlite:///{tmp_path}/{home}.db", name, broker).start()

    h1, h2 = await starts("h1"), await starts("h2")
    await h1.writer.submit((contact(),))
    await sends(h1, "before")
    await eventually(lambda: ids(h2) == ["before"])
    await h2.stop()
    await h2.broker.close()
    await sends(h1, *(f"m{n}" for n in range(5)))
    await asyncio.to_thread(rabbitmq.ctl, "delete_vhost", vhost)
    await asyncio.to_thread(rabbitmq.ctl, "eval", NEW_VHOST.replace("VHOST", vhost))
    h2 = await starts("h2")
    await eventually(lambda: len(ids(h2)) == 6, 30)
    assert ids(h2) == ["before", *(f"m{n}" for n in range(5))]
    for server in (h1, h2):
        await server.stop()
        await server.broker.close()
