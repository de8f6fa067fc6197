"""One HTTP connection until it closes or is detached. Rule: it answers one request at a time, and does one piece of work in one turn of
the loop, so that a client with many requests keeps no other client waiting.

Past the transport's high-water mark nothing more is answered, parsed or read. So one connection never holds more than that mark, one
answer, and one read of the loop.
"""

import asyncio
from typing import cast

from domain.errors import FlashError, TooManyRequests, Unavailable
from edge.http.fast_path import CachedHead, is_whole, remember
from edge.http.long_answer import LongBody
from edge.http.messages import CLOSE, CONTINUE, KEEP, Answer, Source, TransportHandoff, render
from edge.http.problems import NotInTime, problem
from edge.http.request_reader import SLICE_BYTES, Request, RequestReader
from edge.http.shared import FULL, Shared
from edge.http.shares import Seat


class Connection(asyncio.Protocol):
    """A client's connection. `ticks` counts the server's ticks since the connection last changed between idle, receiving and stalled."""

    def __init__(self, shared: Shared["Connection"]) -> None:
        self._shared = shared
        self._dispatcher = shared.dispatcher
        self._request: Request | None = None  # that is being answered; None for one whose head was cached
        self._segment: bytes | None = b""  # the last one received; None once a segment was not exactly one request
        self._task: asyncio.Task[None] | None = None
        self._long: LongBody | None = None  # the answer that is being sent
        self._ticks = 0
        self._turn_due = False
        self._write_paused = False
        self._reading_held = False
        self._receiving = False
        self._lingering = False
        self.transport: asyncio.Transport | None = None
        self.reader = RequestReader(asyncio.get_running_loop())
        self.seat = Seat(shared.shares)
        self.cached: CachedHead | None = None  # its requests need no parser; never set again once `_segment` is None
        self.busy = False  # a request is being answered
        self.closing = False
        self.finishing = False  # closes behind the answer that comes next
        self.half_closed = False  # the client sends no more

    @property
    def gone(self) -> bool:
        """Whether nobody can read an answer any more."""
        return self.transport is None or self.transport.is_closing()

    @property
    def client(self) -> tuple[str, int]:
        """The client's IP address and port; "" and 0 when it is gone."""
        peer = self.transport.get_extra_info("peername") if self.transport is not None else None
        return (str(peer[0]), int(peer[1])) if peer else ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless the server is full. Socket options are inherited from the listening socket."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not subclasses
        self._shared.open.add(self)
        try:
            self.finishing = self._shared.admit(self.seat, self.client[0])
        except FlashError as error:
            self.transport.write(render(problem(error), CLOSE))
            self._close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone. A request that is being answered is finished all the same."""
        self.transport, self.closing = None, True
        if self._long is not None:
            self._long.resume()
        self.seat.leave()
        if not self.busy:
            self._shared.open.remove(self)

    def data_received(self, data: bytes) -> None:
        """Answer a request with a known head at once; else let the bytes wait for their turn."""
        cached = self.cached
        if cached is not None and not (self.busy or self._turn_due or self._write_paused or self.closing):
            body = cached.body_of(data)
            if body is not None:
                self.busy = True
                self._dispatcher.begin(cached.route, cached.headers, body, self)
                return
        if self.closing:
            return  # what a client still sends after a refusal is thrown away
        between = not (self.busy or self._turn_due or self._write_paused or self.reader.begun)
        self._segment = data if between and self._segment is not None else None
        self.cached = None
        self.reader.feed(data)
        if self.busy or self._turn_due:
            self._hold_reading()
        else:
            self._turn()

    def eof_received(self) -> bool:
        """The client sends no more, but it may still read: answer what has come whole, then close."""
        self.half_closed = True
        self._shared.write_buffer.flush()  # the transport closes at once when nothing is to be answered any more
        return self.busy or self._turn_due or (self._write_paused and not self.closing)

    def pause_writing(self) -> None:
        """The client does not read its answers: from here on the ticks count."""
        self._ticks = 0
        self._write_paused = True
        if self._long is not None:
            self._long.paused = True
        self._hold_reading()

    def resume_writing(self) -> None:
        """The client has read on."""
        self._write_paused = False
        if self._long is not None:
            self._long.resume()
        self._hold_reading()
        self._next_turn()

    def _hold_reading(self) -> None:
        """Stop reading while more waits than may, and go on when it does not."""
        hold = not self.closing and (self._write_paused or self.reader.unread_bytes > SLICE_BYTES)
        transport = self.transport
        if hold is not self._reading_held and transport is not None and not transport.is_closing():
            self._reading_held = hold
            (transport.pause_reading if hold else transport.resume_reading)()

    def _next_turn(self) -> None:
        """Take a turn, if there may be something to do, once other connections have had theirs."""
        if not (self._turn_due or self.busy or self._write_paused) and (self.reader.waiting or self.half_closed):
            self._turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Parse one slice, and begin to answer the request that is complete with it."""
        self._turn_due = False
        if self.busy or self._write_paused or self.closing:
            return
        try:
            request = self.reader.advance()
            self.seat.receive(self.reader.coming_bytes)
            if request is not None and self.seat.lent:
                self.seat.name(self.client[0], request.headers)
        except FlashError as error:
            self._refuse(error)
            return
        if request is not None:
            self._receiving = False
            self._begin(request)
        elif self.reader.waiting:
            self._next_turn()
        elif self.half_closed:
            self._close()
        elif self.reader.begun and not self._receiving:
            self._receiving, self._ticks = True, 0
            if self.reader.awaits_continue and self.transport is not None:
                self._shared.write_buffer.write(self.transport, CONTINUE)
        self._hold_reading()

    def belong_to(self, uid: int) -> None:
        """This is the connection of that user. Raises `TooManyRequests`; then it closes behind the answer."""
        if uid != self.seat.uid:
            try:
                self.seat.belong_to(uid)
            except TooManyRequests:
                self.finishing = True
                raise

    def _begin(self, request: Request) -> None:
        route = self._dispatcher.synchronous(request.method, request.target)
        self.busy, self._request = True, request
        if self._segment is not None and is_whole(self._segment, request.body):
            self.reader.at_boundary()
            if route is not None and not (request.last or request.old):
                self.cached = remember(self._segment, request.headers, route)
        else:
            self._segment = None  # nobody knows from here on where in a request the parser stands
        if route is not None:
            self._dispatcher.begin(route, request.headers, request.body, self)
        else:
            self._task = asyncio.get_running_loop().create_task(self._run(request))

    async def _run(self, request: Request) -> None:
        answer = await self._dispatcher.run(request.method, request.target, request.headers, request.body, self)
        if answer.source is not None and self.transport is not None and request.method != "HEAD":
            await self._send_long(answer, answer.source, request)
        else:
            self._task = None
            self.answered(answer)

    async def _send_long(self, answer: Answer, source: Source, request: Request) -> None:
        """Send an answer whose body is made while it is sent."""
        assert self.transport is not None
        last = request.last or request.old
        self._long = LongBody(self.transport, self._shared.write_buffer, chunked=not request.old)
        try:
            whole = await self._long.send(render(answer, CLOSE if request.old else b""), source)
        finally:
            self._task = self._long = None
        self.finishing = self.finishing or last or not whole
        self._sent()

    def _sent(self) -> None:
        """A long answer is sent, or broke off."""
        self._request, self.busy, self._ticks = None, False, 0
        if self.seat.lent:
            self.seat.leave()
        if self.transport is None:
            self._shared.open.remove(self)
        elif self.finishing:
            self._close()
        else:
            self._next_turn()

    def answered(self, answer: Answer) -> None:
        """Send the answer to the request that is being answered."""
        request, self._request, self.busy, self._ticks = self._request, None, False, 0
        transport = self.transport
        if self.seat.lent:
            self.seat.leave()
        if transport is None:  # gone, or detached
            self._shared.open.remove(self)
            return
        waiting = self.reader.waiting
        last = self.finishing or (self.half_closed and not waiting)
        if request is None:
            data = render(answer, CLOSE if last else b"")
        else:
            last = last or request.last
            data = render(answer, CLOSE if last else KEEP if request.old else b"", head_only=request.method == "HEAD")
        self._shared.write_buffer.write(transport, data)
        if last:
            self._close()
        elif waiting or self.half_closed:
            self._next_turn()

    def detach_to(self, handoff: TransportHandoff) -> bool:
        """Give the transport to `handoff`, so that this object and its parser can go. False: the client is gone. Raises `Unavailable`."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        if self._shared.calls_only():
            self.finishing = True
            raise Unavailable(FULL)
        self._shared.write_buffer.flush()
        self._shared.open.remove(self)
        self.transport, self.closing = None, True
        self.seat.keep()
        handoff.adopt(transport, self.seat)
        if self._reading_held:
            transport.resume_reading()
        return True

    def _refuse(self, error: FlashError) -> None:
        """Answer what cannot be dispatched. The client may still be sending: closing at once could destroy the answer on its way."""
        self._shared.metrics.refused(error.code)
        transport = self.transport
        if transport is None:
            return
        self._shared.write_buffer.write(transport, render(problem(error), CLOSE))
        self._ticks = 0
        if self.half_closed:
            self._close()
            return
        self._shared.write_buffer.flush()
        self.closing = self._lingering = True
        self._hold_reading()
        transport.write_eof()

    def _close(self) -> None:
        """Close when everything is sent."""
        self.closing = True
        self._shared.write_buffer.flush()
        if self.transport is not None:
            self.transport.close()

    def finish(self) -> None:
        """Close behind the answer that is being made, or at once if there is none."""
        self.finishing = True
        if not self.busy:
            self._close()

    def abort(self) -> None:
        """Give up the request that is being answered, and what is not sent."""
        if self._task is not None:
            self._task.cancel()
        self._shared.open.remove(self)
        if self.transport is not None:
            self.transport.abort()

    def sweep(self) -> None:
        """One tick of the server has gone by: end what takes longer than the limits allow."""
        self._ticks += 1
        limits = self._shared.limits
        seconds = self._ticks * limits.tick_s
        if self._write_paused or self._lingering:
            if self.transport is not None and seconds > (limits.stall_s if self._write_paused else limits.linger_s):
                self.transport.abort()
        elif self._receiving and seconds > limits.request_s:
            self._refuse(NotInTime())
        elif not (self.busy or self._receiving) and seconds > limits.idle_s:
            self._close()
