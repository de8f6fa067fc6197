"""What we use of aiormq although its documentation does not promise it. Rule: an upgrade of aiormq that changes it fails here.

`pyproject.toml` pins aio-pika and aiormq below their next minor version for the same reason.
"""

import ast
import asyncio
import dataclasses
from collections import OrderedDict
from pathlib import Path

import aio_pika
import pytest
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel

from broker.port import Outgoing
from broker.rabbitmq.connection import new_connection
from broker.rabbitmq.publisher import Publisher
from broker.rabbitmq.writer import Writer
from domain.errors import Unavailable
from tests.support.rabbitmq_choice import AnyRabbit

BROKER = Path(__file__).parents[3] / "broker"
INSIDE = {"channel", "connection", "base", "tools"}  # modules of aiormq that hold no interface


async def test_the_attributes_of_a_channel_and_of_a_connection(rabbitmq: AnyRabbit) -> None:
    connection = new_connection(rabbitmq.new_vhost())
    await connection.connect()
    channel = await (await connection.channel(on_return_raises=True)).get_underlay_channel()
    assert isinstance(channel, Channel)
    assert (type(channel.confirmations), channel.confirmations) == (OrderedDict, {})
    assert (type(channel.message_id_delivery_tag), channel.message_id_delivery_tag) == (dict, {})
    assert (channel.delivery_tag, channel.number) == (0, 1)
    assert 4_096 <= channel.max_content_size < 2**31
    assert connection.transport is not None
    assert isinstance(connection.transport.connection.write_queue, asyncio.Queue)
    assert [each.name for each in dataclasses.fields(ChannelFrame)] == ["payload", "should_close", "drain_future"]
    await connection.close()


async def test_aiormq_settles_the_futures_in_its_table_of_confirmations(rabbitmq: AnyRabbit) -> None:
    """Confirmed, refused and returned messages, many at once and one by one; a caller that is gone disturbs nobody."""
    connection = new_connection(rabbitmq.new_vhost())
    await connection.connect()
    channel = await connection.channel(on_return_raises=True)
    publisher = await Publisher.on(channel, Writer(connection), "guest")
    await channel.declare_queue("takes", arguments={"x-max-length": 1})
    await channel.declare_queue("refuses", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    await publisher.publish([Outgoing("", "takes", b"x", mandatory=True) for _ in range(500)])
    await asyncio.gather(*(publisher.publish([Outgoing("", "takes", b"x")]) for _ in range(500)))
    with pytest.raises(Unavailable, match="refused a message"):
        await publisher.publish([Outgoing("", "takes", b"x"), Outgoing("", "refuses", b"x"), Outgoing("", "takes", b"x")])
    with pytest.raises(Unavailable, match="no queue takes nobody"):
        await publisher.publish([Outgoing("", "nobody", b"x", mandatory=True), Outgoing("", "takes", b"x")])
    gone = asyncio.ensure_future(publisher.publish([Outgoing("", "nobody", b"x", mandatory=True)]))
    await asyncio.sleep(0)
    gone.cancel()
    await publisher.publish([Outgoing("", "takes", b"large" * 100_000)])
    await publisher.confirmed()
    assert publisher.oldest == 0
    assert not channel.is_closed
    await connection.close()


async def test_a_connection_without_an_alarm_is_ready_at_once(rabbitmq: AnyRabbit) -> None:
    """`is_blocked` would take a transport that is slow to be ready for a blocked one. `test_alarms.py` has the other case."""
    connection = new_connection(rabbitmq.new_vhost())
    await connection.connect()
    assert isinstance(connection, aio_pika.Connection)
    assert connection.transport is not None
    ready = connection.transport.ready()
    with pytest.raises(StopIteration):
        ready.__await__().send(None)
    await connection.close()


def test_only_the_publisher_imports_the_inside_of_aiormq() -> None:
    importers = {
        f"{path.relative_to(BROKER)} imports {node.module}"
        for path in BROKER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "aiormq"
        if node.module.partition(".")[2] in INSIDE
    }
    assert importers == {"rabbitmq/publisher.py imports aiormq.channel"}
