"""The broker of a home that holds a lease. Rule: without the lease a home publishes nothing, and takes nothing from its queue.

The database refuses a late commit, but no broker refuses a late heartbeat or publication. Committed events stay true and may be published
twice; they must not be published long after the next holder has published later ones.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, cast

from broker.answering import Handler
from broker.port import Broker, Consumer, Delivery, Outgoing
from domain.errors import Unavailable
from runtime.background_task import BackgroundTask
from servers.store.log.lease import Lease

LOOK_S = 0.25  # so much longer a message waits for a home that has lost its lease to leave the queue


def leased(broker: Broker, lease: Lease) -> Broker:
    """`broker`, but silent while the lease is not held."""
    return cast(Broker, _LeasedBroker(broker, lease))


class _LeasedBroker:
    """Passes on every call of the broker that it does not define itself."""

    def __init__(self, broker: Broker, lease: Lease) -> None:
        self._broker = broker
        self._lease = lease

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    @property
    def connected(self) -> bool:
        """Whether the broker is connected and the lease is held."""
        return self._broker.connected and self._lease.held

    def publish(self, outgoing: Sequence[Outgoing]) -> "asyncio.Future[None]":
        """As the broker does, while the lease is held. Raises `Unavailable`."""
        self._check()
        return self._broker.publish(outgoing)

    async def serve(self, key: str, handler: Handler) -> None:
        """As the broker does; a question that comes while the lease is not held gets no answer."""

        async def answer(body: bytes, asker: str) -> bytes:
            self._check()
            return await handler(body, asker)

        await self._broker.serve(key, answer)

    async def consume(self, server: str, handler: Callable[[Delivery], None]) -> Consumer:
        """As the broker does, while the lease is held: only one consumer may have the queue, and the next holder needs it."""
        consumer = _LeasedConsumer(self._broker, self._lease, server, handler)
        await consumer.start()
        return consumer

    async def send_heartbeat(self, body: bytes) -> None:
        """As the broker does, while the lease is held; nothing otherwise."""
        if self._lease.held:
            await self._broker.send_heartbeat(body)

    def _check(self) -> None:
        if not self._lease.held:
            raise Unavailable("The lease is not held.")


class _LeasedConsumer:
    """A consumer that exists while the lease is held. Deliveries that it had not acked go to the next consumer."""

    def __init__(self, broker: Broker, lease: Lease, server: str, handler: Callable[[Delivery], None]) -> None:
        self._broker = broker
        self._lease = lease
        self._server = server
        self._handler = handler
        self._consumer: Consumer | None = None
        self._task = BackgroundTask(f"leased-consumer-{server}")

    async def start(self) -> None:
        """Consume, and follow the lease."""
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
            with contextlib.suppress(Unavailable):  # the connection is lost, and the broker has taken every delivery back
                if self._consumer is None and self._lease.held:
                    self._consumer = await self._broker.consume(self._server, self._handler)
                elif self._consumer is not None and not self._lease.held:
                    consumer, self._consumer = self._consumer, None
                    await consumer.cancel()
