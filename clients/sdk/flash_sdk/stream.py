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


class Lost(FlashClientError):
    """The connection broke or ended without a goodbye."""


class Silent(FlashClientError):
    """Not a byte came for longer than it may take: the way is cut, or the stream is held back."""


LogOff = Callable[[], Awaitable[None]]


class Line(Protocol):
    """A back connection, or what stands for one. `idle_s`: how long silence is believed to be life."""

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


class PartStream:
    """Reads parts from a response. `idle_s`: how long silence is believed to be life."""

    def __init__(self, response: aiohttp.ClientResponse, idle_s: float) -> None:
        """Raises `ProtocolError` when the response is neither multipart nor an event stream."""
        self.idle_s = idle_s
        self._response = response
        self._ready: deque[Part] = deque()
        content_type = response.headers.get("Content-Type", "")
        self._parser: Parser
        if content_type.partition(";")[0].strip().lower() == SSE:
            self._parser = SseParser()
        else:
            self._parser = MultipartParser(boundary_of(content_type))

    @property
    def ready(self) -> bool:
        """Whether the next part has come already."""
        return bool(self._ready)

    async def next(self) -> Part:
        """The next part. Raises `Lost`, `Silent` or `ProtocolError`."""
        while not self._ready:
            try:
                async with asyncio.timeout(self.idle_s):
                    chunk = await self._response.content.readany()
            except TimeoutError:
                raise Silent("the back connection fell silent") from None
            except (aiohttp.ClientError, OSError) as error:
                raise Lost("the back connection broke") from error
            if not chunk:
                raise Lost("the back connection ended without a goodbye")
            self._ready.extend(self._parser.feed(chunk))
        return self._ready.popleft()

    async def rest(self, log_off: LogOff, into: list[Part]) -> None:
        """End the session, and collect what came before its goodbye."""
        await log_off()
        await until_goodbye(self, into)

    def close(self) -> None:
        """Drop the connection."""
        self._response.close()


async def until_goodbye(line: Line, into: list[Part]) -> None:
    """Read a session that was ended to its end."""
    while (part := await line.next()).name != "goodbye":
        into.append(part)
