"""Declaring the topology on RabbitMQ. Rule: what is there already is only looked at, so that no right to make or change it is needed."""

from collections.abc import Sequence

from aio_pika import Connection
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity

from broker.topology import BINDINGS, EXCHANGES, QUEUES, Binding, Exchange, Queue, inbox, inbox_binding


async def declare_topology(connection: Connection, channel: AbstractChannel) -> None:
    """Declare the fixed part of the topology."""
    for exchange in EXCHANGES:
        if not exchange.durable:  # the last restart of the broker removed it
            await _declare_exchange(channel, exchange)
    if await _are_there(connection, tuple(reversed(EXCHANGES)), QUEUES):
        return
    *exchanges, last = EXCHANGES
    for exchange in exchanges:
        await _declare_exchange(channel, exchange)
    for queue in QUEUES:
        await _declare_queue(channel, queue)
    for binding in BINDINGS:
        await _bind(channel, binding)
    await _declare_exchange(channel, last)


async def declare_inbox(connection: Connection, channel: AbstractChannel, server: str, *, own: bool) -> None:
    """Declare and bind the queue of one server. The queue of another server, where there is one, is only looked at."""
    if own or not await _are_there(connection, (), (inbox(server),)):
        await _declare_queue(channel, inbox(server))
        await _bind(channel, inbox_binding(server))


async def _are_there(connection: Connection, exchanges: Sequence[Exchange], queues: Sequence[Queue]) -> bool:
    probe = await connection.channel(publisher_confirms=False)  # RabbitMQ closes a channel that asks for what is not there
    try:
        for exchange in exchanges:
            await probe.declare_exchange(exchange.name, passive=True)
        for queue in queues:
            await probe.declare_queue(queue.name, passive=True)
    except ChannelNotFoundEntity:
        return False
    await probe.close()
    return True


async def _declare_exchange(channel: AbstractChannel, exchange: Exchange) -> None:
    await channel.declare_exchange(exchange.name, exchange.kind, durable=exchange.durable)


async def _declare_queue(channel: AbstractChannel, queue: Queue) -> None:
    await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))


async def _bind(channel: AbstractChannel, binding: Binding) -> None:
    queue = await channel.get_queue(binding.queue, ensure=False)
    await queue.bind(binding.exchange, binding.key)
