"""The broker of a home that holds a lease. Rule: who may not write says nothing, and takes nothing from its queue.

The database refuses a late commit, but no broker refuses a late beat or publication. What was committed stays true and may be told
twice; it must not be told long after the next holder has told more.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from broker.port import Broker, Consumer, Delivery, Outgoing
from domain.errors import Unavailable
from runtime.background_task import BackgroundTask
from servers.store.lease import Lease

LOOK_S = 0.25  # a message that waits for us to step aside waits so much longer


def leased(broker: Broker, lease: Lease) -> Broker:
    """`broker`, silent whenever the lease is not held."""
    return cast(Broker, _LeasedBroker(broker, lease))


class _LeasedBroker:
    """What it does not name is the broker's own."""

    def __init__(self, broker: Broker, lease: Lease) -> None:
        self._broker = broker
        self._lease = lease

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    @property
    def connected(self) -> bool:
        """Whether it is worth while to wait for it."""
        return self._broker.connected and self._lease.held

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """As the broker does, while the lease is held. Raises `Unavailable`."""
        self._check()
        await self._broker.publish(outgoing)

    async def serve(self, key: str, handler: Callable[[bytes], Awaitable[bytes]]) -> None:
        """As the broker does; a question that comes while the lease is not held gets no answer."""

        async def answer(body: bytes) -> bytes:
            self._check()
            return await handler(body)

        await self._broker.serve(key, answer)

    async def consume(self, server: str, handler: Callable[[Delivery], None]) -> Consumer:
        """As the broker does, while the lease is held: the queue has one consumer at a time, and ours must not stand in the way."""
        consumer = _LeasedConsumer(self._broker, self._lease, server, handler)
        await consumer.start()
        return consumer

    async def send_heartbeat(self, body: bytes) -> None:
        """Live only as long as the lease is held."""
        if self._lease.held:
            await self._broker.send_heartbeat(body)

    def _check(self) -> None:
        if not self._lease.held:
            raise Unavailable("The lease is not held.")


class _LeasedConsumer:
    """A consumer that is there while the lease is held. What it had not acked comes again, to whoever consumes then."""

    def __init__(self, broker: Broker, lease: Lease, server: str, handler: Callable[[Delivery], None]) -> None:
        self._broker = broker
        self._lease = lease
        self._server = server
        self._handler = handler
        self._consumer: Consumer | None = None
        self._task = BackgroundTask(f"leased-consumer-{server}")

    async def start(self) -> None:
        """Consume, and look after the lease."""
        self._consumer = await self._broker.consume(self._server, self._handler)
        self._task.start(self._follow())

    async def cancel(self) -> None:
        """Stop for good."""
        await self._task.stop()
        if self._consumer is not None:
            await self._consumer.cancel()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(Unavailable):  # then the link is lost, and the broker has taken everything back
                if self._consumer is None and self._lease.held:
                    self._consumer = await self._broker.consume(self._server, self._handler)
                elif self._consumer is not None and not self._lease.held:
                    consumer, self._consumer = self._consumer, None
                    await consumer.cancel()
