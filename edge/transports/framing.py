"""Parts as bytes: multipart and server-sent events. Rule: every part can be read to its end the moment it is written."""

from collections.abc import Sequence
from typing import Protocol

from servers.sessions.parts import BLANK, Part

GOODBYE = "goodbye"  # always the last part


class Framing(Protocol):
    """One way to write parts. `head`: everything before the first part; `end`: what closes a stream that said no goodbye."""

    name: str
    head: bytes
    end: bytes

    def frame(self, parts: Sequence[Part]) -> bytes:
        """The parts, one after the other."""

    def begin(self, name: str, size: int) -> bytes:
        """What comes before the body of a part that is written in pieces."""

    @property
    def after(self) -> bytes:
        """What comes behind it."""


def _head(content_type: bytes) -> bytes:
    # No length and no chunks: the body ends with the connection, which every proxy and HTTP/1.0 client understands.
    # `no-transform` and `X-Accel-Buffering` keep proxies from compressing or holding back.
    return (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: " + content_type + b"\r\n"
        b"Cache-Control: no-store, no-transform\r\n"
        b"X-Accel-Buffering: no\r\n"
        b"Connection: close\r\n"
        b"\r\n"
    )


class Multipart:
    """`multipart/x-mixed-replace`. The boundary follows each part at once, so that a reader need not wait for the next one."""

    name = "multipart"
    head = _head(b"multipart/x-mixed-replace; boundary=flash") + b"--flash\r\n"
    end = b"\r\n--flash--\r\n"
    after = b"\r\n--flash\r\n"

    def frame(self, parts: Sequence[Part]) -> bytes:
        """Headers, body and the next boundary of each part; after a goodbye the closing one."""
        return b"".join([_multipart(part) for part in parts])

    def begin(self, name: str, size: int) -> bytes:
        """The headers of a part."""
        return b"Content-Type: application/json\r\nFlash-Part: %b\r\nContent-Length: %d\r\n\r\n" % (name.encode(), size)


def _multipart(part: Part) -> bytes:
    after = b"--flash--" if part.name == GOODBYE else b"--flash"
    return b"Content-Type: application/json\r\nFlash-Part: %b\r\nContent-Length: %d\r\n\r\n%b\r\n%b\r\n" % (
        part.name.encode(),
        len(part.body),
        part.body,
        after,
    )


class EventStream:
    """Server-sent events, for browsers and integrators. Blanks are comments; `id` is the mailbox number, or the feed's cursor."""

    name = "event-stream"
    head = _head(b"text/event-stream")
    end = b""
    after = b"\n\n"

    def frame(self, parts: Sequence[Part]) -> bytes:
        """One event for each part."""
        return b"".join([_event(part) for part in parts])

    def begin(self, name: str, size: int) -> bytes:
        """The fields before the data, which has no line breaks."""
        return b"event: %b\ndata: " % name.encode()


def _event(part: Part) -> bytes:
    if part.name == BLANK.name:
        return b":\n\n"
    # JSON may hold line breaks between its tokens only; each line of data needs its own field.
    data = b"\ndata: ".join(part.body.splitlines())
    place = part.cursor if part.seq is None or part.name == "receipt" else str(part.seq)
    number = b"" if place is None else b"id: %b\n" % place.encode()
    return b"event: %b\n%bdata: %b\n\n" % (part.name.encode(), number, data)


MULTIPART = Multipart()
EVENT_STREAM = EventStream()


def framing_for(accept: str) -> Framing:
    """The framing that an `Accept` header asks for: multipart unless it names event streams."""
    return EVENT_STREAM if "text/event-stream" in accept.lower() else MULTIPART
