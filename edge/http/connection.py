"""One HTTP connection until it closes or is handed over. Rule: requests are answered one at a time, in the order in which they came.

aiohttp parses and buffers; its way from a parsed message to a written response (a request object, a response object, a writer and a task
for each request, some 80 µs) is replaced by `start` below, which passes plain values and writes plain bytes (some 25 µs, half of it the
kernel's). A head that repeats the last one is not parsed again (`edge/http/head_cache.py`), and its synchronous route is answered
without waking the task: a tenth of a popup.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from aiohttp.http import HttpVersion10, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from aiohttp.web_server import Server

from domain.errors import FlashError, Malformed, TooLarge
from edge.contracts.requests import MAX_BODY_BYTES
from edge.http.body import BAD_FRAMING, read_body
from edge.http.disposition import Disposition, Reply, TransportHandoff
from edge.http.head_cache import NOTHING_YET, CachedHead, learn
from edge.http.messages import CLOSE, KEEP, Answer, render
from edge.http.problems import NotInTime, problem

if TYPE_CHECKING:
    from edge.http.server import EdgeServer

MAX_LINE_BYTES = 8_190  # a request line or header: every server's usual bound
MAX_HEADERS = 64  # a client sends ten, a chain of proxies adds as many


class Connection(RequestHandler):
    """A client's connection. `ticks` counts the server's ticks since the connection last changed between idle, receiving and stalled."""

    __slots__ = ("_body", "_known", "_synchronous", "edge", "half_closed", "lingering", "payload", "receiving", "ticks")

    def __init__(self, manager: Server, *, loop: asyncio.AbstractEventLoop, edge: "EdgeServer") -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to say "none"
            keepalive_timeout=0,  # idle connections are swept by the server, without a timer each
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            read_bufsize=MAX_BODY_BYTES,
            auto_decompress=False,  # nobody may unfold 64 KiB into gigabytes here
        )
        self.edge = edge
        self.ticks = 0
        self.receiving = False
        self.lingering = False
        self.half_closed = False
        self.payload: StreamReader | None = None  # of a body that is being read
        self._body = b""  # of a request whose head was known
        self._known: CachedHead | None = NOTHING_YET  # None once requests and segments have not come one by one
        self._synchronous = False  # a request for a synchronous route is being answered

    # -- the transport's side --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless the server is full. Socket options are inherited from the listening socket."""
        assert self._manager is not None
        transport = cast(asyncio.Transport, transport)  # uvloop's are not subclasses
        self.transport = transport
        self._manager.connection_made(self, transport)
        if self.edge.full():
            self._force_close = True
            transport.write(self.edge.full_answer())
            transport.close()
            return
        self._task_handler = self._loop.create_task(self.start())

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone: nobody waits for the rest of a body. What is being handled is finished all the same."""
        if self.payload is not None:
            self.payload.set_exception(ConnectionResetError())
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's own closes at once
        """The client sends no more, but it may still read: answer what has come whole, then close."""
        self._close = self.half_closed = True
        self.edge.outbox.flush()  # the transport closes at once when nothing is to be answered any more
        return self.payload is None and (self._request_in_progress or bool(self._messages))

    def resume_reading(self, resume_parser: bool = True) -> None:
        """aiohttp asks for it at the end of every body; the transport need not hear of it unless it was told to pause."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def pause_writing(self) -> None:
        """The client does not read its answers: from here on the ticks count."""
        self.ticks = 0
        super().pause_writing()

    def data_received(self, data: bytes) -> None:
        """Parse; notice when a request has begun that is not complete."""
        known = self._known
        if known is not None and known.is_in(data) and not (self._messages or self._close or self._force_close):
            if known.route is not None and not (self._request_in_progress or self._paused):
                self._synchronous = self._request_in_progress = True
                self.edge.dispatcher.begin(known.route, known.message.headers, known.body(data), self)
                return
            self._messages.append((known.message, EMPTY_PAYLOAD))
            self._body = known.body(data)
            self._wake()
            return
        waiting = len(self._messages)
        super().data_received(data)
        if known is not None:
            self._known = learn(data, [*self._messages][waiting:], self.edge.dispatcher.synchronous)
        if not self._messages:
            if not self.receiving and not self._request_in_progress:
                self.receiving = True
                self.ticks = 0
        elif self.payload is not None and self.broken:
            # The parser gives up on broken chunks without telling whoever reads the body.
            self.payload.set_exception(Malformed(BAD_FRAMING))

    @property
    def broken(self) -> bool:
        """Whether what came last is not HTTP."""
        return bool(self._messages) and isinstance(self._messages[-1][0], _ErrInfo)

    @property
    def gone(self) -> bool:
        """Whether nobody can read an answer any more."""
        return self.transport is None or self.transport.is_closing()

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

    def hand_over(self, back: TransportHandoff) -> bool:
        """Give the transport to `back` and forget it, so that this object, its parser and buffers can go. False: the client is gone."""
        transport, manager = self.transport, self._manager
        if transport is None or manager is None or transport.is_closing():
            return False
        self.edge.outbox.flush()
        paused = self._reading_paused or self._buffer_paused
        manager._connections.pop(self, None)
        self._force_close = True
        self.transport = self._manager = self._parser = self._request_factory = self._request_handler = None
        self._messages.clear()
        back.adopt(transport)
        if paused:
            transport.resume_reading()
        return True

    # -- the requests' side ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Answer requests until the connection ends. aiohttp's shutdown waits for this."""
        try:
            while not self._force_close:
                if self._synchronous or not self._messages:
                    if (self._close and not self._synchronous) or not await self._wait():
                        break
                    continue
                self._request_in_progress = True
                try:
                    message, payload = self._messages.popleft()
                    if self._parser is not None:
                        self._parser.message_consumed()
                    if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
                        self._resume_reading_if_drained()
                    reply, after = await self._answer(message, payload)
                finally:
                    self._request_ended()
                if not self._reply(reply, after):
                    return
                if self._paused:
                    await self._drain_helper()
        except ConnectionError:
            pass  # gone while its answer was on the way: there is nobody to tell
        finally:
            self._task_handler = None
        if self.transport is not None and not self.lingering:
            self.edge.outbox.flush()
            self.transport.close()

    async def _wait(self) -> bool:
        """Wait for a request. False when the connection is closing."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            if not (self._close or self._force_close):
                raise
            return self._synchronous  # what was begun is answered first
        finally:
            self._waiter = None
        return True

    def answered(self, answer: Answer) -> None:
        """The dispatcher is through with a request for a synchronous route."""
        self._synchronous = False
        self._request_ended()
        ending = (self._close or self._force_close) and not self._messages
        self.ticks = 0
        if self.transport is not None:
            self.edge.outbox.write(self.transport, render(answer, CLOSE if ending else b""))
        if self._messages or ending:
            self._wake()

    def _request_ended(self) -> None:
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _answer(self, message: RawRequestMessage | _ErrInfo, payload: StreamReader) -> Reply:
        """Read the body, run the route, and say what happens to the connection. Raises nothing but cancellation."""
        if isinstance(message, _ErrInfo):
            return self._refusal(Malformed("This is not HTTP as a server understands it."))
        try:
            if payload is EMPTY_PAYLOAD:
                raw, self._body = self._body, b""
            elif payload.is_eof():
                # The public way to read would ask the parser for more, which costs as much as parsing the request did.
                raw = b"".join(payload._buffer)
            else:
                raw = await read_body(self, message, payload)
            if len(raw) > MAX_BODY_BYTES:
                raise TooLarge(f"A request body has at most {MAX_BODY_BYTES} bytes.")
            if message.version < HttpVersion10:
                raise Malformed("HTTP/1.0 or HTTP/1.1 is spoken here.")
            if message.compression:
                raise Malformed("Compressed bodies are not understood.")
            target = message.path if message.path[:1] in "/*" else message.url.raw_path_qs
        except FlashError as error:
            return self._refusal(error)
        self.receiving = False
        answer = await self.edge.dispatcher.run(message.method, target, message.headers, raw, self)
        # Behind an upgrade that is not made the parser has dropped bytes: what comes next may be the middle of a request.
        if message.should_close or message.upgrade or self._upgraded or (self._close and not self._messages):
            return render(answer, CLOSE, head_only=message.method == "HEAD"), Disposition.CLOSE
        keep = KEEP if message.version == HttpVersion10 else b""
        return render(answer, keep, head_only=message.method == "HEAD"), Disposition.KEEP

    def _refusal(self, error: FlashError) -> Reply:
        """An answer to what cannot be dispatched; the connection cannot go on after it."""
        self.edge.metrics.refused(error.code)
        return render(problem(error), CLOSE), Disposition.LINGER

    def _reply(self, data: bytes, after: Disposition) -> bool:
        """Write an answer. False when the connection does not go on."""
        self.ticks = 0
        self.receiving = False
        transport = self.transport
        if transport is None:
            return False  # gone, or handed over
        self.edge.outbox.write(transport, data)
        if after is Disposition.KEEP:
            return True
        self.edge.outbox.flush()
        self._close = True  # whatever comes now is thrown away
        if after is Disposition.LINGER and transport.can_write_eof():
            self.lingering = True
            transport.write_eof()
        else:
            transport.close()
        return False

    def sweep(self) -> None:
        """One tick of the server has gone by: end what takes too long. See `edge.server.Limits`."""
        self.ticks += 1
        limits = self.edge.limits
        transport = self.transport
        if transport is None:
            return
        if self._paused:
            if self.ticks > limits.stall_ticks:
                transport.abort()
        elif self.lingering:
            if self.ticks > limits.linger_ticks:
                transport.abort()
        elif self.receiving:
            if self.ticks > limits.request_ticks:
                self._time_out()
        elif not self._request_in_progress and self.ticks > limits.idle_ticks:
            self.force_close()

    def _time_out(self) -> None:
        if self.payload is not None:
            self.payload.set_exception(NotInTime())
        elif self._waiter is not None:
            self._reply(*self._refusal(NotInTime()))
            self.close()
