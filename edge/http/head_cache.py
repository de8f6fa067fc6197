"""The head of a connection's last request: clients say the same one again and again, and parsing it costs 20 µs on a busy home.

Rule: only what was exactly one whole request is remembered, and only while the parser has nothing left over from before.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import StreamReader

from edge.contracts.requests import MAX_BODY_BYTES
from edge.http.route import Route

END = b"\r\n\r\n"
MAX_BYTES = 2_048  # of a head that is remembered: ours have some 700 with their token; nobody fills our memory with idle connections


class CachedHead(NamedTuple):
    """A head up to its empty line, the number of bytes with the body, and what the parser made of it. `route`: for whom the request is,
    when it can be answered without a task."""

    head: bytes
    size: int
    message: RawRequestMessage
    route: Route | None = None

    def is_in(self, data: bytes) -> bool:
        """Whether `data`, received at the start of a request, is the same head again and a body of the same length."""
        return len(data) == self.size and data.startswith(self.head)

    def body(self, data: bytes) -> bytes:
        """What follows the head."""
        return data[len(self.head) :]


FindRoute = Callable[[str, str], Route | None]  # method, target -> a synchronous route
NOTHING_YET = CachedHead(b"\0", -1, cast(RawRequestMessage, None))


def learn(data: bytes, parsed: Sequence[tuple[Any, StreamReader]], synchronous: FindRoute) -> CachedHead | None:
    """What there is to know of `data`, of which the parser, with nothing left over, has made `parsed`. None: it was not exactly
    one request, so that nobody knows where in a request the parser stands now; or its head is too long to be kept. `synchronous`: finds the
    routes that need no task."""
    if len(parsed) != 1:
        return None
    message, body = parsed[0]
    if not isinstance(message, RawRequestMessage) or not body.is_eof():
        return None
    end = data.find(END) + len(END)
    if end > MAX_BYTES or end + body.total_bytes != len(data):
        return None
    ordinary = message.version == HttpVersion11 and not (message.should_close or message.upgrade or message.compression)
    route = synchronous(message.method, message.path) if ordinary and body.total_bytes <= MAX_BODY_BYTES else None
    return CachedHead(data[:end], len(data), message, route)
