"""Bytes that no AMQP library can read. On 79ccbf3 each ended the connection of whoever was to get it, again and again."""

import pytest

from broker.rabbitmq.broker import RabbitBroker
from broker.topology import EVENTS, HISTORY
from tests.broker.rabbitmq.poison import POISON, publish
from tests.broker.storages import H1, Recorder
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually


@pytest.mark.parametrize("poison", POISON)
async def test_a_message_with_unreadable_properties_becomes_a_dead_letter_and_the_next_one_is_handed_over(
    rabbitmq: AnyRabbit, poison: str
) -> None:
    url, recorder = rabbitmq.new_vhost(), Recorder(ack=False)
    broker = RabbitBroker(url, "test")
    await broker.start()
    await broker.wait_connected(10)
    await broker.consume("h1", recorder)
    await publish(url, "flash.homes", b"h1", b"poison", poison)
    await publish(url, "flash.homes", b"h1", b"good")
    await recorder.receives(b"poison", b"good")
    recorder.deliveries[0].dead("not ours")
    recorder.deliveries[1].ack()

    async def buried() -> bool:
        return [(letter.queue, letter.body) for letter in await broker.dead_letters()] == [(H1, b"poison")]

    await eventually(buried)
    assert recorder.bodies == [b"poison", b"good"], "the connection was never lost"
    await broker.close()


async def test_a_stream_goes_on_after_a_message_whose_key_and_properties_are_unreadable(rabbitmq: AnyRabbit) -> None:
    url = rabbitmq.new_vhost()
    broker = RabbitBroker(url, "test")
    await broker.start()
    await broker.wait_connected(10)
    await publish(url, EVENTS, b"h3.\xff\xfe", b"key")
    for poison in POISON:
        await publish(url, EVENTS, b"h3.1", poison.encode(), poison)
    await publish(url, EVENTS, b"h3.1", b"good")
    read = [item.body async for item in broker.read_stream(HISTORY, follow=False)]
    assert read == [b"key", *(poison.encode() for poison in POISON), b"good"]
    await broker.close()
