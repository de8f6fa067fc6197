"""The HTTP of the load generator: requests are bytes that are made in advance, and answers are parsed no further than necessary.

Rule: the generator must cost much less than a server.
Requests on one connection follow each other. The parser knows the header names of the servers and their order; if these changed, it would
not recognise answers any more, and the run would fail.
"""

import asyncio
import re
from collections.abc import Callable
from typing import cast

LENGTH = re.compile(rb"[Cc]ontent-[Ll]ength: (\d+)\r\n")
PART = re.compile(rb"Flash-Part: (\w+)\r\nContent-Length: (\d+)\r\n\r\n")
AFTER_PART = len(b"\r\n--flash\r\n")

OnAnswer = Callable[[int, bytes], None]  # status, body
OnPart = Callable[[bytes, bytes], None]  # name, body


class Failed(Exception):
    """A server gave a wrong answer, or none."""


def head(method: str, path: str, token: str | None, length: int) -> bytes:
    """A request without its body, which has `length` bytes."""
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: flash\r\n{bearer}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def request(method: str, path: str, token: str | None, body: bytes = b"") -> bytes:
    """A whole request."""
    return head(method, path, token, len(body)) + body


class Poster(asyncio.Protocol):
    """A keep-alive connection with at most one request under way. If the server closes it while it is idle, it is opened again."""

    __slots__ = ("_asked", "_on_answer", "_port", "_rest", "_retried", "_transport", "busy")

    def __init__(self, port: int) -> None:
        self._port = port
        self._rest = b""
        self._asked = b""
        self._on_answer: OnAnswer | None = None
        self._transport: asyncio.Transport | None = None
        self._retried = False
        self.busy = False

    @classmethod
    async def connect(cls, port: int) -> "Poster":
        """A connection to a server on this machine."""
        poster = cls(port)
        await asyncio.get_running_loop().create_connection(lambda: poster, "127.0.0.1", port)
        return poster

    def post(self, data: bytes, on_answer: OnAnswer) -> None:
        """Send a request that may be repeated. `on_answer` is called with the whole answer, or with status 0 when none will come."""
        self.busy = True
        self._retried = False
        self._asked = data
        self._on_answer = on_answer
        if self._transport is None:
            self._again()
        else:
            self._transport.write(data)

    async def call(self, data: bytes) -> tuple[int, bytes]:
        """Like `post`, as a coroutine. Raises `Failed` for a lost connection."""
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

        def answered(status: int, body: bytes) -> None:
            if not future.done():  # the caller may have given up
                future.set_result((status, body))

        self.post(data, answered)
        status, body = await future
        if status == 0:
            raise Failed("a connection was lost")
        return status, body

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.busy:
            self._transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        """Take an answer, or a piece of one."""
        if self._rest:
            data = self._rest + data
        end = data.find(b"\r\n\r\n") + 4
        if end > 3:
            status = int(data[9:12])
            if status == 204:
                self._answered(204, b"")
                return
            length = LENGTH.search(data, 0, end)
            if length is not None and len(data) >= end + int(length[1]):
                self._answered(status, data[end:])
                return
        self._rest = data

    def connection_lost(self, exc: Exception | None) -> None:
        """Send the request that was under way again, on a new connection."""
        self._transport = None
        if self.busy:
            self._again()

    def _again(self) -> None:
        if self._retried:
            self._answered(0, b"")
            return
        self._retried = True
        loop = asyncio.get_running_loop()
        opening = loop.create_task(loop.create_connection(lambda: self, "127.0.0.1", self._port))
        opening.add_done_callback(self._opened)

    def _opened(self, opening: "asyncio.Task[object]") -> None:
        if not opening.cancelled() and opening.exception() is not None:
            self._answered(0, b"")

    def _answered(self, status: int, body: bytes) -> None:
        self._rest = b""
        self.busy = False
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(status, body)


class Stream(asyncio.Protocol):
    """A back connection. `on_part` is called for each whole part, with `lost` as its name when the connection ends."""

    __slots__ = ("_on_part", "_opening", "_rest", "_transport")

    def __init__(self, opening: bytes, on_part: OnPart) -> None:
        self._opening = opening
        self._on_part = on_part
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, port: int, token: str, on_part: OnPart) -> "Stream":
        """Log in at a home on this machine; `welcome` comes as a part. A refusal comes as a part named `refused`."""
        opening = request("POST", "/v1/back-connection", token, b'{"client":"bench/1"}')
        _, stream = await asyncio.get_running_loop().create_connection(lambda: cls(opening, on_part), "127.0.0.1", port)
        return stream

    def close(self) -> None:
        """Close the connection without logging off."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Log in."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._opening)
        self._opening = b""

    def data_received(self, data: bytes) -> None:
        """Take some parts, perhaps with a piece of one at either end."""
        if self._rest:
            data = self._rest + data
        elif data.startswith(b"HTTP/1.1 ") and data[9:12] != b"200":
            self._on_part(b"refused", data)
            return
        at, size = 0, len(data)
        while (part := PART.search(data, at)) is not None:
            start = part.end()
            end = start + int(part[2])
            if end + AFTER_PART > size:
                break
            at = end + AFTER_PART
            self._on_part(part[1], data[start:end])
        self._rest = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end as a part named `lost`."""
        self._transport = None
        self._on_part(b"lost", b"")
