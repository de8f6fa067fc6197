"""The endless `multipart/x-mixed-replace` response, parsed as it comes. Rule: sans-IO, and memory is bounded by one part.

A part is `--boundary CRLF headers CRLF CRLF body CRLF`; `--boundary--` ends the stream. `Content-Length` says where a body ends, so a body
may hold anything, even the boundary. Line ends may be bare LF, because some proxies rewrite them.
"""

from collections.abc import Callable

from flash_sdk.errors import ProtocolError
from flash_sdk.parts import MAX_HEADER_BYTES, MAX_PART_BYTES, Part, decode

MAX_BOUNDARY_BYTES = 70  # RFC 2046


def boundary_of(content_type: str) -> str:
    """The boundary in a Content-Type header. Raises `ProtocolError` when the header names no multipart type."""
    kind, _, rest = content_type.partition(";")
    if not kind.strip().lower().startswith("multipart/"):
        raise ProtocolError("the back connection was answered with something that is not multipart")
    for parameter in rest.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "boundary":
            return value.strip().strip('"')
    raise ProtocolError("the multipart answer names no boundary")


class MultipartParser:
    """Takes bytes, split anywhere, and gives the parts that they complete. After the closing boundary `ended` is true."""

    def __init__(self, boundary: str, *, max_part_bytes: int = MAX_PART_BYTES, max_header_bytes: int = MAX_HEADER_BYTES) -> None:
        """`boundary`: without the leading dashes. Raises `ProtocolError` when it is not a boundary."""
        if not 1 <= len(boundary) <= MAX_BOUNDARY_BYTES or not boundary.isascii() or not boundary.isprintable():
            raise ProtocolError("the multipart boundary has characters that no boundary may have")
        self._delimiter = b"--" + boundary.encode()
        self._max_part_bytes = max_part_bytes
        self._max_header_bytes = max_header_bytes
        self._buffer = bytearray()
        self._searched = 0  # that many bytes of the buffer hold no line end, so feeding byte by byte stays linear
        self._header_bytes = 0
        self._headers: dict[str, str] = {}
        self._length = 0
        self._step: Callable[[], Part | bool] = self._delimiter_line
        self.ended = False

    def feed(self, data: bytes) -> list[Part]:
        """The parts completed by these bytes. Raises `ProtocolError`; bytes after the closing boundary are ignored."""
        parts: list[Part] = []
        self._buffer += data
        while not self.ended:
            came = self._step()
            if came is False:
                break
            if isinstance(came, Part):
                parts.append(came)
        if self.ended:
            self._buffer.clear()
        return parts

    @property
    def buffered_bytes(self) -> int:
        """How many bytes wait for the rest of their part."""
        return len(self._buffer)

    def _line(self, limit: int) -> bytes | None:
        """Take one line without its end; None until it is whole. Raises when it is longer than `limit` bytes."""
        end = self._buffer.find(b"\n", self._searched)
        if (len(self._buffer) if end < 0 else end) > limit:
            raise ProtocolError("a line of the multipart stream is too long")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line.removesuffix(b"\r")

    def _delimiter_line(self) -> Part | bool:
        line = self._line(self._max_header_bytes)
        if line is None:
            # the closing boundary may be the very last bytes, without a line end after it
            self.ended = bytes(self._buffer) == self._delimiter + b"--"
            return self.ended
        line = line.rstrip(b" \t")  # RFC 2046 allows padding here
        if line == self._delimiter + b"--":
            self.ended = True
        elif line == self._delimiter:
            self._headers, self._header_bytes = {}, 0
            self._step = self._header_line
        elif line:
            raise ProtocolError("expected a boundary in the multipart stream")
        return True

    def _header_line(self) -> Part | bool:
        line = self._line(self._max_header_bytes - self._header_bytes)
        if line is None:
            return False
        self._header_bytes += len(line) + 1
        if line:
            name, colon, value = line.partition(b":")
            if not colon or not name.strip():
                raise ProtocolError("a header of a part has no name")
            self._headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
            return True
        if "flash-part" not in self._headers:
            raise ProtocolError("a part has no Flash-Part header")
        length = self._headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 16):
            raise ProtocolError("a part has no usable Content-Length")
        self._length = int(length)
        if self._length > self._max_part_bytes:
            raise ProtocolError("a part is too large")
        self._step = self._body
        return True

    def _body(self) -> Part | bool:
        if len(self._buffer) < self._length:
            return False
        body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        self._searched = 0
        self._step = self._delimiter_line
        return decode(self._headers["flash-part"], body)
