"""What `deploy/rabbitmq/permissions.sh` allows on a real RabbitMQ. Rule: all that a server needs, and nothing in another's name."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aiormq
import pytest
import structlog
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed
from pamqp.commands import Basic

from broker.port import Delivery, Outgoing
from broker.rabbitmq.broker import RabbitBroker, RabbitConfig
from broker.topology import (
    ANSWERS,
    DEAD,
    EVENTS,
    HEARTBEAT_LOG,
    HEARTBEATS,
    HISTORY,
    HOMES,
    PRESENCE,
    PRESENCE_LOG,
    REQUESTS,
    server_bindings,
    server_queues,
)
from domain.errors import Unavailable
from tests.broker.storages import Recorder
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.rabbitmq_users import allow, granted_by, printed, user_url
from tests.support.waiting import eventually

SERVERS = ("global", "h1", "h2")


@pytest.fixture(scope="module")
def vhost(rabbitmq: AnyRabbit) -> str:
    """The URL of a vhost with the topology, a user for each server, and an integrator's queue."""
    if not rabbitmq.can_be_controlled:
        pytest.skip("users can only be made on a RabbitMQ of our own")
    url = rabbitmq.new_vhost()
    asyncio.run(_make_topology(url))
    allow(rabbitmq, url, *SERVERS)
    return url


@pytest.fixture
def url_of(vhost: str) -> Callable[[str], str]:
    """The URL of each server."""
    return lambda server: user_url(vhost, server)


async def _make_topology(url: str) -> None:
    broker = RabbitBroker(url, "test")
    await broker.start()
    await broker.wait_connected(20)
    await broker.close()
    async with aiormq.connect(url) as connection:
        channel = await connection.channel()
        await channel.queue_declare(CRM, durable=True)
        await channel.queue_bind(CRM, PRESENCE, "presence.h1.#")


@asynccontextmanager
async def running(url: str, server: str) -> AsyncIterator[RabbitBroker]:
    broker = RabbitBroker(url, server)
    await broker.start()
    try:
        await broker.wait_connected(20)
        await broker.declare_inbox(server)
        yield broker
    finally:
        await broker.close()


CRM = "crm.presence"  # an integrator's


async def test_each_server_can_do_what_it_needs(url_of: Callable[[str], str]) -> None:
    """Mail for another home, history, presence, dead letters, requests and heartbeats, each as its own user."""
    got: list[bytes] = []
    heartbeats: list[tuple[bytes, str | None]] = []

    def take(delivery: Delivery) -> None:
        got.append(delivery.body)
        if delivery.body == b"junk":
            delivery.dead("not ours")
        else:
            delivery.ack()

    async def echo(body: bytes, asker: str = "") -> bytes:
        return body

    async def refuse(body: bytes, asker: str = "") -> bytes:
        raise AssertionError("this was asked of somebody else")

    async with running(url_of("global"), "global") as directory, running(url_of("h1"), "h1") as h1, running(url_of("h2"), "h2") as h2:
        await h2.consume("h2", take)
        await h1.declare_inbox("global")  # as a home does, whose seals go there
        await directory.serve("global", echo)
        await h1.serve("home.h1", refuse)
        await h2.serve("home.h2", echo)
        await directory.listen_heartbeats(lambda body, publisher: heartbeats.append((body, publisher)))
        await h2.listen_heartbeats(lambda body, publisher: heartbeats.append((body, publisher)))
        await h1.publish(
            [
                Outgoing(HOMES, "h2", b"mail", mandatory=True),
                Outgoing(HOMES, "global", b"a seal", mandatory=True),
                Outgoing(EVENTS, "h1.1", b"history", mandatory=True),
                Outgoing(PRESENCE, "presence.h1.42.online", b"presence", mandatory=True),
                Outgoing(HOMES, "h2", b"junk", mandatory=True),
            ]
        )
        assert await h1.request("global", b"who owns 42?", 5) == b"who owns 42?"
        assert await h1.request("home.h2", b"is bob there?", 5) == b"is bob there?"
        assert await directory.request("home.h2", b"how are you?", 5) == b"how are you?"
        await h1.send_heartbeat(b"alive")
        await eventually(lambda: got == [b"mail", b"junk"] and heartbeats == [(b"alive", "h1")] * 2)
        assert [item.body async for item in directory.read_stream(HISTORY, follow=False)] == [b"history"]
        assert [item.body async for item in h2.read_stream(HISTORY, follow=False)] == [b"history"]
        assert [item.body async for item in directory.read_stream(PRESENCE_LOG, follow=False)] == [b"presence"]
        await eventually(lambda: _depth(directory))
        assert [letter.queue for letter in await directory.dead_letters()] == ["flash.home.h2"]
        await h1.publish([Outgoing(DEAD, "", b"a forged dead letter", mandatory=True)])
        assert await directory.requeue_dead() == 1, "what came from no inbox stays"
        await eventually(lambda: got == [b"mail", b"junk", b"junk"])
        assert "flash.home.h2" in await h2.depths()  # what a home says of itself when it is asked


async def _depth(directory: RabbitBroker) -> bool:
    return (await directory.depths())[DEAD] == 1


def test_a_definitions_file_grants_what_the_commands_grant() -> None:
    """`-j`, as deploy/secrets.sh uses it: the same patterns, in other words."""

    for server in ("global", "h1", "north_1"):
        commands, queues = granted_by(server, "/flash")
        granted = [tuple(each for each in command if each != "-p") for command in commands]
        told = json.loads(f"{{{printed('-j', server, '/flash')}}}")
        assert {field: told[field] for field in ("queues", "bindings")} == queues
        assert [(each["name"], each["arguments"]) for each in queues["queues"]] == [
            (queue.name, dict(queue.arguments)) for queue in server_queues(server)
        ]
        assert [(each["source"], each["destination"], each["routing_key"]) for each in queues["bindings"]] == [
            (binding.exchange, binding.queue, binding.key) for binding in server_bindings(server)
        ]
        (plain,), topics = told["permissions"], told["topic_permissions"]
        again = [("set_permissions", plain["vhost"], plain["user"], plain["configure"], plain["write"], plain["read"])]
        again += [("set_topic_permissions", each["vhost"], each["user"], each["exchange"], each["write"], each["read"]) for each in topics]
        assert again == granted


Attack = Callable[[AbstractChannel], Awaitable[object]]


async def _bind_mail_to_a_queue_of_its_own(channel: AbstractChannel) -> None:
    queue = (await channel.queue_declare(exclusive=True)).queue or ""
    await channel.queue_bind(queue, HOMES, "h1")


async def _let_rabbitmq_publish_what_died(channel: AbstractChannel) -> None:
    dies = {"x-message-ttl": 0, "x-dead-letter-exchange": PRESENCE, "x-dead-letter-routing-key": "presence.h1.7.online"}
    await channel.queue_declare(exclusive=True, arguments=dies)


ATTACKS: dict[str, Attack] = {
    "read another's mail by a queue of its own": _bind_mail_to_a_queue_of_its_own,
    "read another's mail by its own inbox": lambda c: c.queue_bind("flash.home.h2", HOMES, "h1"),
    "read another's questions by its own inbox": lambda c: c.queue_bind("flash.home.h2", REQUESTS, "home.h1"),
    "read another's answers by its own inbox": lambda c: c.queue_bind("flash.home.h2", ANSWERS, "h1"),
    "consume another's mail": lambda c: c.basic_consume("flash.home.h1", lambda message: None),
    "consume another's calls": lambda c: c.basic_consume("flash.calls.h1", lambda message: None, arguments={"x-stream-offset": 0}),
    "consume the presence log": lambda c: c.basic_consume(PRESENCE_LOG, lambda message: None, arguments={"x-stream-offset": 0}),
    "get dead letters": lambda c: c.basic_get(DEAD),
    "history in another's name": lambda c: c.basic_publish(b"x", exchange=EVENTS, routing_key="h1.1"),
    "presence in another's name": lambda c: c.basic_publish(b"x", exchange=PRESENCE, routing_key="presence.h1.7.online"),
    "history by the default exchange": lambda c: c.basic_publish(b"x", routing_key=HISTORY),
    "presence by the default exchange": lambda c: c.basic_publish(b"x", routing_key=PRESENCE_LOG),
    "mail by the default exchange": lambda c: c.basic_publish(b"x", routing_key="flash.home.h1"),
    "an integrator's queue by the default exchange": lambda c: c.basic_publish(b"x", routing_key=CRM),
    "presence by a dead letter": _let_rabbitmq_publish_what_died,
    "presence by an exchange bound to another": lambda c: c.exchange_bind(destination=PRESENCE, source=HEARTBEATS),
    "history by an exchange bound to another": lambda c: c.exchange_bind(destination=EVENTS, source=HEARTBEATS),
    "mail as another user": lambda c: c.basic_publish(b"x", exchange=HOMES, routing_key="h1", properties=AS_H1),
    "a heartbeat as another user": lambda c: c.basic_publish(b"x", exchange=HEARTBEATS, properties=AS_H1),
    "purge": lambda c: c.queue_purge("flash.home.h1"),
    "delete another's queue": lambda c: c.queue_delete("flash.home.h1"),
    "delete its own queue": lambda c: c.queue_delete("flash.home.h2"),
    "delete the exchange of mail": lambda c: c.exchange_delete(HOMES),
    "delete the exchange of heartbeats": lambda c: c.exchange_delete(HEARTBEATS),
    "delete the history": lambda c: c.queue_delete(HISTORY),
    "delete the log of heartbeats": lambda c: c.queue_delete(HEARTBEAT_LOG),
    "make an exchange": lambda c: c.exchange_declare("mine"),
    "make another home's queue": lambda c: c.queue_declare("flash.home.h3", durable=True),
}
AS_H1 = Basic.Properties(user_id="h1")


@pytest.mark.parametrize("attack", [pytest.param(attack, id=name) for name, attack in ATTACKS.items()])
async def test_a_home_can_do_nothing_else(attack: Attack, url_of: Callable[[str], str]) -> None:
    """The attacker has the user of h2."""
    connection = await aiormq.connect(f"{url_of('h2')}?name=intruder")
    try:
        channel = await connection.channel(publisher_confirms=True)
        await channel.basic_qos(prefetch_count=1)
        with pytest.raises((ChannelAccessRefused, ChannelPreconditionFailed)):
            await asyncio.wait_for(attack(channel), 10)
    finally:
        await connection.close()


@pytest.mark.parametrize("header", ["CC", "BCC"])
async def test_what_comes_by_a_copy_shows_the_key_of_its_publisher(header: str, vhost: str, url_of: Callable[[str], str]) -> None:
    """RabbitMQ looks at no right on the keys in these headers, so integrators look at the key: docs/presence.md."""
    copies = Basic.Properties(headers={header: ["presence.h1.7.online"]}, user_id="h2")
    async with aiormq.connect(url_of("h2")) as intruder, aiormq.connect(vhost) as administrator:
        channel, mine = await intruder.channel(publisher_confirms=True), await administrator.channel()
        await mine.queue_purge(CRM)
        with suppress(ChannelAccessRefused):  # a RabbitMQ that refuses it
            await channel.basic_publish(b"forged", exchange=PRESENCE, routing_key="presence.h2.1.online", properties=copies)
        found = await mine.basic_get(CRM, no_ack=True)
    if found.body:
        assert (found.routing_key, found.header.properties.user_id) == ("presence.h2.1.online", "h2")


async def test_the_global_server_makes_again_what_a_home_may_not_make(rabbitmq: AnyRabbit) -> None:
    """RabbitMQ came back with its users, and without anything else."""
    if not rabbitmq.can_be_controlled:
        pytest.skip("users can only be made on a RabbitMQ of our own")
    url = rabbitmq.new_vhost()
    allow(rabbitmq, url, "global", "h1", queues=False)
    home, directory = RabbitBroker(user_url(url, "h1"), "h1"), RabbitBroker(user_url(url, "global"), "global", RabbitConfig(tend_s=0.2))
    got = Recorder()
    await home.consume("h1", got)
    with structlog.testing.capture_logs() as logs:
        await home.start()
        await eventually(lambda: [line for line in logs if "are not there yet" in str(line.get("error"))])
    assert not home.connected
    await directory.declare_inbox("global")
    await directory.declare_inbox("h1")
    await directory.start()
    await home.wait_connected(20)
    await home.publish([Outgoing(HOMES, "h1", b"mail", mandatory=True)])
    await got.receives(b"mail")

    with structlog.testing.capture_logs() as logs:
        async with aiormq.connect(url) as administrator:  # who deletes what is in use
            channel = await administrator.channel()
            for queue in ("flash.home.h1", HISTORY, HEARTBEAT_LOG):
                await channel.queue_delete(queue)
        await eventually(lambda: [line for line in logs if (line["event"], line.get("broker")) == ("broker.lost", "h1")], 20)
    await home.wait_connected(20)  # it consumes again, and the queues of homes are made again after the history
    await eventually(lambda: _takes(home, Outgoing(EVENTS, "h1.1", b"history", mandatory=True)), 20)
    await home.publish([Outgoing(HOMES, "h1", b"more mail", mandatory=True)])
    await got.receives(b"mail", b"more mail")
    await home.close()
    await directory.close()


async def _takes(broker: RabbitBroker, message: Outgoing) -> bool:
    try:
        await broker.publish([message])
    except Unavailable:
        return False
    return True
