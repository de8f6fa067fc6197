"""A RabbitMQ on which 79ccbf3 has worked. Rule: what it left neither stops a server nor is lost."""

import aiormq

from broker.port import Outgoing
from broker.rabbitmq.broker import RabbitBroker
from broker.topology import DEAD, DELIVERY_LIMIT, EVENTS, HEARTBEATS, HISTORY, HOMES, PRESENCE, PRESENCE_LOG, REQUESTS
from tests.broker.storages import Recorder, echo
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.waiting import eventually

# As 79ccbf3 declared them; its queues for requests, answers and heartbeats went with their connections.
EXCHANGES = {EVENTS: "topic", PRESENCE: "topic", REQUESTS: "direct", DEAD: "fanout", HOMES: "direct"}
LIMIT = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
QUEUES = {
    HISTORY: {"x-queue-type": "stream"},
    PRESENCE_LOG: {"x-queue-type": "stream"},
    DEAD: LIMIT,
    "flash.home.h1": LIMIT | {"x-single-active-consumer": True, "x-dead-letter-exchange": DEAD},
}
BINDINGS = ((EVENTS, HISTORY, "#"), (PRESENCE, PRESENCE_LOG, "#"), (DEAD, DEAD, "#"), (HOMES, "flash.home.h1", "h1"))


async def test_servers_go_on_with_what_79ccbf3_declared(rabbitmq: AnyRabbit) -> None:
    url = rabbitmq.new_vhost()
    async with aiormq.connect(url) as old:
        channel = await old.channel()
        await channel.exchange_declare(HEARTBEATS, exchange_type="fanout", durable=False)
        for name, kind in EXCHANGES.items():
            await channel.exchange_declare(name, exchange_type=kind, durable=True)
        for name, arguments in QUEUES.items():
            await channel.queue_declare(name, durable=True, arguments=dict(arguments))
        for exchange, queue, key in BINDINGS:
            await channel.queue_bind(queue, exchange, key)
        await channel.basic_publish(b"unsigned mail", exchange=HOMES, routing_key="h1")
        await channel.basic_publish(b"unsigned history", exchange=EVENTS, routing_key="h1.1")

    home, got, heard = RabbitBroker(url, "h1"), Recorder(), list[bytes]()
    await home.start()
    await home.wait_connected(20)
    await home.consume("h1", got)
    await home.serve("home.h1", echo)
    await home.listen_heartbeats(lambda body, publisher: heard.append(body))
    await got.receives(b"unsigned mail")
    assert got.deliveries[0].publisher is None
    await home.publish([Outgoing(EVENTS, "h1.1", b"signed", mandatory=True)])
    told = [(item.body, item.publisher) async for item in home.read_stream(HISTORY, follow=False)]
    assert told == [(b"unsigned history", None), (b"signed", "guest")]
    assert await home.request("home.h1", b"?", 10) == b"?"
    await home.send_heartbeat(b"alive")
    await eventually(lambda: heard == [b"alive"])
    await home.close()
