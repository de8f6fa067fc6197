"""The storages on which the contract is tried, with the files or vhosts of brokers. Rule: a test sees a broker through the port alone."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

import aiormq

from broker import topology
from broker.embedded.broker import EmbeddedBroker
from broker.port import Broker, Delivery, Outgoing, StreamItem
from broker.rabbitmq.broker import RabbitBroker
from broker.topology import EVENTS, HOMES
from tests.support.waiting import eventually


class Storage(Protocol):
    """Makes brokers that share one storage, and reads what the port does not show."""

    def new(self) -> Broker:
        """A broker that is not started."""

    async def dead_letters(self) -> list[tuple[Mapping[str, object], bytes]]:
        """Headers and body of what is in `flash.dead`."""


class EmbeddedStorage:
    """One SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def new(self) -> Broker:
        """A broker on the file; the one before must be closed."""
        return EmbeddedBroker(self._path)

    async def dead_letters(self) -> list[tuple[Mapping[str, object], bytes]]:
        """As the file has them."""
        database = sqlite3.connect(self._path)
        try:
            rows = database.execute("SELECT headers, body FROM messages WHERE queue = 'flash.dead' ORDER BY id").fetchall()
        finally:
            database.close()
        return [(json.loads(headers), body) for headers, body in rows]


class RabbitStorage:
    """One vhost."""

    def __init__(self, url: str) -> None:
        self._url = url

    def new(self) -> Broker:
        """A broker on the vhost."""
        return RabbitBroker(self._url, "test")

    async def dead_letters(self) -> list[tuple[Mapping[str, object], bytes]]:
        """As they are taken from the queue."""
        letters: list[tuple[Mapping[str, object], bytes]] = []
        async with aiormq.connect(self._url) as connection:
            channel = await connection.channel()
            while (message := await channel.basic_get(topology.DEAD, no_ack=True)).header.properties.headers:
                letters.append((message.header.properties.headers, message.body))
        return letters

    async def empty(self) -> None:
        """Delete what earlier tests may have left, when the vhost is not new."""
        async with aiormq.connect(self._url) as connection:
            channel = await connection.channel()
            names = [queue.name for queue in topology.QUEUES] + [topology.inbox(server).name for server in ("h1", "h2")]
            for name in names:
                await channel.queue_delete(name)


class Recorder:
    """A handler that records its deliveries: `bodies`, in order. While `acks` is set it acks at once."""

    def __init__(self, *, ack: bool = True) -> None:
        self.deliveries: list[Delivery] = []
        self.acks = ack

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        if self.acks:
            delivery.ack()

    @property
    def bodies(self) -> list[bytes]:
        """The bodies of all deliveries, in order."""
        return [delivery.body for delivery in self.deliveries]

    async def receives(self, *bodies: bytes) -> None:
        """Wait until exactly these bodies have come."""
        await eventually(lambda: len(self.deliveries) >= len(bodies))
        assert self.bodies == list(bodies)


H1 = "flash.home.h1"


def to(server: str, *bodies: bytes) -> list[Outgoing]:
    """Messages to the inbox of a server, which must exist."""
    return [Outgoing(HOMES, server, body, mandatory=True) for body in bodies]


def events(*bodies: bytes) -> list[Outgoing]:
    """Messages to the history."""
    return [Outgoing(EVENTS, "h1.1", body) for body in bodies]


async def take(items: AsyncIterator[StreamItem], count: int) -> list[StreamItem]:
    """The next `count` of a stream."""
    async with asyncio.timeout(10):
        return [await anext(items) for _ in range(count)]


async def echo(body: bytes, asker: str = "") -> bytes:
    """Answers a request with its own body."""
    return body
