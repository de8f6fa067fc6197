"""What is asked for while a link to RabbitMQ is being made, or lost: it is put up, or refused, and nobody waits for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from broker.port import Delivery, Outgoing
from broker.rabbitmq.broker import RabbitBroker
from broker.rabbitmq.channel import LeanChannel
from broker.rabbitmq.link import Link
from broker.rabbitmq.stream import StreamReader
from broker.topology import EVENTS, HISTORY, HOMES
from domain.errors import Unavailable
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

DEADLINE_S = 10


@pytest.fixture
async def brokers(rabbitmq: AnyRabbit) -> AsyncIterator[list[RabbitBroker]]:
    """Two of one installation, not started."""
    vhost = rabbitmq.new_vhost()
    brokers = [RabbitBroker(vhost, name) for name in ("global", "h1")]
    yield brokers
    for broker in brokers:
        await broker.close()


async def test_who_begins_to_serve_while_the_link_is_made_is_asked(brokers: list[RabbitBroker], monkeypatch: pytest.MonkeyPatch) -> None:
    server, asker = brokers
    attaching, go_on = asyncio.Event(), asyncio.Event()
    listen = LeanChannel.listen

    async def slowly(channel: LeanChannel, queue: str, handler: Callable[[Any], None], **options: Any) -> None:
        if queue == "flash.home.global":
            attaching.set()
            await go_on.wait()
        await listen(channel, queue, handler, **options)

    async def echo(body: bytes) -> bytes:
        return body

    monkeypatch.setattr(LeanChannel, "listen", slowly)
    await server.consume("global", lambda delivery: None)
    await server.start()
    await asyncio.wait_for(attaching.wait(), DEADLINE_S)
    await server.serve("global", echo)
    await server.declare_inbox("h1")
    go_on.set()
    await server.wait_connected(DEADLINE_S)
    await asker.start()
    await asker.wait_connected(DEADLINE_S)
    assert await asker.request("global", b"are you there?", DEADLINE_S) == b"are you there?"
    assert "flash.home.h1" in await server.depths()


async def test_a_publish_that_waited_for_a_reader_hears_that_the_link_was_lost(
    brokers: list[RabbitBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, _ = brokers
    await broker.start()
    await broker.wait_connected(DEADLINE_S)
    lost: list[Link] = []

    async def cut_off(reader: StreamReader, link: Link) -> None:
        lost.append(link)
        link.lose("cut off")

    monkeypatch.setattr(StreamReader, "attach", cut_off)
    items = broker.read_stream(HISTORY)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(broker.publish([Outgoing(EVENTS, "global.1", b"x")]), DEADLINE_S)
    with pytest.raises(Unavailable, match="lost"):
        await asyncio.wait_for(lost[0].publisher.publish([Outgoing(EVENTS, "global.1", b"x")]), DEADLINE_S)
    monkeypatch.undo()
    del items


async def test_a_delivery_says_when_it_can_no_longer_be_acked(brokers: list[RabbitBroker]) -> None:
    broker, _ = brokers
    deliveries: list[Delivery] = []
    await broker.consume("global", deliveries.append)
    await broker.start()
    await broker.wait_connected(DEADLINE_S)
    await broker.publish([Outgoing(HOMES, "global", b"x")])
    await eventually(lambda: deliveries, DEADLINE_S)
    assert not deliveries[0].gone
    assert broker._link is not None
    broker._link.lose("cut off")
    assert deliveries[0].gone
    await eventually(lambda: len(deliveries) == 2, DEADLINE_S)
    assert (deliveries[1].body, deliveries[1].gone) == (b"x", False)
