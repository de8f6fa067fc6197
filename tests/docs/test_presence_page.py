"""The presence page's commands grant what the page says, on a real RabbitMQ, and nothing else. Rule: the page's own lines are run."""

import asyncio
import re
import shlex
from contextlib import aclosing, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError
from aiormq.exceptions import ChannelAccessRefused
from yarl import URL

from broker import topology
from broker.port import Outgoing
from broker.rabbitmq.broker import RabbitBroker
from flash_sdk.amqp import presence
from tests.clients.sdk.test_amqp import cloud_event
from tests.docs import tree
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

COMMANDS = re.compile(r"^```sh amqp\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Place(NamedTuple):
    """A vhost with Flash's exchanges and queues, and who may use it."""

    flash: RabbitBroker
    door: str
    crm: str


@pytest.fixture(scope="module")
def granted(rabbitmq: AnyRabbit) -> str:
    """A vhost for which the page's commands were given; its URL."""
    if not rabbitmq.can_be_controlled:
        pytest.skip("the broker of FLASH_TEST_AMQP_URL is not ours to add users to")
    url = rabbitmq.new_vhost()
    vhost = unquote(URL(url).raw_path[1:])
    lines = "".join(COMMANDS.findall(tree.text(Path("docs/presence.md")))).splitlines()
    assert len(lines) == 6
    for line in lines:
        program, *arguments = shlex.split(line.replace(" -p / ", f" -p {vhost} "))
        assert program == "rabbitmqctl"
        rabbitmq.ctl(*arguments)
    return url


@pytest.fixture
async def place(granted: str):
    flash = RabbitBroker(granted, "test")
    await flash.start()
    await flash.wait_connected(20)
    await flash.declare_inbox("h1")
    yield Place(flash, *(str(URL(granted).with_user(name).with_password(f"{name}-password")) for name in ("door", "crm")))
    await flash.close()


async def tells(place: Place, uid: int, number: int) -> None:
    body = cloud_event(number, "online", uid)
    await place.flash.publish([Outgoing(topology.PRESENCE, f"presence.h1.{uid}.online", body, "application/cloudevents+json")])


async def test_an_integrator_binds_its_users_and_hears_of_them_only(place: Place):
    changes = presence(place.door, key="presence.*.42.*")
    heard = asyncio.ensure_future(anext(changes))
    number = 0

    async def told() -> bool:
        nonlocal number
        number += 1
        for uid in (44, 42):
            await tells(place, uid, number)
        return heard.done()

    await eventually(told, 20)
    assert (await heard).uid == 42
    await changes.aclose()


async def refused(url: str, ask) -> bool:
    """Whether RabbitMQ refuses this use of a fresh channel."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        try:
            await ask(channel)
        except ChannelAccessRefused:
            return True
        finally:
            with suppress(AMQPError, RuntimeError):
                await channel.close()
    return False


def bind(key: str):
    async def ask(channel: AbstractChannel) -> None:
        queue = await channel.declare_queue("door.presence", durable=True)
        await queue.bind("flash.presence", key)

    return ask


def bind_exchange(key: str):
    async def ask(channel: AbstractChannel) -> None:
        own = await channel.declare_exchange("door.copy", aio_pika.ExchangeType.TOPIC)
        await own.bind("flash.presence", key)

    return ask


def consume(queue: str):
    async def ask(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).consume(_pass_over)

    return ask


async def _pass_over(message: AbstractIncomingMessage) -> None:
    """Nobody looks."""


def publish(exchange: str, key: str):
    async def ask(channel: AbstractChannel) -> None:
        target = channel.default_exchange if not exchange else await channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(b"junk"), key, mandatory=False)

    return ask


def declare(queue: str):
    async def ask(channel: AbstractChannel) -> None:
        await channel.declare_queue(queue, durable=True)

    return ask


async def test_what_was_granted_is_allowed(place: Place):
    for key in ("presence.*.42.*", "presence.h1.43.offline", "presence.*.43.away"):
        assert not await refused(place.door, bind(key)), key
    assert not await refused(place.crm, consume(topology.PRESENCE_LOG))


@pytest.mark.parametrize(
    "key", ["#", "presence.#", "presence.*.44.*", "presence.*.*.*", "presence.*.42.#", "presence.*.#.42.*", "presence.*.421.*"]
)
async def test_no_other_key_can_be_bound(place: Place, key: str):
    assert await refused(place.door, bind(key))
    assert await refused(place.door, bind_exchange(key))


async def test_nothing_else_can_be_read_or_written(place: Place):
    for queue in (topology.PRESENCE_LOG, topology.HISTORY, topology.DEAD, "flash.home.h1"):
        assert await refused(place.door, consume(queue)), queue
    for queue in (topology.HISTORY, topology.DEAD, "flash.home.h1"):
        assert await refused(place.crm, consume(queue)), queue
    for url in (place.door, place.crm):
        for exchange in (topology.PRESENCE, topology.HOMES, topology.EVENTS, topology.REQUESTS, topology.DEAD, topology.HEARTBEATS, ""):
            assert await refused(url, publish(exchange, "presence.h1.42.online")), exchange
        assert await refused(url, declare("flash.home.h9"))


async def test_who_may_see_everybody_reads_the_log(place: Place):
    await tells(place, 44, 1_000)
    async with asyncio.timeout(20), aclosing(presence(place.crm, start="first")) as changes:
        async for change in changes:
            if change.id == "h1/user-44/1000":
                break
