"""Requests out of the bytes of one connection. Rule: no I/O here; one call parses a bounded number of bytes and at most one request.

aiohttp's public parser does the parsing. Bytes that have not come to their turn wait unparsed, because a parsed request takes a hundred
times the room of the bytes `GET / HTTP/1.0`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from aiohttp import StreamReader
from aiohttp.http import HttpRequestParser, HttpVersion10, RawRequestMessage

from domain.errors import Malformed, TooLarge
from edge.contracts.requests import MAX_BODY_BYTES

MAX_LINE_BYTES = 8_190  # a request line or header: every server's usual bound
MAX_HEADERS = 64  # a client sends ten, a chain of proxies adds as many
MAX_HEAD_BYTES = 32_768  # a head as a whole: nginx takes as much; 64 lines of the longest would hold a megabyte while the last is awaited
SLICE_BYTES = 16_384  # parsed at once: as chunks of one byte each they take 0.8 ms
NOT_HTTP = "This is not HTTP as a server understands it."
BAD_FRAMING = "The body is not framed as HTTP has it."


class Request(NamedTuple):
    """One whole request. `last`: the connection cannot go on after it; `old`: it is HTTP/1.0."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    last: bool
    old: bool


class _NoFlowControl:
    """What aiohttp's body readers tell to pause and go on. A body is bounded and read as a whole, so there is nothing to pause."""

    connected = True

    def pause_reading(self) -> None:
        """Go on."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on."""


_NO_FLOW_CONTROL = cast(Any, _NoFlowControl())


class RequestReader:
    """The unparsed bytes of a connection, and the request that is coming. After an error it is of no more use."""

    __slots__ = ("_coming", "_parser", "_parser_may_hold_bytes", "_unread", "begun", "coming_bytes", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = HttpRequestParser(
            _NO_FLOW_CONTROL,
            loop,
            MAX_BODY_BYTES,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            auto_decompress=False,  # nobody may unfold 64 KiB into gigabytes here
            max_msg_queue_size=1,  # the parser stops behind each request and keeps the rest of the slice
        )
        self._unread = b""
        self._parser_may_hold_bytes = False
        self._coming: tuple[RawRequestMessage, StreamReader] | None = None  # a request whose body is not complete
        self.waiting = False  # `advance` may find something without further input
        self.begun = False  # bytes of a request have been parsed, and it is not complete
        self.coming_bytes = 0  # of it

    @property
    def unread_bytes(self) -> int:
        """How many bytes wait unparsed, without those that the parser itself keeps of one slice."""
        return len(self._unread)

    @property
    def awaits_continue(self) -> bool:
        """Whether the client waits for a word before it sends the body."""
        return self._coming is not None and self._coming[0].headers.get("Expect", "").lower() == "100-continue"

    def feed(self, data: bytes) -> None:
        """Keep what has arrived."""
        self._unread = self._unread + data if self._unread else data
        self.waiting = True

    def at_boundary(self) -> None:
        """The caller has found that the bytes so far end exactly where the last request ends."""
        self._parser_may_hold_bytes = False
        self.waiting = bool(self._unread)

    def advance(self) -> Request | None:
        """Parse on: the next request, if that completes it. Raises `Malformed`, `TooLarge`; the connection cannot go on then."""
        data = b""
        if not self._parser_may_hold_bytes:
            data, self._unread = self._unread[:SLICE_BYTES], self._unread[SLICE_BYTES:]
        self._parser_may_hold_bytes = False
        self.waiting = bool(self._unread)
        try:
            messages, _, _ = self._parser.feed_data(data)
        except Exception:  # the parser has several unrelated errors for what is not HTTP
            raise Malformed(NOT_HTTP if self._coming is None else BAD_FRAMING) from None
        if messages:
            self._coming = messages[0]
            _check_length(messages[0][0])
        self.coming_bytes += len(data)
        if self._coming is None:
            self.begun = self.begun or bool(data)
            if self.coming_bytes > MAX_HEAD_BYTES:
                raise TooLarge(f"The head of a request has at most {MAX_HEAD_BYTES} bytes.")
            return None
        message, payload = self._coming
        if payload.total_bytes > MAX_BODY_BYTES:
            raise TooLarge(f"A request body has at most {MAX_BODY_BYTES} bytes.")
        if not payload.is_eof():
            self.begun = True
            return None
        self._coming, self.begun, self.coming_bytes = None, False, 0
        self._parser_may_hold_bytes = self.waiting = True
        self._parser.message_consumed()
        return _request(message, payload.read_nowait() if payload.total_bytes else b"")


def _check_length(message: RawRequestMessage) -> None:
    length = message.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        raise TooLarge(f"A request body has at most {MAX_BODY_BYTES} bytes.")


def _request(message: RawRequestMessage, body: bytes) -> Request:
    version = message.version
    if version < HttpVersion10:
        raise Malformed("HTTP/1.0 or HTTP/1.1 is spoken here.")
    if message.compression:
        raise Malformed("Compressed bodies are not understood.")
    path = message.path
    target = path if path[:1] in "/*" else message.url.raw_path_qs
    # After an upgrade that is not made, the parser would take the other protocol's bytes for requests.
    return Request(message.method, target, message.headers, body, message.should_close or message.upgrade, version == HttpVersion10)
