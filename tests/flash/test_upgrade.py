"""A running installation of commit 79ccbf3 on RabbitMQ is upgraded as `docs/operations.md` says: stop the old servers, start the new ones.

`data_of_79ccbf3/make_on_rabbitmq.py` made what the old servers left: Ann lives at h1 and Bob at h2. One popup waits in Bob's mailbox, and
three wait for h2 in RabbitMQ, in the mail of before.
"""

import asyncio
import tarfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import aio_pika
import msgpack
import pytest

from broker import topology
from flash_sdk import FlashClient, Message
from tests.faults.installation import Installation
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

ARCHIVE = Path(__file__).with_name("data_of_79ccbf3") / "on_rabbitmq.tar.gz"
PASSWORD = "correct horse battery"
WAITING = ["seen before", "waiting 1", "waiting 2", "waiting 3"]


async def publish(url: str, queue: str, bodies: list[bytes], *, stream: bool) -> None:
    """Put messages into a queue of the old installation, which is made where it is not there."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        arguments = {"x-queue-type": "stream"} if stream else topology.inbox(queue.removeprefix(topology.INBOX_PREFIX)).arguments
        await channel.declare_queue(queue, durable=True, arguments=dict(arguments))
        for body in bodies:
            await channel.default_exchange.publish(aio_pika.Message(body, content_type="application/msgpack"), queue)


@pytest.fixture
async def installation(tmp_path: Path, rabbitmq: AnyRabbit) -> AsyncIterator[Installation]:
    """The old data and the old messages, and no server that runs."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11 has it in its later releases
        archive.extractall(tmp_path / "data")  # noqa: S202 - our own archive
    left = msgpack.unpackb((tmp_path / "data" / "broker.msgpack").read_bytes())
    found = Installation(tmp_path, await asyncio.to_thread(rabbitmq.new_vhost))
    for queue, bodies in left.items():
        if queue != topology.DEAD:
            await publish(found.amqp_url, queue, bodies, stream=queue in topology.STREAM_NAMES)
    yield found
    await asyncio.to_thread(found.kill)


async def announced(installation: Installation, ann: FlashClient, bob: FlashClient) -> bool:
    """Whether the Global Server knows where the homes are now: they have other ports than before."""
    homes = [(await client.login(handle, PASSWORD)).home for client, handle in ((ann, "ann"), (bob, "bob"))]
    return [home.url for home in homes] == [installation.homes[name].url for name in ("h1", "h2")]


async def read(client: FlashClient, texts: list[str]) -> None:
    async with aclosing(client.listen()) as events:
        async for event in events:
            if isinstance(event, Message):
                texts.append(event.text)  # noqa: PERF401 - the test looks at what is there so far


async def test_what_waited_arrives_once_and_the_old_mail_ends(installation: Installation) -> None:
    old = msgpack.unpackb((installation.data / "broker.msgpack").read_bytes())["flash.home.h2"]
    await asyncio.to_thread(installation.start)
    h2 = installation.homes["h2"]
    async with FlashClient(installation.global_server.url) as ann, FlashClient(installation.global_server.url) as bob:
        await eventually(lambda: announced(installation, ann, bob), 60)
        texts: list[str] = []
        reading = asyncio.create_task(read(bob, texts))
        await eventually(lambda: len(texts) >= len(WAITING), 30)
        await eventually(lambda: "inbox.old_mail_ended" in h2.log_tail(100_000), 60)
        await publish(installation.amqp_url, "flash.home.h2", old, stream=False)  # an attacker kept the old mail
        await eventually(lambda: h2.metric("flash_inbox_dead") == len(old), 30)
        await ann.send(bob.grant.uid, "after the upgrade")
        await eventually(lambda: "after the upgrade" in texts, 30)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert texts == [*WAITING, "after the upgrade"], "each popup once, in order"
