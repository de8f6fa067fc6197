"""RabbitMQ low on memory or disk makes publishers wait. Rule: that is no loss: the link stays, and what waits is confirmed afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from broker.port import Outgoing
from broker.rabbitmq.alarms import why_blocked
from broker.rabbitmq.broker import RabbitBroker, RabbitConfig
from broker.rabbitmq.link import Link, LinkConfig
from broker.topology import HOMES
from domain.errors import Unavailable
from tests.broker.storages import Recorder
from tests.support import alarms
from tests.support.rabbitmq_choice import URL_VARIABLE, AnyRabbit
from tests.support.waiting import eventually

WATCH_S = 0.5  # instead of 20: confirms that are overdue for so long lose a link


@pytest.fixture
async def rabbit(rabbitmq: AnyRabbit) -> AsyncIterator[AnyRabbit]:
    """A RabbitMQ whose alarms the test may raise; all are over afterwards."""
    if not rabbitmq.can_be_controlled:
        pytest.skip(f"the broker of {URL_VARIABLE} is not ours to alarm")
    yield rabbitmq
    await asyncio.to_thread(alarms.end, rabbitmq)


async def test_what_waits_during_an_alarm_is_confirmed_and_delivered_when_it_is_over(rabbit: AnyRabbit) -> None:
    links: list[Link] = []

    async def open_link(url: str, name: str, config: LinkConfig) -> Link:
        links.append(await Link.open(url, name, config))
        return links[-1]

    config = RabbitConfig(link=LinkConfig(confirm_timeout_s=WATCH_S, look_s=WATCH_S / 10))
    broker, recorder = RabbitBroker(rabbit.new_vhost(), "test", config, open_link), Recorder(ack=True)
    await broker.start()
    await broker.wait_connected(10)
    await broker.consume("h1", recorder)
    await asyncio.to_thread(alarms.low_on_memory, rabbit)
    sent = [asyncio.ensure_future(broker.publish([Outgoing(HOMES, "h1", b"%d" % number, mandatory=True)])) for number in range(20)]
    await eventually(lambda: links[0].blocked)
    since = time.monotonic()
    with pytest.raises(Unavailable, match="low on memory or disk"):  # and does not wait for the end of the alarm
        await broker.depths()
    await eventually(lambda: time.monotonic() - since > 3 * WATCH_S)
    assert broker.connected
    assert not all(task.done() for task in sent)
    await asyncio.to_thread(alarms.end, rabbit)
    await asyncio.gather(*sent)
    await eventually(lambda: len(recorder.bodies) == len(sent))
    assert recorder.bodies == [b"%d" % number for number in range(20)]
    assert len(links) == 1
    await broker.close()


async def test_which_resource_is_short(rabbit: AnyRabbit) -> None:
    url = rabbit.new_vhost()
    assert await why_blocked(url, 5) == ""
    for raise_alarm, reason in ((alarms.low_on_memory, "low on memory"), (alarms.low_on_disk, "low on disk")):
        await asyncio.to_thread(raise_alarm, rabbit)
        assert await why_blocked(url, 5) == reason
        await asyncio.to_thread(alarms.end, rabbit)
    assert await why_blocked(url, 5) == ""
    with pytest.raises(Unavailable):
        await why_blocked("amqp://guest:guest@127.0.0.1:1/", 5)
