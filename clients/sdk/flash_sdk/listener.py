"""Listening: back connection after back connection, as one row of events. Rule: the consumer's pace is the acknowledgement's pace.

A task of its own reads, answers blanks and reconnects; events wait in a bounded queue. A message counts as processed when the consumer
asks for the next event, and only then it is acknowledged and remembered as shown. When a consumer stops asking, the reading stops once
the queue is full, and the home's window does the rest.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from flash_sdk.acks import Acker, PostAck
from flash_sdk.backoff import Backoff, Pace
from flash_sdk.direct_port import DirectPort
from flash_sdk.disconnect_reasons import disconnect_reason
from flash_sdk.errors import FlashClientError, ProtocolError
from flash_sdk.event_queue import EventQueue
from flash_sdk.events import Blank, Connected, Disconnected, Event, Goodbye, Message, Transport, Welcome, read, readable
from flash_sdk.mailbox import Item, Mailbox
from flash_sdk.merged_line import MergedLine
from flash_sdk.parts import Part
from flash_sdk.peer_routes import home_has_copy
from flash_sdk.stream import Line
from flash_sdk.tasks import end
from flash_sdk.transport_ladder import BOTTOM, Ending
from flash_sdk.transport_selector import TransportSelector

OpenLine = Callable[[Transport, float, dict[str, Any], Acker], Awaitable[Line]]  # transport, seconds for the welcome, hello → parts
LogOff = Callable[[str], Awaitable[None]]  # session → POST /v1/logoff

SILENT_BLANKS = 2.5  # the protocol's rule for finding the dead, from this side
STEADY_S = 10.0  # a connection that lived so long was a good one: the next failure starts with the shortest wait again
LAST_PARTS_S = 5.0  # two round trips on a bad line
LAST_ACK_S = 2.0  # closing a client must not feel slow

Opened = tuple[Transport, Line, Welcome | Goodbye]  # a connection and its first part


class Better(FlashClientError):
    """The present connection is left for a better one."""


class Listener:
    """An async iterator of events; also an async context manager. Ends after a goodbye for good, raises `Refused` when refused."""

    def __init__(
        self,
        open_line: OpenLine,
        post_ack: PostAck,
        log_off: LogOff,
        mailbox: Mailbox,
        selector: TransportSelector,
        pace: Pace,
        client: str,
        *,
        blanks: bool,
        direct: DirectPort | None = None,
        home_copy_s: float = 2.0,
    ) -> None:
        """`client`: what we call ourselves in the hello. `blanks`: whether to give `Blank` events. `log_off`: ends a polled session on
        closing, because the home would not notice by itself. `direct`: where the home may call us. `home_copy_s`: how long to wait for
        the home's copy of a popup that came directly."""
        self._direct = direct
        if direct is not None:
            direct.receive = self._receive_direct
        self._open_line = open_line
        self._log_off = log_off
        self._selector = selector
        self._mailbox = mailbox
        self._backoff = Backoff(pace)
        self._client = client
        self._blanks = blanks
        self._home_copy_s = home_copy_s
        self._queue = EventQueue()
        self._acker = Acker(mailbox, post_ack, pace, self._queue.processed)
        self._task: asyncio.Task[None] | None = None
        self._in_hand: Item | None = None
        self._leaving = self._over = False
        self._next: Opened | None = None  # the better connection for which the present one is left
        self._polled = False  # whether the present session is
        self._welcomed = self._parts_came = False  # on the present connection: the first part, and any after it

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    @property
    def session(self) -> str | None:
        """The session of the present or last back connection."""
        return self._mailbox.session

    @property
    def over(self) -> bool:
        """Whether iteration has ended."""
        return self._over

    async def __anext__(self) -> Event:
        """The next event. Asking for it says that the event before is processed."""
        if self._in_hand is not None:
            item, self._in_hand = self._in_hand, None
            self._settle(item)
        if self._over:
            raise StopAsyncIteration
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        while True:
            came = await self._queue.get()
            if not isinstance(came, Item):
                self._over = True
                raise came or StopAsyncIteration
            if came.event is not None:
                self._in_hand = came
                return came.event
            self._settle(came)

    async def leave(self) -> None:
        """Acknowledge what is processed and do not come back when the home says goodbye."""
        self._leaving = True
        await self._acker.last(LAST_ACK_S)

    async def aclose(self) -> None:
        """Acknowledge what is processed and drop the connection. The user stays logged in until the home notices."""
        self._over = True
        if self._task is not None:
            await self.leave()
            task, self._task = self._task, None
            await end(task)
            if self._next is not None:
                self._next[1].close()
            if self._polled and self.session is not None:
                await self._end_polled(self.session)

    async def home_has_copy(self, id: str) -> bool:
        """Whether the home has its copy of a message. Waits a little when the message came directly."""
        return await home_has_copy(id, self._mailbox.without_copy, self._home_copy_s)

    def _receive_direct(self, message: Message) -> bool:
        """A sender hands over a message. This must not wait, because the home's copy must not get between judging and queueing."""
        room = not self._over and not self._queue.full
        if room and (item := self._mailbox.receive_direct(message)) is not None:
            self._queue.put_nowait(item)
        return room

    def _settle(self, item: Item) -> None:
        if self._mailbox.processed(item):
            self._acker.wake()
        self._queue.settled(item)

    async def _run(self) -> None:
        """Connect again and again. The consumer gets the error that ends it."""
        error: BaseException | None = None
        try:
            wait_s: float | None = 0.0
            while wait_s is not None:
                await asyncio.sleep(wait_s)
                wait_s = await self._once()
        except Exception as raised:  # not swallowed: it is raised again where the consumer waits
            error = raised
        finally:
            if self._direct is not None:
                self._direct.close()
        await self._queue.put(error)

    async def _once(self) -> float | None:
        """One connection, from hello to its end; how long to wait before the next, None for no next. Raises `Refused`."""
        clock = asyncio.get_running_loop().time
        began = clock()
        at_least_s = 0.0
        ending = Ending.AWAY
        if self._next is None:
            self._selector.before_connect()
        self._welcomed = self._parts_came = False
        try:
            goodbye = await self._connection()
        except Better:
            reason = "better"
        except FlashClientError as error:
            reason, ending = disconnect_reason(error, welcomed=self._welcomed, parts_came=self._parts_came)
            at_least_s = getattr(error, "retry_after_s", None) or 0.0
        else:
            reason = "goodbye"
            at_least_s = goodbye.reconnect_after_s or 0.0
            if goodbye.reason != "shutdown" and goodbye.reconnect_after_s is None:
                self._leaving = True
        if reason != "better":
            self._selector.ended(ending)
        if clock() - began >= STEADY_S:
            self._backoff.reset()
        wait_s = None if self._leaving else 0.0 if self._next is not None else self._backoff.next_s(at_least_s)
        await self._queue.put(Item(Disconnected(reason, wait_s), 0))
        return wait_s

    async def _connection(self) -> Goodbye:
        """Say hello, read the welcome, then read and acknowledge side by side until goodbye. Raises what ended it otherwise."""
        if self._next is not None:
            (transport, stream, welcome), self._next = self._next, None
        else:
            transport, stream, welcome = await self._open(self._mailbox.resume())
        with contextlib.closing(stream):
            if isinstance(welcome, Goodbye):
                await self._queue.put(Item(welcome, 0))
                return welcome
            self._welcomed = True
            if transport == BOTTOM:  # the answer to a poll is whole, so nothing was held back
                self._data_received()
            self._polled = transport == BOTTOM
            self._mailbox.welcome(welcome)
            stream.idle_s = SILENT_BLANKS * welcome.blank_s
            await self._queue.put(Item(Connected(transport), 0))
            await self._queue.put(Item(welcome, 0))
            line: Line = stream if self._direct is None else MergedLine(stream, self._direct, welcome.session)
            reading = asyncio.create_task(self._read(line))
            acking = asyncio.create_task(self._acker.run(welcome.session))
            try:
                await asyncio.wait({reading, acking}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done() and self._next is None:  # a session that is being left takes no acknowledgement any more
                    acking.result()  # it ends only by raising
                return await reading
            finally:
                line.close()  # before the waiting, because a caller who leaves meanwhile would let it stand
                await end(reading, acking)

    async def _read(self, stream: Line) -> Goodbye:
        while True:
            part = await stream.next()
            self._data_received()
            event = await self._take(part)
            if isinstance(event, Goodbye):
                return event
            if self._selector.upgrade_due and not stream.ready:
                await self._probe(stream)

    async def _take(self, part: Part) -> Event | None:
        event = readable(part)
        if isinstance(event, Blank):
            self._acker.wake()
        if self._blanks or not isinstance(event, Blank):
            item = self._mailbox.receive(event, part.seq, part.size)
            if item is not None:
                await self._queue.put(item)
        return event

    async def _open(self, resume: dict[str, object] | None) -> Opened:
        """A connection and its first part. Raises the home's refusal or what broke the connection."""
        hello: dict[str, Any] = {"client": self._client, "pong": True}
        if resume is not None:
            hello["resume"] = resume
        transport = self._selector.transport
        stream = await self._open_line(transport, self._selector.welcome_s, hello, self._acker)
        try:
            while isinstance(first := read(await stream.next()), Blank):
                pass  # some servers and proxies begin an event stream with a comment, to push their buffers
            if not isinstance(first, Welcome | Goodbye):
                raise ProtocolError("the first part was not a welcome")
        except BaseException:
            stream.close()
            raise
        return transport, stream, first

    async def _probe(self, present: Line) -> None:
        """Try the next better transport beside the present connection, which stays when the better one is held back, so that contacts
        notice nothing. Raises `Better` when the better one has its welcome, or when everything begins again in another network."""
        self._selector.before_connect()
        if not self._selector.probing:
            raise Better("another network")
        try:
            self._next = await self._open(None)  # this session must not take the place of the present one
        except FlashClientError as error:
            self._selector.ended(disconnect_reason(error)[1])
        else:
            await self._finish(present)
            raise Better("a better transport works")

    async def _finish(self, line: Line) -> None:
        """Leave a session for the next one, and take what it was sent before that one began: the home sends it again only if no other
        client of this user has acknowledged it meanwhile."""
        session, parts = self.session or "", list[Part]()
        with contextlib.suppress(FlashClientError, TimeoutError):
            async with asyncio.timeout(LAST_PARTS_S):
                await line.rest(lambda: self._log_off(session), parts)
        for part in parts:
            await self._take(part)

    async def _end_polled(self, session: str) -> None:
        """Log off a session that the home would otherwise take for alive for a while."""
        with contextlib.suppress(FlashClientError, TimeoutError):
            async with asyncio.timeout(LAST_ACK_S):
                await self._log_off(session)

    def _data_received(self) -> None:
        self._parts_came = True
        self._selector.data_received()
