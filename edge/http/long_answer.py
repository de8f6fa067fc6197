"""The body of a long answer, made and sent as the transport drains. Rule: it holds no more than the high-water mark, however long it is and
however slowly its client reads.

The pieces are made by a job of the scheduler. A client of HTTP/1.1 gets them as chunks; for an older one the body ends with the connection.
"""

import asyncio

from domain.errors import Unavailable
from edge.http.fast_path import WriteBuffer
from edge.http.messages import Source
from runtime.deferred import Deferred


class LongBody:
    """One body on its way. Its connection says when the transport is full, takes more, or is gone."""

    def __init__(self, transport: asyncio.Transport, write_buffer: WriteBuffer, chunked: bool) -> None:
        self._transport = transport
        self._write_buffer = write_buffer
        self._chunked = chunked
        self._drained: Deferred[None] | None = None
        self.paused = False

    async def send(self, head: bytes, source: Source) -> bool:
        """Send everything. False when it broke off: then the connection is dropped, because the client can be told in no other way."""
        self._out(head)
        job = source.send(self._piece, self._wait)
        try:
            await job
        except Exception:
            self._transport.abort()
            return False
        finally:
            job.cancel()
        if self._chunked:
            self._out(b"0\r\n\r\n")
        return True

    def resume(self) -> None:
        """The transport takes more, or is gone."""
        self.paused = False
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.set_result(None)

    def _piece(self, data: bytes) -> None:
        self._out(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def _out(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise Unavailable("The client has gone.")
        self._write_buffer.flush()
        self._transport.write(data)

    def _wait(self) -> Deferred[None] | None:
        if not self.paused:
            return None
        self._drained = Deferred()
        return self._drained
