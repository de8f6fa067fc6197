"""The attack of a home on its own queue, into which others send. Rule: h3 uses its own user of RabbitMQ, and is heard, so that mail is sent
to it; who sends to those who live there is honest."""

import asyncio
import itertools
import os
from typing import Any

from aio_pika.exceptions import AMQPError

from bench.fair.foe import post
from bench.fair.homes.hostile import NAME, HostileHome
from bench.fair.homes.resident import AGAIN_S, befriend, resident_of
from bench.http_client import Failed, Poster
from bench.people import Person
from broker import topology
from broker.rabbitmq.connection import new_connection

SENDERS = 10  # people of h1
PER_S = 100.0  # popups to somebody who lives at h3
TURN_S = 2.0  # so long the queue is away, and so long it has a limit
BEAT_S = 1.0
LIMITED: dict[str, Any] = {**topology.inbox(NAME).arguments, "x-max-length": 1, "x-overflow": "reject-publish"}


async def own_queue(foe: HostileHome) -> None:
    """Its queue is deleted, and made again with a limit, in turn; a hundred popups a second go there."""
    await asyncio.gather(_is_heard(foe), _takes_and_refuses(foe), _popups(foe))


async def _is_heard(foe: HostileHome) -> None:
    run = f"run {os.getpid()}"
    for number in itertools.count(1):
        await foe.send(foe.beat(run=run, number=number))
        await asyncio.sleep(BEAT_S)


async def _takes_and_refuses(foe: HostileHome) -> None:
    """The Global Server makes a queue that is missing again; then h3 is not the one who made it, and deletes it first."""
    connection = new_connection(foe.broker_url)
    await connection.connect()
    name = topology.inbox(NAME).name
    while True:
        try:
            channel = await connection.channel()
            await channel.queue_delete(name)
            foe.count("deleted")
            await asyncio.sleep(TURN_S)
            await channel.queue_delete(name)
            limited = await channel.declare_queue(name, durable=True, arguments=LIMITED)
            await limited.bind(topology.HOMES, NAME)
            foe.count("limited")
            await asyncio.sleep(TURN_S)
            await channel.close()
        except AMQPError:
            foe.count("not allowed or too late")
            await asyncio.sleep(AGAIN_S)


async def _popups(foe: HostileHome) -> None:
    resident, _ = await resident_of(NAME, foe.registry_port, f"of-{NAME}-{os.getpid()}")
    await asyncio.gather(*(_sends(foe, sender, resident) for sender in foe.town.foes[:SENDERS]))


async def _sends(foe: HostileHome, sender: Person, resident: int) -> None:
    poster = await Poster.connect(sender.port)
    await befriend(poster, sender, resident)
    while True:
        popup = {"id": f"{os.getpid()}-{foe.number()}", "to": resident, "text": "Is anybody there?"}
        try:
            status, _ = await poster.call(post("/v1/messages", popup, sender.token))
            foe.count(f"popup {status}")
        except Failed:
            foe.count("popup lost")
        await asyncio.sleep(SENDERS / (PER_S * foe.share))
