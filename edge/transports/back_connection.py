"""The back connection after its handshake: an `Outlet` on a bare transport. Rule: an idle one holds nothing but its transport and session.

The Global Server's presence stream is one too.

It becomes the transport's protocol *before* the home logs the session in. From then on it hears of everything that happens to the
connection, so no lost client goes unnoticed.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence

from edge.contracts.servers import Session, Streams
from edge.http.fast_path import WriteBuffer
from edge.http.messages import CLOSE, Answer, Counted, render
from edge.http.metrics import EdgeMetrics
from edge.http.shared import OpenConnections
from edge.transports.framing import GOODBYE, Framing
from servers.fairness.load import Load
from servers.sessions.parts import Part

HIGH_WATER_BYTES = 65_536  # a session stops writing when so many bytes are unsent: they are a few of the longest messages
MAX_IGNORED_BYTES = 4_096  # a client sends nothing here, but some proxies and browsers send a little
NOTE_BYTES = 65_536  # so many are noted together, as what their user and address received
RESET = struct.pack("ii", 1, 0)  # linger for 0 s: closing means a reset, and no half-open connection stays in the kernel


class BackConnections(OpenConnections["BackConnection"]):
    """The open back connections of one server, and what they share."""

    def __init__(self, streams: Streams, metrics: EdgeMetrics, write_buffer: WriteBuffer, load: Load | None = None) -> None:
        super().__init__()
        self.load = load or Load()
        self.streams = streams
        self.metrics = metrics
        self.write_buffer = write_buffer

    def add(self, connection: "BackConnection") -> None:
        """A connection has become a back connection."""
        super().add(connection)
        self.metrics.back_connections = len(self.all)

    def remove(self, connection: "BackConnection") -> None:
        """A back connection is gone."""
        super().remove(connection)
        self.metrics.back_connections = len(self.all)


class BackConnection(asyncio.Protocol):
    """One back connection: the session's outlet and the transport's protocol in one object, to save memory."""

    __slots__ = (
        "_ended",
        "_framing",
        "_ignored_bytes",
        "_opened",
        "_owed",
        "_owner",
        "_pushed",
        "_resumed_early",
        "_seat",
        "_session",
        "_transport",
        "writable",
    )

    def __init__(self, owner: BackConnections, framing: Framing) -> None:
        self._owner = owner
        self._framing = framing
        self._transport: asyncio.Transport | None = None
        self._seat: Counted | None = None
        self._session: Session | None = None
        self._opened = False  # the response has begun
        self._ended = False  # nothing more may be written
        self.writable = False  # the transport takes more right now
        self._resumed_early = False  # the transport drained before `log_in` returned
        self._ignored_bytes = 0
        self._pushed = 0  # bytes that are not noted yet as its user's
        self._owed = 0  # bytes of a body that is written in pieces

    # -- the handshake ---------------------------------------------------------------------------------------------------

    def adopt(self, transport: asyncio.Transport, seat: Counted) -> None:
        """Become the protocol of a transport whose request has been read."""
        self._transport, self._seat = transport, seat
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self.writable = transport.get_write_buffer_size() <= HIGH_WATER_BYTES
        transport.set_protocol(self)
        self._owner.add(self)

    def opened(self, session: Session) -> None:
        """`log_in` has returned this session."""
        if self._transport is None:
            self._owner.streams.lost(session)
            return
        self._session = session
        if self._resumed_early:
            session.resume()

    def refuse(self, answer: Answer) -> None:
        """`log_in` has refused. Send the refusal, unless the response has begun."""
        if self._opened:
            self.abort()
        elif self._transport is not None and not self._ended:
            self._end()
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
        metrics = owner.metrics
        for part in parts:
            metrics.parts[part.name] += 1
        metrics.bytes_pushed += len(data)
        self._pushed += len(data)
        if self._pushed > NOTE_BYTES:
            self._note()
        if parts[-1].name == GOODBYE:
            self._end()
        owner.write_buffer.write(transport, data)

    def begin_part(self, name: str, size: int) -> None:
        """Write the head of a part whose body follows in pieces."""
        self._owed = size
        self._owner.metrics.parts[name] += 1
        before = self._framing.begin(name, size)
        if not self._opened:
            self._opened = True
            before = self._framing.head + before
        self._write_now(before)

    def write_body(self, data: bytes) -> None:
        """Write a piece of the body, and what comes behind the last one."""
        self._owed -= len(data)
        self._write_now(data if self._owed else data + self._framing.after)

    def _write_now(self, data: bytes) -> None:
        """Past the write buffer, so that the transport says at once when it is full."""
        transport = self._transport
        if self._ended or transport is None or transport.is_closing():
            return
        self._owner.metrics.bytes_pushed += len(data)
        self._pushed += len(data)
        if self._pushed > NOTE_BYTES:
            self._note()
        self._owner.write_buffer.flush()
        transport.write(data)

    def _note(self) -> None:
        size, self._pushed = self._pushed, 0
        if size and self._seat is not None:
            self._owner.load.note(uid=self._seat.uid, address=self._seat.address, size=size)

    @property
    def unsent_bytes(self) -> int:
        """How much the transport holds that the kernel has not taken."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _end(self) -> None:
        self._ended, self.writable = True, False

    def close(self) -> None:
        """End the stream properly and flush it; the connection closes when the client has everything."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._opened and not self._ended:
            self._owner.write_buffer.write(transport, self._framing.end)
        self._end()
        self._owner.write_buffer.flush()
        transport.close()

    def abort(self) -> None:
        """Drop the connection and what was not sent, the kernel's share included: it would try to send it for a while yet."""
        self._end()
        transport = self._transport
        if transport is not None:
            sock = transport.get_extra_info("socket")
            if sock is not None and not transport.is_closing():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            transport.abort()

    # -- the protocol ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Ignore a little. A peer that sends more than that is no client of ours, so it is dropped."""
        self._ignored_bytes += len(data)
        if self._ignored_bytes > MAX_IGNORED_BYTES:
            self.abort()

    def eof_received(self) -> None:
        """Take a client that sends no more for gone, because behind most proxies it is."""
        self.abort()

    def pause_writing(self) -> None:
        """The transport holds more than the high-water mark."""
        self.writable = False

    def resume_writing(self) -> None:
        """The client has read on."""
        self.writable = not self._ended
        if self._session is not None:
            self._session.resume()
        else:
            self._resumed_early = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the home that the transport is gone, and let go of everything."""
        self._end()
        self._transport = None
        session, self._session = self._session, None
        self._owner.remove(self)
        self._note()
        if self._seat is not None:
            self._seat.leave()
        if session is not None:
            self._owner.streams.lost(session)
