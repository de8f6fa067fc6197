"""What becomes of a connection after an answer. Rule: it is kept, closed, or handed over; there is no fourth way."""

import asyncio
from enum import Enum
from typing import Protocol


class Disposition(Enum):
    """What happens to the connection after an answer."""

    KEEP = 1
    CLOSE = 2
    LINGER = 3  # the client may still be sending: closing now could destroy the answer on its way


Reply = tuple[bytes, Disposition]


class TransportHandoff(Protocol):
    """What goes on with a connection's transport: a back connection, or a live tail."""

    def adopt(self, transport: asyncio.Transport) -> None:
        """Become the protocol of a transport whose request has been read."""
