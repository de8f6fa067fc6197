"""Messages of other AMQP clients in an inbox. Rule: properties that Flash never sets hold nothing up."""

import aio_pika
from pamqp.commands import Basic

from broker.rabbitmq.broker import RabbitBroker
from tests.broker.storages import H1, Recorder
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

ODD = Basic.Properties(
    priority=9, content_type="", message_type="?", expiration="3600000", headers={"x": [1, {"y": None}], "z": bytearray(b"\xff")}
)


async def test_a_message_with_odd_properties_is_delivered_dies_and_can_be_looked_at(rabbitmq: AnyRabbit) -> None:
    url, recorder = rabbitmq.new_vhost(), Recorder(ack=False)
    broker = RabbitBroker(url, "test")
    await broker.start()
    await broker.wait_connected(10)
    await broker.consume("h1", recorder)
    async with await aio_pika.connect(url) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        await channel.basic_publish(b"odd", exchange="flash.homes", routing_key="h1", properties=ODD)
    await recorder.receives(b"odd")
    recorder.deliveries[0].dead("not ours")
    await eventually(lambda: _letters(broker, [(H1, b"odd")]))
    assert await broker.requeue_dead() == 1
    await eventually(lambda: recorder.bodies == [b"odd", b"odd"])
    await broker.close()


async def _letters(broker: RabbitBroker, wanted: list[tuple[str, bytes]]) -> bool:
    return [(letter.queue, letter.body) for letter in await broker.dead_letters()] == wanted
