"""What `deploy/rabbitmq/permissions.sh` allows on a real RabbitMQ. Rule: all that a server needs, and nothing in another's name."""

import asyncio
import json
import shlex
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiormq
import pytest
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused
from yarl import URL

from broker.port import Delivery, Outgoing
from broker.rabbitmq.broker import RabbitBroker
from broker.topology import DEAD, EVENTS, HISTORY, HOMES, PRESENCE, PRESENCE_LOG
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

SCRIPT = Path(__file__).parents[3] / "deploy/rabbitmq/permissions.sh"
SERVERS = ("global", "h1", "h2")


def allow(rabbit: AnyRabbit, server: str, vhost: str) -> None:
    """A user for the server, with what the script's lines grant."""
    rabbit.ctl("add_user", server, f"{server}-password")
    lines = subprocess.run([str(SCRIPT), server, vhost], capture_output=True, text=True, check=True).stdout
    for line in lines.splitlines():
        command, *arguments = shlex.split(line)
        assert command == "rabbitmqctl"
        rabbit.ctl(*arguments)


@pytest.fixture(scope="module")
def url_of(rabbitmq: AnyRabbit) -> Callable[[str], str]:
    """The URL of each server, on one vhost."""
    if not rabbitmq.can_be_controlled:
        pytest.skip("users can only be made on a RabbitMQ of our own")
    url = URL(rabbitmq.new_vhost())
    for server in SERVERS:
        allow(rabbitmq, server, url.path.removeprefix("/"))
    return lambda server: str(url.with_user(server).with_password(f"{server}-password"))


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


async def test_each_server_can_do_what_it_needs(url_of: Callable[[str], str]) -> None:
    """Mail for another home, history, presence, dead letters, requests and heartbeats, each as its own user."""
    got: list[bytes] = []
    heartbeats: list[bytes] = []

    def take(delivery: Delivery) -> None:
        got.append(delivery.body)
        if delivery.body == b"junk":
            delivery.dead("not ours")
        else:
            delivery.ack()

    async def echo(body: bytes) -> bytes:
        return body

    async with running(url_of("global"), "global") as directory, running(url_of("h1"), "h1") as h1, running(url_of("h2"), "h2") as h2:
        await h2.consume("h2", take)
        await h1.declare_inbox("global")  # as a home does, whose seals go there
        await directory.serve("global", echo)
        await directory.listen_heartbeats(lambda body, publisher: heartbeats.append(body))
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
        await h1.send_heartbeat(b"alive")
        await eventually(lambda: got == [b"mail", b"junk"] and b"alive" in heartbeats)
        assert [item.body async for item in directory.read_stream(HISTORY, follow=False)] == [b"history"]
        assert [item.body async for item in directory.read_stream(PRESENCE_LOG, follow=False)] == [b"presence"]
        await eventually(lambda: _depth(directory))
        assert [letter.queue for letter in await directory.dead_letters()] == ["flash.home.h2"]
        assert await directory.requeue_dead() == 1
        await eventually(lambda: got == [b"mail", b"junk", b"junk"])
        assert "flash.home.h2" in await h2.depths()  # what a home says of itself when it is asked


async def _depth(directory: RabbitBroker) -> bool:
    return (await directory.depths())[DEAD] == 1


def test_a_definitions_file_grants_what_the_commands_grant() -> None:
    """`-j`, as deploy/secrets.sh uses it: the same patterns, in other words."""

    def printed(*arguments: str) -> str:
        return subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, check=True).stdout

    for server in ("global", "h1", "north.1"):
        granted = []
        for line in printed(server, "/flash").splitlines():
            what, vhost, *patterns = [each for each in shlex.split(line)[1:] if each != "-p"]
            granted.append((what, vhost, *patterns))
        told = json.loads(f"{{{printed('-j', server, '/flash')}}}")
        (plain,), topics = told["permissions"], told["topic_permissions"]
        again = [("set_permissions", plain["vhost"], plain["user"], plain["configure"], plain["write"], plain["read"])]
        again += [("set_topic_permissions", each["vhost"], each["user"], each["exchange"], each["write"], each["read"]) for each in topics]
        assert again == granted


Forbidden = Callable[[AbstractChannel], Any]


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(lambda c: c.basic_publish(b"x", exchange=EVENTS, routing_key="h2.1"), id="history in another's name"),
        pytest.param(
            lambda c: c.basic_publish(b"x", exchange=PRESENCE, routing_key="presence.h2.7.online"), id="presence in another's name"
        ),
        pytest.param(lambda c: c.basic_consume("flash.home.h2", lambda message: None), id="another's mail"),
        pytest.param(lambda c: c.basic_get(DEAD), id="dead letters"),
        pytest.param(lambda c: c.basic_consume(HISTORY, lambda message: None, arguments={"x-stream-offset": 0}), id="the history"),
        pytest.param(lambda c: c.queue_purge("flash.home.h2"), id="purge"),
        pytest.param(lambda c: c.queue_delete("flash.home.h2"), id="delete a queue"),
        pytest.param(lambda c: c.exchange_delete(HOMES), id="delete an exchange"),
        pytest.param(lambda c: c.exchange_declare("mine"), id="make an exchange"),
        pytest.param(lambda c: c.queue_declare("flash.home.h3", durable=True), id="make another home's queue"),
    ],
)
async def test_a_home_can_do_nothing_else(attempt: Forbidden, url_of: Callable[[str], str]) -> None:
    async with running(url_of("global"), "global") as directory:
        await directory.declare_inbox("h2")
    connection = await aiormq.connect(f"{url_of('h1')}?name=intruder")
    try:
        channel = await connection.channel(publisher_confirms=True)
        await channel.basic_qos(prefetch_count=1)
        with pytest.raises(ChannelAccessRefused):
            await asyncio.wait_for(attempt(channel), 10)
    finally:
        await connection.close()
