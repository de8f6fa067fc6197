"""A part of the back connection, whichever framing brought it. Rule: the size of a part is checked before the part is built."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from flash_sdk.json_fields import parse_object

MAX_PART_BYTES = 4 * 1024 * 1024  # three times a welcome with the 5,000 contacts that a home allows; larger is a mistake
MAX_HEADER_BYTES = 8 * 1024  # a part has three short headers; this is what servers allow for a whole request


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its name and its JSON body. `id`: of the server-sent event, if it has one. `size`: bytes of the body on the wire."""

    name: str
    body: dict[str, Any]
    id: str = ""
    size: int = field(default=0, compare=False)

    @property
    def seq(self) -> int | None:
        """The mailbox number, for the parts that are acknowledged."""
        seq = self.body.get("seq")
        return seq if isinstance(seq, int) and not isinstance(seq, bool) else None


class Parser(Protocol):
    """What both framings offer: bytes in, parts out."""

    def feed(self, data: bytes) -> list[Part]:
        """The parts completed by these bytes. Raises `ProtocolError`; after that the stream is of no more use."""


def decode(name: str, body: bytes, id: str = "") -> Part:
    """Build a part from its raw body. Raises `ProtocolError` when it is not a JSON object."""
    return Part(name, parse_object(body) if body else {}, id, len(body))
