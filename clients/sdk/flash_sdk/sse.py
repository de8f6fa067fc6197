"""Server-sent events, parsed as they come. Rule: sans-IO, and memory is bounded by one part.

`event:` names the part, `data:` is its body (several lines are joined by LF), a comment is a blank, an empty line completes the event.
"""

import re

from flash_sdk.errors import ProtocolError
from flash_sdk.parts import MAX_HEADER_BYTES, MAX_PART_BYTES, Part, decode

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"[\r\n]")


class SseParser:
    """Takes bytes, split anywhere, and gives the parts that they complete. A comment becomes a `blank`."""

    def __init__(self, *, max_part_bytes: int = MAX_PART_BYTES) -> None:
        self._max_part_bytes = max_part_bytes
        self._buffer = bytearray()
        self._searched = 0  # that many bytes hold no line end, so feeding byte by byte stays linear
        self._skip_lf = False  # the last line ended in CR, so an LF right after it belongs to that line end
        self._first = True
        self._event = ""
        self._id = ""
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, data: bytes) -> list[Part]:
        """The parts completed by these bytes. Raises `ProtocolError`."""
        self._buffer += data
        parts: list[Part] = []
        while (line := self._line()) is not None:
            if line.startswith(b":"):
                parts.append(Part("blank", {}))
            elif line:
                self._field(line)
            elif self._data or self._event:
                parts.append(self._complete())
        return parts

    def _line(self) -> bytes | None:
        """Take one line, ended by LF, CR or CRLF; None until it is whole."""
        if self._skip_lf and self._buffer:
            self._skip_lf = False
            if self._buffer[0] == 0x0A:
                del self._buffer[0]
        found = _LINE_END.search(self._buffer, self._searched)
        end = found.start() if found else len(self._buffer)
        if end > self._max_part_bytes + MAX_HEADER_BYTES:
            raise ProtocolError("a line of the event stream is too long")
        if not found:
            self._searched = end
            return None
        line = bytes(self._buffer[:end])
        self._skip_lf = self._buffer[end] == 0x0D
        del self._buffer[: end + 1]
        self._searched = 0
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        return line

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            if len(value) > MAX_HEADER_BYTES:
                raise ProtocolError("the name of an event is too long")
            self._event = value.decode("utf-8", "replace")
        elif name == b"data":
            self._data_bytes += len(value) + 1
            if self._data_bytes > self._max_part_bytes + 1:
                raise ProtocolError("a part is too large")
            self._data.append(value)
        elif name == b"id":
            if len(value) > MAX_HEADER_BYTES:
                raise ProtocolError("the id of an event is too long")
            self._id = value.decode("utf-8", "replace")
        # `retry` is ignored because the listener has a pace of its own; unknown fields are ignored as the standard says

    def _complete(self) -> Part:
        name, body, id = self._event, b"\n".join(self._data), self._id
        self._event, self._data, self._data_bytes, self._id = "", [], 0, ""
        if not name:
            raise ProtocolError("an event of the stream has no name")
        return decode(name, body, id)
