"""Parts, which a session sends to its client, and the outlet through which they leave. Rule: nothing here knows HTTP."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Part(NamedTuple):
    """One piece of a stream. `body` is JSON; `seq`: its number in the mailbox, if any; `cursor`: where the feed goes on after it."""

    name: str
    body: bytes
    seq: int | None = None
    cursor: str | None = None


BLANK = Part("blank", b"{}")


class Outlet(Protocol):
    """Where a session's parts go. The edge implements it, once per framing."""

    def write(self, parts: Sequence[Part]) -> None:
        """Frame the parts and hand them to the transport in one write. Never blocks, never raises."""

    def begin_part(self, name: str, size: int) -> None:
        """Begin a part whose body has `size` bytes, which `write_body` brings in pieces. Nothing else is written until it is whole."""

    def write_body(self, data: bytes) -> None:
        """The next bytes of the part that was begun. Afterwards `writable` says whether the transport has taken them."""

    @property
    def writable(self) -> bool:
        """False while the transport holds more than its high-water mark; `Session.resume` is called when that ends."""

    def close(self) -> None:
        """Flush what was written and end the response properly (closing boundary), then close the connection."""

    def abort(self) -> None:
        """Drop the connection now: the client is dead or hostile."""
