"""The back connection after its handshake: an `Outlet` on a bare transport. Rule: an idle one holds nothing but its transport and session.

The Global Server's presence stream is one too.

It becomes the transport's protocol *before* the home logs the session in, so whatever happens to the connection from then on, happens
here: there is no moment at which a lost client could go unnoticed.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge.http.messages import CLOSE, Answer, render
from edge.transports.framing import GOODBYE, Framing
from servers.sessions.parts import Part

if TYPE_CHECKING:
    from edge.contracts.servers import Session, Streams
    from edge.http.fast_path import WriteBuffer
    from edge.http.metrics import EdgeMetrics

HIGH_WATER_BYTES = 65_536  # unsent bytes at which a session stops writing: a few messages, whatever their size
MAX_IGNORED_BYTES = 4_096  # a client has nothing to say here; some proxies and browsers do send a little
RESET = struct.pack("ii", 1, 0)  # linger for 0 s: closing means a reset, and no half-open connection stays in the kernel


class BackConnections:
    """The open back connections of one server: what they share, and who they are."""

    def __init__(self, streams: "Streams", metrics: "EdgeMetrics", write_buffer: "WriteBuffer") -> None:
        self.streams = streams
        self.metrics = metrics
        self.write_buffer = write_buffer
        self.open: dict[BackConnection, None] = {}  # a set would take twice the room
        self.emptied: asyncio.Event | None = None  # only looked at while stopping

    def remove(self, connection: "BackConnection") -> None:
        """A connection is gone."""
        self.open.pop(connection, None)
        self.metrics.back_connections = len(self.open)
        if not self.open and self.emptied is not None:
            self.emptied.set()

    async def wait_empty(self, timeout_s: float) -> None:
        """Return when the last one has flushed its goodbye and is gone; drop those that are left after `timeout_s`."""
        if self.open:
            self.emptied = asyncio.Event()
            try:
                async with asyncio.timeout(timeout_s):
                    await self.emptied.wait()
            except TimeoutError:
                for connection in list(self.open):
                    connection.abort()


class BackConnection(asyncio.Protocol):
    """One back connection: the session's outlet and the transport's protocol in one object, to save memory."""

    __slots__ = ("_ended", "_framing", "_ignored_bytes", "_opened", "_owner", "_paused", "_resumed_early", "_session", "_transport")

    def __init__(self, owner: BackConnections, framing: Framing) -> None:
        self._owner = owner
        self._framing = framing
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._opened = False  # the response has begun
        self._ended = False  # nothing more may be written
        self._paused = False
        self._resumed_early = False  # the transport drained before `log_in` returned
        self._ignored_bytes = 0

    # -- the handshake ---------------------------------------------------------------------------------------------------

    def adopt(self, transport: asyncio.Transport) -> None:
        """Become the protocol of a transport whose request has been read."""
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._paused = transport.get_write_buffer_size() > HIGH_WATER_BYTES
        transport.set_protocol(self)
        self._owner.open[self] = None
        self._owner.metrics.back_connections = len(self._owner.open)

    def opened(self, session: "Session") -> None:
        """`log_in` has returned this session."""
        if self._transport is None:
            self._owner.streams.lost(session)
            return
        self._session = session
        if self._resumed_early:
            session.resume()

    def refuse(self, answer: Answer) -> None:
        """`log_in` has refused: say so, if nothing else has been said yet."""
        if self._opened:
            self.abort()
        elif self._transport is not None and not self._ended:
            self._ended = True
            self._owner.write_buffer.write(self._transport, render(answer, CLOSE))
            self._owner.write_buffer.flush()
            self._transport.close()

    # -- the outlet ------------------------------------------------------------------------------------------------------

    def write(self, parts: Sequence[Part]) -> None:
        """Frame the parts; they leave in one write, with this turn of the loop."""
        transport = self._transport
        if self._ended or transport is None or not parts or transport.is_closing():
            return
        data = self._framing.frame(parts)
        if not self._opened:
            self._opened = True
            data = self._framing.head + data
        owner = self._owner
        owner.metrics.pushed(parts, len(data))
        if parts[-1].name == GOODBYE:
            self._ended = True
        owner.write_buffer.write(transport, data)

    @property
    def writable(self) -> bool:
        """Whether the transport takes more right now."""
        return not self._paused and not self._ended and self._transport is not None

    def close(self) -> None:
        """End the stream properly and flush it; the connection closes when the client has everything."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._opened and not self._ended:
            self._owner.write_buffer.write(transport, self._framing.end)
        self._ended = True
        self._owner.write_buffer.flush()
        transport.close()

    def abort(self) -> None:
        """Drop the connection and what was not sent, the kernel's share included: it would try to send it for a while yet."""
        self._ended = True
        transport = self._transport
        if transport is not None:
            sock = transport.get_extra_info("socket")
            if sock is not None and not transport.is_closing():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            transport.abort()

    # -- the protocol ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Ignore a little; a client that goes on is no client."""
        self._ignored_bytes += len(data)
        if self._ignored_bytes > MAX_IGNORED_BYTES:
            self.abort()

    def eof_received(self) -> None:
        """A client that sends no more is taken for gone: behind most proxies it is."""
        self.abort()

    def pause_writing(self) -> None:
        """The transport holds more than the high-water mark."""
        self._paused = True

    def resume_writing(self) -> None:
        """The client has read on."""
        self._paused = False
        if self._session is not None:
            self._session.resume()
        else:
            self._resumed_early = True

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone: tell the home, and let go of everything."""
        self._ended = True
        self._transport = None
        session, self._session = self._session, None
        self._owner.remove(self)
        if session is not None:
            self._owner.streams.lost(session)
