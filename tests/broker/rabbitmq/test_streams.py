"""Streams on a busy RabbitMQ: what it delivers late is not taken to be missing."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from broker.port import Outgoing
from broker.rabbitmq.broker import RabbitBroker
from broker.rabbitmq.channel import LeanChannel
from broker.topology import EVENTS, HISTORY
from tests.support.rabbitmq_choice import AnyRabbit

LATE_S = 0.2  # a hundred calls on the same channel


async def test_a_stream_that_speaks_late_is_not_empty(rabbitmq: AnyRabbit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor's owner would hear of a gap, and a home that is restored would lose its history."""
    broker = RabbitBroker(rabbitmq.new_vhost(), "test")
    await broker.start()
    await broker.wait_connected(10)
    await broker.publish([Outgoing(EVENTS, "h1.1", body) for body in (b"a", b"b", b"c")])
    at_once = LeanChannel.listen

    async def late(channel: LeanChannel, queue: str, handler: Callable[[Any], None], **options: Any) -> None:
        loop = asyncio.get_running_loop()
        await at_once(channel, queue, lambda message: loop.call_later(LATE_S, handler, message) and None, **options)

    monkeypatch.setattr(LeanChannel, "listen", late)
    assert [item.body async for item in broker.read_stream(HISTORY, follow=False)] == [b"a", b"b", b"c"]
    await broker.close()
