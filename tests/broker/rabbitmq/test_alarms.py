"""RabbitMQ low on memory or disk makes publishers wait. Rule: that is no loss: the link stays, and what waits is confirmed afterwards."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from broker.port import Outgoing
from broker.rabbitmq import link as rabbitmq_link
from broker.rabbitmq.alarms import why_blocked
from broker.rabbitmq.broker import RabbitBroker
from broker.topology import HOMES
from domain.errors import Unavailable
from tests.broker.places import Hands
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


async def test_what_waits_during_an_alarm_is_confirmed_and_delivered_when_it_is_over(
    rabbit: AnyRabbit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_link, "CONFIRM_TIMEOUT_S", WATCH_S)
    broker, hands = RabbitBroker(rabbit.new_vhost(), "test"), Hands(ack=True)
    await broker.start()
    await broker.wait_connected(10)
    await broker.consume("h1", hands)
    link = broker._link
    assert link is not None
    await asyncio.to_thread(alarms.low_on_memory, rabbit)
    sent = [asyncio.create_task(broker.publish([Outgoing(HOMES, "h1", b"%d" % number, mandatory=True)])) for number in range(20)]
    await eventually(lambda: link.blocked_by == "low on memory")
    with pytest.raises(Unavailable, match="low on memory"):  # and does not wait for the end of the alarm
        await broker.depths()
    looks = link._watchdog
    await eventually(lambda: link._watchdog is not looks)
    looks = link._watchdog
    await eventually(lambda: link._watchdog is not looks)
    assert broker.connected
    assert not all(task.done() for task in sent)
    await asyncio.to_thread(alarms.end, rabbit)
    await asyncio.gather(*sent)
    await eventually(lambda: len(hands.bodies) == len(sent))
    assert hands.bodies == [b"%d" % number for number in range(20)]
    assert broker._link is link
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
