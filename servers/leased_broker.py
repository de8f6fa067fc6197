"""The broker of a home that holds a lease. Rule: who may not write says nothing: no event, no beat, no answer.

The database refuses a late commit, but no broker refuses a late beat or publication. What was committed stays true and may be told
twice; it must not be told long after the next holder has told more.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from broker.port import Broker, Outgoing
from domain.errors import Unavailable
from servers.lease import Lease


def leased(broker: Broker, lease: Lease) -> Broker:
    """`broker`, silent whenever the lease is not held."""
    return cast(Broker, _LeasedBroker(broker, lease))


class _LeasedBroker:
    """What it does not name is the broker's own: what comes in takes effect by a commit, which is fenced."""

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

    async def beat(self, body: bytes) -> None:
        """Live only as long as the lease is held."""
        if self._lease.held:
            await self._broker.beat(body)

    def _check(self) -> None:
        if not self._lease.held:
            raise Unavailable("The lease is not held.")
