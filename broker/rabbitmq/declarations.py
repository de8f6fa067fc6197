"""Declaring the topology on RabbitMQ. Rule: what is there already is only looked at, so that no right to make or change it is needed.

Only the Global Server has such rights where each server has a RabbitMQ user of its own. A home that misses something waits for it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aio_pika import Connection
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import ChannelAccessRefused

from broker.topology import BINDINGS, EXCHANGES, QUEUES, Binding, Exchange, Queue, server_bindings, server_queues
from domain.errors import Unavailable


async def declare_topology(connection: Connection, channel: AbstractChannel) -> None:
    """Declare the fixed part of the topology. Raises `Unavailable` when a part is missing that we may not make."""
    if await _are_there(connection, tuple(reversed(EXCHANGES)), QUEUES):
        return
    *exchanges, last = EXCHANGES
    async with _with_rights("exchanges and streams of Flash"):
        for exchange in exchanges:
            await _declare_exchange(connection, channel, exchange)
        for queue in QUEUES:
            await _declare_queue(channel, queue)
        for binding in BINDINGS:
            await _bind(channel, binding)
        await _declare_exchange(connection, channel, last)


async def declare_server(connection: Connection, channel: AbstractChannel, server: str, *, anew: bool) -> None:
    """Declare the queues of one server that are missing, and bind them; those that exist already are bound only with `anew`, in case that
    a binding is missing. One that somebody made with other arguments stays: to declare it would cost the whole connection. Raises
    `Unavailable` when one is missing that we may not make."""
    queues = server_queues(server)
    complete = await _are_there(connection, (), queues)
    if anew or not complete:
        async with _with_rights(f"queues of {server!r}"):
            for queue in () if complete else queues:
                if not await _are_there(connection, (), (queue,)):
                    await _declare_queue(channel, queue)
            for binding in server_bindings(server):
                await _bind(channel, binding)


@asynccontextmanager
async def _with_rights(what: str) -> AsyncIterator[None]:
    try:
        yield
    except ChannelAccessRefused as error:
        why = "the Global Server makes them when it connects, or deploy/rabbitmq/permissions.sh does"
        raise Unavailable(f"the {what} are not there yet, and our user may not make them: {why}") from error


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


async def _declare_exchange(connection: Connection, channel: AbstractChannel, exchange: Exchange) -> None:
    if not await _are_there(connection, (exchange,), ()):  # `flash.beats` of earlier versions, until RabbitMQ restarts, is not durable
        await channel.declare_exchange(exchange.name, exchange.kind, durable=True)


async def _declare_queue(channel: AbstractChannel, queue: Queue) -> None:
    await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))


async def _bind(channel: AbstractChannel, binding: Binding) -> None:
    queue = await channel.get_queue(binding.queue, ensure=False)
    await queue.bind(binding.exchange, binding.key)
