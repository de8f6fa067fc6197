"""One open back connection as a row of parts. Rule: every way in which it can end has a name, and silence is one of them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from flash_sdk.errors import FlashClientError
from flash_sdk.multipart import MultipartParser, boundary_of
from flash_sdk.parts import Parser, Part
from flash_sdk.sse import SseParser

MULTIPART = "multipart/x-mixed-replace"
SSE = "text/event-stream"
WELCOME_TIMEOUT_S = 30.0  # of a poll: the home must answer a login as fast as any request
TURN_BYTES = 4096  # parsed at a time: of the smallest parts, 2,000, which take about 10 ms; then the loop may do something else
MAX_LAST_PARTS = 2000  # before a goodbye: a mailbox of 1,000 messages, and as many other parts


class Lost(FlashClientError):
    """The connection broke or ended without a goodbye."""


class Silent(FlashClientError):
    """No byte came for longer than a connection may be silent: the way is cut, or something holds the stream back."""


LogOff = Callable[[], Awaitable[None]]


class Line(Protocol):
    """A back connection, or something that brings the same parts. `idle_s`: how long it may be silent."""

    idle_s: float

    @property
    def ready(self) -> bool:
        """Whether the next part has come already."""

    async def next(self) -> Part:
        """The next part. Raises `Lost`, `Silent`, `ProtocolError` or what the home refused with."""

    async def rest(self, log_off: LogOff, into: list[Part]) -> None:
        """End the session with `log_off`, and collect what it was sent before its goodbye. Raises as `next` does."""

    def close(self) -> None:
        """Drop the connection."""


class PartReader:
    """Takes parts from bytes. A server that sends faster than we can work never keeps the event loop for longer than one turn."""

    def __init__(self, parser: Parser, read: Callable[[], Awaitable[bytes]]) -> None:
        """`read`: waits for more bytes; raises `Lost` or `Silent` when no more come."""
        self._parser = parser
        self._read = read
        self._unparsed = b""
        self._parts: deque[Part] = deque()

    @property
    def ready(self) -> bool:
        """Whether bytes or parts have come that nobody has taken."""
        return bool(self._parts or self._unparsed)

    async def next(self) -> Part:
        """The next part. Raises `ProtocolError` and what `read` raises."""
        while not self._parts:
            if not self._unparsed:
                self._unparsed = await self._read()
            turn, self._unparsed = self._unparsed[:TURN_BYTES], self._unparsed[TURN_BYTES:]
            self._parts.extend(self._parser.feed(turn))
            if self._unparsed or not self._parts:  # there is work for more than one turn, so let other tasks run
                await asyncio.sleep(0)
        return self._parts.popleft()


class PartStream:
    """Reads parts from a response. `idle_s`: how long it may be silent."""

    def __init__(self, response: aiohttp.ClientResponse, idle_s: float) -> None:
        """Raises `ProtocolError` when the response is neither multipart nor an event stream."""
        self.idle_s = idle_s
        self._response = response
        content_type = response.headers.get("Content-Type", "")
        is_sse = content_type.partition(";")[0].strip().lower() == SSE
        self._reader = PartReader(SseParser() if is_sse else MultipartParser(boundary_of(content_type)), self._read)

    @property
    def ready(self) -> bool:
        return self._reader.ready

    async def next(self) -> Part:
        return await self._reader.next()

    async def rest(self, log_off: LogOff, into: list[Part]) -> None:
        await log_off()
        await until_goodbye(self, into)

    def close(self) -> None:
        self._response.close()

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(self.idle_s):
                chunk = await self._response.content.readany()
        except TimeoutError:
            raise Silent("the back connection fell silent") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Lost("the back connection broke") from error
        if not chunk:
            raise Lost("the back connection ended without a goodbye")
        return chunk


async def until_goodbye(line: Line, into: list[Part]) -> None:
    """Collect the last parts of a session that was ended. Raises `Lost` when there are more than any home sends."""
    while (part := await line.next()).name != "goodbye":
        into.append(part)
        if len(into) > MAX_LAST_PARTS:
            raise Lost("the home does not end the session")
