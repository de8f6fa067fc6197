"""Requests and answers as the routes see them, and answers as bytes. Rule: no route builds a status line or a header itself."""

import asyncio
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol
from wsgiref.handlers import format_date_time

import msgspec

from runtime.deferred import Deferred
from runtime.scheduler import Job
from servers.security.identity import Identity

JSON = b"application/json"
encode_json = msgspec.json.Encoder().encode


class Counted(Protocol):
    """What a connection is counted under: see `shares.py`."""

    uid: int
    address: str

    def leave(self) -> None:
        """The connection is gone."""


class TransportHandoff(Protocol):
    """What goes on with a connection's transport: a back connection, or a live tail."""

    def adopt(self, transport: asyncio.Transport, seat: Counted) -> None:
        """Become the protocol of a transport whose request has been read, and leave its seat when it is gone."""


class Peer(Protocol):
    """The connection that a request came over, as far as handlers need it."""

    half_closed: bool  # the client sends no more

    @property
    def gone(self) -> bool:
        """Whether nobody can read an answer any more."""

    @property
    def client(self) -> tuple[str, int]:
        """The client's IP address and port; "" and 0 when it is gone."""

    def belong_to(self, uid: int) -> None:
        """This is the connection of that user. Raises `TooManyRequests`."""

    def detach_to(self, handoff: TransportHandoff) -> bool:
        """Give the transport to `handoff`; no answer is written then. False: the client is gone. Raises `Unavailable` when only calls
        are let in."""


NOBODY = Identity(uid=0, handle="", name="", home="", home_url="", expires_at=0.0)  # the identity where a route needs no token


class Call(NamedTuple):
    """One request that has passed its route's gate and types.

    `body` and `query` are the route's own request types; `path` holds the decoded path parameters by name.
    """

    identity: Identity
    body: Any
    path: Mapping[str, str]
    query: Any
    connection: Peer
    headers: Mapping[str, str]


class Source(Protocol):
    """What can be sent piece by piece."""

    def send(self, write: Callable[[bytes], object], drained: Callable[[], Deferred[None] | None]) -> Job[None]:
        """Begin to write. `drained`: None while the transport takes more, else what is done when it does."""


class Answer(NamedTuple):
    """The answer of a route. `headers`: further header lines, each ending in CRLF; `cache`: None, or how long a cache may keep it;
    `source`: the body instead of `body`, where it is too long to be made at once."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: bytes = b""
    cache: bytes | None = None
    source: Source | None = None


NO_CONTENT = Answer(204)


def answer_json(status: int, body: Any) -> Answer:
    """`body`: anything msgspec can write as JSON."""
    return Answer(status, encode_json(body))


# Answers hold tokens, names and texts: no cache may keep them, and no browser may guess another type.
_NO_STORE = b"no-store"


def _start(status: HTTPStatus, cache: bytes = _NO_STORE) -> bytes:
    line = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    return b"%bCache-Control: %b\r\nX-Content-Type-Options: nosniff\r\n" % (line, cache)


_STARTS = {status.value: _start(status) for status in HTTPStatus}


class _Clock:
    """The `Date` header, made anew once a second: making it costs as much as the rest of an answer."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = f"Date: {format_date_time(second)}\r\n".encode()
        return self._line


_date = _Clock().line

CLOSE = b"Connection: close\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
KEEP = b"Connection: keep-alive\r\n"  # sent to HTTP/1.0 clients only, because they do not take it for granted


def render(answer: Answer, connection_header: bytes = b"", *, head_only: bool = False) -> bytes:
    """The answer as it goes over the wire, without a body that comes from a source. `head_only`: to a HEAD request, which gets the length
    but not the body."""
    status, body, content_type, headers, cache, source = answer
    if status == 204:
        return b"%b%b%b%b\r\n" % (_STARTS[204], _date(), headers, connection_header)
    if source is not None:
        length = b"" if connection_header == CLOSE else b"Transfer-Encoding: chunked\r\n"
        return b"%b%b%b%b%bContent-Type: %b\r\n\r\n" % (_STARTS[status], _date(), headers, connection_header, length, content_type)
    return b"%b%b%b%bContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        _STARTS[status] if cache is None else _start(HTTPStatus(status), cache),
        _date(),
        headers,
        connection_header,
        content_type,
        len(body),
        b"" if head_only else body,
    )
