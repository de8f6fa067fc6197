"""Which connections are open, and when the last of them is gone. Rule: whoever stops a server waits here."""

import asyncio
from typing import Generic, Protocol, TypeVar


class Abortable(Protocol):
    """A connection that can be dropped."""

    def abort(self) -> None:
        """Drop it now, and what was not sent."""


C = TypeVar("C", bound=Abortable)


class OpenConnections(Generic[C]):
    """The open connections of one kind. `all`: a dictionary, because a set takes twice the room."""

    def __init__(self) -> None:
        self.all: dict[C, None] = {}
        self._emptied: asyncio.Event | None = None

    def add(self, connection: C) -> None:
        """A connection has opened."""
        self.all[connection] = None

    def remove(self, connection: C) -> None:
        """A connection is gone. Idempotent."""
        self.all.pop(connection, None)
        if not self.all and self._emptied is not None:
            self._emptied.set()

    async def wait_empty(self, timeout_s: float) -> None:
        """Return when the last one is gone; drop those that are left after `timeout_s`."""
        if self.all:
            self._emptied = asyncio.Event()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._emptied.wait()
            except TimeoutError:
                for connection in list(self.all):
                    connection.abort()
