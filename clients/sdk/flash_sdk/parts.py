"""A part of the back connection, whatever framing brought it. Rule: a part is bounded before it is built."""

from typing import Any, NamedTuple, Protocol

from flash_sdk.json_fields import parse_object

MAX_PART_BYTES = 4 * 1024 * 1024  # three times a welcome with the 5,000 contacts that a home allows; larger is a mistake
MAX_HEADER_BYTES = 8 * 1024  # a part has three short headers; this is what servers allow for a whole request


class Part(NamedTuple):
    """One part: its name and its JSON body. `seq`: its number in the mailbox, when it has one. `id`: of the server-sent event, if any."""

    name: str
    body: dict[str, Any]
    id: str = ""

    @property
    def seq(self) -> int | None:
        """The mailbox number, for the parts that are acknowledged."""
        seq = self.body.get("seq")
        return seq if isinstance(seq, int) and not isinstance(seq, bool) else None


class Parser(Protocol):
    """What both framings offer: bytes in, parts out."""

    def feed(self, data: bytes) -> list[Part]:
        """The parts completed by these bytes. Raises `ProtocolError`; after that the stream is of no more use."""


def decode(name: str, body: bytes) -> Part:
    """Build a part from its raw body. Raises `ProtocolError` when it is not a JSON object."""
    return Part(name, parse_object(body) if body else {})
