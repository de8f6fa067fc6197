"""The public presence feed, read from a real RabbitMQ."""

import asyncio
import json
from contextlib import aclosing

import aio_pika
import pytest

from flash_sdk import ProtocolError
from flash_sdk.amqp import EXCHANGE, LOG, PresenceEvent, presence
from tests.support.waiting import eventually


def cloud_event(number: int, status: str, uid: int = 42, kind: str = "flash.presence.changed.v1") -> bytes:
    data = {"uid": uid, "handle": "ann", "home": "h1", "status": status, "previous": "offline", "since": None, "reason": "login"}
    head = {"specversion": "1.0", "id": f"h1/user-{uid}/{number}", "source": "/homes/h1", "type": kind, "subject": str(uid)}
    return json.dumps(head | {"time": "2030-01-02T03:04:05.000006Z", "data": data}).encode()


def test_a_change_is_read_and_an_unknown_kind_passes() -> None:
    change = PresenceEvent.of(cloud_event(17, "online"), offset=3)
    assert change is not None
    assert (change.id, change.uid, change.status, change.home, change.offset) == ("h1/user-42/17", 42, "online", "h1", 3)
    assert PresenceEvent.of(cloud_event(18, "online", kind="flash.presence.changed.v9")) is None
    with pytest.raises(ProtocolError):
        PresenceEvent.of(b"{}")


async def publish(url: str, *changes: tuple[int, str]) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        log = await channel.declare_queue(LOG, durable=True, arguments={"x-queue-type": "stream"})
        await log.bind(exchange, "#")
        for number, status in changes:
            await exchange.publish(aio_pika.Message(cloud_event(number, status)), f"presence.h1.42.{status}")


async def test_the_log_is_read_from_any_place(amqp_url: str) -> None:
    await publish(amqp_url, (1, "online"), (2, "away"), (3, "offline"))
    async with asyncio.timeout(20), aclosing(presence(amqp_url, start="first")) as changes:
        first = [await anext(changes) for _ in range(3)]
    assert [change.status for change in first] == ["online", "away", "offline"]
    assert first[1].offset is not None
    async with asyncio.timeout(20), aclosing(presence(amqp_url, start=first[1].offset + 1)) as changes:
        assert (await anext(changes)).id == first[2].id


async def test_changes_reach_the_program_that_subscribed_to_them(amqp_url: str) -> None:
    await publish(amqp_url)
    changes = presence(amqp_url, key="presence.*.42.away")
    asked = asyncio.ensure_future(anext(changes))

    async def told() -> bool:
        await publish(amqp_url, (1, "online"), (2, "away"))
        return asked.done()

    await eventually(told, 20)
    assert (await asked).status == "away"
    await changes.aclose()
