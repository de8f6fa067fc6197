"""Writing to a connection without waiting. Rule: the frames of all channels that are sent in one turn of the loop are one write.

aiormq gives each frame a lock, a future and a task of its own. Acks and publishes are so many that this would be a tenth of the cost of
a popup between two homes.
"""

import asyncio

import pamqp.frame
import structlog
from aio_pika import Connection
from aiormq.abc import ChannelFrame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

log = structlog.get_logger(__name__)


class Writer:
    """Writes to a connection that is open."""

    def __init__(self, connection: Connection) -> None:
        assert connection.transport is not None
        self._queue = connection.transport.connection.write_queue
        self._frames: list[bytes] = []
        self._writing: asyncio.Task[None] | None = None

    def send(self, channel: int, *frames: Frame | ContentHeader | ContentBody | bytes) -> None:
        """Send frames on a channel, in order. Bytes are frames that are marshalled already."""
        for frame in frames:
            self._frames.append(frame if isinstance(frame, bytes) else pamqp.frame.marshal(frame, channel))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._frames:
                written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                payload = b"".join(self._frames)
                self._frames.clear()
                await self._queue.put(ChannelFrame(payload, should_close=False, drain_future=written))
                await written  # while the socket takes nothing more, frames gather here
        finally:
            self._writing = None

    async def flushed(self) -> None:
        """Return when the operating system has all that was sent."""
        while self._writing is not None:
            await asyncio.wait((self._writing,))

    def abandon(self) -> None:
        """Write nothing more."""
        if self._writing is not None:
            self._writing.cancel()
