"""What is asked for while a link to RabbitMQ is being made, or lost: it is put up, or refused, and nobody waits for ever."""

import asyncio

import pytest
from aio_pika.abc import AbstractChannel

from broker.port import Delivery, Outgoing
from broker.rabbitmq.broker import RabbitBroker
from broker.rabbitmq.link import Link
from broker.topology import EVENTS, HISTORY, HOMES
from domain.errors import Unavailable
from tests.broker.storages import echo
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

DEADLINE_S = 10


async def test_who_begins_to_serve_while_the_link_is_made_is_asked(rabbitmq: AnyRabbit) -> None:
    attaching, go_on = asyncio.Event(), asyncio.Event()

    class SlowLink(Link):
        """Its consumers wait for the test."""

        async def channel(self, *, confirms: bool = False, prefetch: int = 0) -> AbstractChannel:
            if prefetch:
                attaching.set()
                await go_on.wait()
            return await super().channel(confirms=confirms, prefetch=prefetch)

    vhost = rabbitmq.new_vhost()
    server, asker = RabbitBroker(vhost, "global", open_link=SlowLink.open), RabbitBroker(vhost, "h1")
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
    await asker.close()
    await server.close()


async def test_a_publish_that_waited_for_a_reader_hears_that_the_link_was_lost(rabbitmq: AnyRabbit) -> None:
    lost: list[Link] = []

    class CutLink(Link):
        """It is cut off as soon as somebody wants to read."""

        async def channel(self, *, confirms: bool = False, prefetch: int = 0) -> AbstractChannel:
            if prefetch:
                lost.append(self)
                self.lose("cut off")
            return await super().channel(confirms=confirms, prefetch=prefetch)

    broker = RabbitBroker(rabbitmq.new_vhost(), "global", open_link=CutLink.open)
    await broker.start()
    await broker.wait_connected(DEADLINE_S)
    items = broker.read_stream(HISTORY)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(broker.publish([Outgoing(EVENTS, "global.1", b"x")]), DEADLINE_S)
    with pytest.raises(Unavailable, match="lost"):
        await asyncio.wait_for(lost[0].publisher.publish([Outgoing(EVENTS, "global.1", b"x")]), DEADLINE_S)
    await broker.close()
    del items


async def test_a_delivery_says_when_it_can_no_longer_be_acked(rabbitmq: AnyRabbit) -> None:
    links: list[Link] = []

    class KnownLink(Link):
        """The test can give it up."""

        async def channel(self, *, confirms: bool = False, prefetch: int = 0) -> AbstractChannel:
            links.append(self)
            return await super().channel(confirms=confirms, prefetch=prefetch)

    broker = RabbitBroker(rabbitmq.new_vhost(), "global", open_link=KnownLink.open)
    deliveries: list[Delivery] = []
    await broker.consume("global", deliveries.append)
    await broker.start()
    await broker.wait_connected(DEADLINE_S)
    await broker.publish([Outgoing(HOMES, "global", b"x")])
    await eventually(lambda: deliveries, DEADLINE_S)
    assert not deliveries[0].gone
    links[-1].lose("cut off")
    assert deliveries[0].gone
    await eventually(lambda: len(deliveries) == 2, DEADLINE_S)
    assert (deliveries[1].body, deliveries[1].gone) == (b"x", False)
    await broker.close()
