"""One HTTP connection until it closes or is detached. Rule: it answers one request at a time, and does one piece of work in one turn of
the loop, so that whoever sends many requests at once keeps nobody else waiting.

Past the transport's high-water mark nothing more is answered, parsed or read. So one connection never holds more than that mark, one
answer, and one read of the loop.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from domain.errors import FlashError, Unavailable
from edge.http.dispatch import Dispatcher
from edge.http.fast_path import CachedHead, WriteBuffer, is_whole, remember
from edge.http.limits import Limits
from edge.http.messages import CLOSE, KEEP, Answer, TransportHandoff, render
from edge.http.metrics import EdgeMetrics
from edge.http.problems import NotInTime, problem
from edge.http.request_reader import SLICE_BYTES, Request, RequestReader


class Connections:
    """The HTTP connections of one server: what they share, and which are open. Called, it makes a new one."""

    def __init__(self, dispatcher: Dispatcher, metrics: EdgeMetrics, write_buffer: WriteBuffer, limits: Limits) -> None:
        self.dispatcher = dispatcher
        self.metrics = metrics
        self.write_buffer = write_buffer
        self.limits = limits
        self.open: dict[Connection, None] = {}
        self.full: Callable[[], bool] = lambda: False
        self._emptied: asyncio.Event | None = None  # only looked at while stopping

    def __call__(self) -> "Connection":
        return Connection(self)

    def remove(self, connection: "Connection") -> None:
        """A connection has closed or was detached."""
        self.open.pop(connection, None)
        if not self.open and self._emptied is not None:
            self._emptied.set()

    def sweep(self) -> None:
        """End what takes too long. Called once a tick."""
        for connection in list(self.open):
            connection.sweep()

    async def stop(self, drain_s: float) -> None:
        """Close every connection once it has answered the request that it is answering; after `drain_s`, give these requests up."""
        self._emptied = asyncio.Event()
        for connection in list(self.open):
            connection.finish()
        if self.open:
            try:
                async with asyncio.timeout(drain_s):
                    await self._emptied.wait()
            except TimeoutError:
                for connection in list(self.open):
                    connection.abandon()


class Connection(asyncio.Protocol):
    """A client's connection. `ticks` counts the server's ticks since the connection last changed between idle, receiving and stalled."""

    __slots__ = (
        "_busy",
        "_cached",
        "_lingering",
        "_owner",
        "_reader",
        "_reading_held",
        "_receiving",
        "_request",
        "_segment",
        "_task",
        "_ticks",
        "_turn_due",
        "_write_paused",
        "closing",
        "finishing",
        "half_closed",
        "transport",
    )

    def __init__(self, owner: Connections) -> None:
        self._owner = owner
        self.transport: asyncio.Transport | None = None
        self._reader = RequestReader(asyncio.get_running_loop())
        self._cached: CachedHead | None = None
        self._segment: bytes | None = b""  # the last segment; None once a segment was not exactly one request: then nothing is cached
        self._request: Request | None = None  # that is being answered; None for one whose head was cached
        self._task: asyncio.Task[None] | None = None
        self._busy = False  # a request is being answered
        self._turn_due = False
        self._write_paused = False
        self._reading_held = False
        self._receiving = False
        self._lingering = False
        self.finishing = False  # closes behind the answer that comes next
        self._ticks = 0
        self.closing = False
        self.half_closed = False  # the client sends no more

    # -- for handlers, and for whoever watches -------------------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        """Whether nobody can read an answer any more."""
        return self.transport is None or self.transport.is_closing()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._busy

    @property
    def unread_bytes(self) -> int:
        """How many received bytes wait for their turn."""
        return self._reader.unread_bytes

    @property
    def cached(self) -> CachedHead | None:
        """The head whose requests need no parser."""
        return self._cached

    @property
    def client_port(self) -> int:
        """The peer's port, 0 when it is gone."""
        peer = self.transport.get_extra_info("peername") if self.transport is not None else None
        return int(peer[1]) if peer else 0

    @property
    def client_address(self) -> str:
        """The peer's IP address, empty when it is gone."""
        peer = self.transport.get_extra_info("peername") if self.transport is not None else None
        return str(peer[0]) if peer else ""

    def detach_to(self, handoff: TransportHandoff) -> bool:
        """Give the transport to `handoff` and forget it, so that this object and its parser can go. False: the client is gone."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        self._owner.write_buffer.flush()
        self._owner.remove(self)
        self.transport, self.closing = None, True
        handoff.adopt(transport)
        if self._reading_held:
            transport.resume_reading()
        return True

    # -- the transport's side ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless the server is full. Socket options are inherited from the listening socket."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not subclasses
        self._owner.open[self] = None
        if self._owner.full():
            self._owner.metrics.connections_refused += 1
            self.transport.write(render(problem(Unavailable("Too many connections; try again later.")), CLOSE))
            self._close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone. A request that is being answered is finished all the same."""
        self.transport, self.closing = None, True
        if not self._busy:
            self._owner.remove(self)

    def data_received(self, data: bytes) -> None:
        """Answer a request with a known head at once; else let the bytes wait for their turn."""
        cached = self._cached
        if cached is not None and not (self._busy or self._turn_due or self._write_paused or self.closing):
            body = cached.body_of(data)
            if body is not None:
                self._busy = True
                self._owner.dispatcher.begin(cached.route, cached.headers, body, self)
                return
        if self.closing:
            return  # what a client still sends after a refusal is thrown away
        between = not (self._busy or self._turn_due or self._write_paused or self._reader.begun)
        self._segment = data if between and self._segment is not None else None
        self._cached = None
        self._reader.feed(data)
        if self._busy or self._turn_due:
            self._hold_reading()
        else:
            self._turn()

    def eof_received(self) -> bool:
        """The client sends no more, but it may still read: answer what has come whole, then close."""
        self.half_closed = True
        self._owner.write_buffer.flush()  # the transport closes at once when nothing is to be answered any more
        return self._busy or self._turn_due or (self._write_paused and not self.closing)

    def pause_writing(self) -> None:
        """The client does not read its answers: from here on the ticks count."""
        self._ticks = 0
        self._write_paused = True
        self._hold_reading()

    def resume_writing(self) -> None:
        """The client has read on."""
        self._write_paused = False
        self._hold_reading()
        self._next_turn()

    def _hold_reading(self) -> None:
        """Stop reading while more waits than may, and go on when it does not."""
        hold = not self.closing and (self._write_paused or self._reader.unread_bytes > SLICE_BYTES)
        transport = self.transport
        if hold is not self._reading_held and transport is not None and not transport.is_closing():
            self._reading_held = hold
            if hold:
                transport.pause_reading()
            else:
                transport.resume_reading()

    # -- the requests' side --------------------------------------------------------------------------------------------------

    def _next_turn(self) -> None:
        """Take a turn, if there may be something to do, once other connections have had theirs."""
        if not (self._turn_due or self._busy or self._write_paused) and (self._reader.waiting or self.half_closed):
            self._turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Parse one slice, and begin to answer the request that is complete with it."""
        self._turn_due = False
        if self._busy or self._write_paused or self.closing:
            return
        try:
            request = self._reader.advance()
        except FlashError as error:
            self._refuse(error)
            return
        if request is not None:
            self._receiving = False
            self._begin(request)
        elif self._reader.waiting:
            self._next_turn()
        elif self.half_closed:
            self._close()
        elif self._reader.begun and not self._receiving:
            self._receiving, self._ticks = True, 0
            if self._reader.awaits_continue and self.transport is not None:
                self._owner.write_buffer.write(self.transport, b"HTTP/1.1 100 Continue\r\n\r\n")
        self._hold_reading()

    def _begin(self, request: Request) -> None:
        dispatcher = self._owner.dispatcher
        route = dispatcher.synchronous(request.method, request.target)
        self._busy, self._request = True, request
        segment = self._segment
        if segment is not None:
            if is_whole(segment, request.body):
                self._reader.at_boundary()
            else:
                self._segment = None
        if route is None:
            self._task = asyncio.get_running_loop().create_task(self._run(request))
            return
        if self._segment is not None and not (request.last or request.old):
            self._cached = remember(self._segment, request.headers, route)
        dispatcher.begin(route, request.headers, request.body, self)

    async def _run(self, request: Request) -> None:
        answer = await self._owner.dispatcher.run(request.method, request.target, request.headers, request.body, self)
        self._task = None
        self.answered(answer)

    def answered(self, answer: Answer) -> None:
        """The dispatcher is through with the request."""
        request, self._request = self._request, None
        self._busy = False
        self._ticks = 0
        if self.transport is None:  # gone, or detached
            self._owner.remove(self)
            return
        if self.closing:
            return
        last = self.finishing or (self.half_closed and not self._reader.waiting)
        if request is None:
            data = render(answer, CLOSE if last else b"")
        else:
            last = last or request.last
            header = CLOSE if last else KEEP if request.old else b""
            data = render(answer, header, head_only=request.method == "HEAD")
        self._owner.write_buffer.write(self.transport, data)
        if last:
            self._close()
        else:
            self._next_turn()

    # -- ends ----------------------------------------------------------------------------------------------------------------

    def _refuse(self, error: FlashError) -> None:
        """Answer what cannot be dispatched. The client may still be sending: closing at once could destroy the answer on its way."""
        self._owner.metrics.refused(error.code)
        transport = self.transport
        if transport is None:
            return
        self._owner.write_buffer.write(transport, render(problem(error), CLOSE))
        self._ticks = 0
        if self.half_closed or not transport.can_write_eof():
            self._close()
            return
        self._owner.write_buffer.flush()
        self.closing = self._lingering = True
        self._hold_reading()
        transport.write_eof()

    def _close(self) -> None:
        """Close when everything is sent."""
        self.closing = True
        self._owner.write_buffer.flush()
        if self.transport is not None:
            self.transport.close()

    def finish(self) -> None:
        """Close behind the answer that is being made, or at once if there is none."""
        self.finishing = True
        if not self._busy:
            self._close()

    def abandon(self) -> None:
        """Give up the request that is being answered, and what is not sent."""
        if self._task is not None:
            self._task.cancel()
        self._owner.remove(self)
        if self.transport is not None:
            self.transport.abort()

    def sweep(self) -> None:
        """One tick of the server has gone by: end what takes longer than the limits allow."""
        self._ticks += 1
        ticks, limits, transport = self._ticks, self._owner.limits, self.transport
        if transport is None:
            return
        if self._write_paused:
            if ticks > limits.ticks(limits.stall_s):
                transport.abort()
        elif self._lingering:
            if ticks > limits.ticks(limits.linger_s):
                transport.abort()
        elif self._receiving:
            if ticks > limits.ticks(limits.request_s):
                self._refuse(NotInTime())
        elif not self._busy and ticks > limits.ticks(limits.idle_s):
            self._close()
