"""An AMQP connection that knows when RabbitMQ makes its publishers wait. Rule: an alarm is no loss: what waits goes on when it is over.

Low on memory or disk, RabbitMQ reads nothing more from a connection that has published something, and says so (`connection.blocked`).
aiormq has that for itself, in methods of its own.
"""

import asyncio

import structlog
from aiormq.connection import Connection
from pamqp.commands import Connection as Frames
from yarl import URL

log = structlog.get_logger(__name__)


class WatchedConnection(Connection):
    """`blocked`: set while publishers wait; `reason`: why they did last, in RabbitMQ's words, such as `low on memory`."""

    HEARTBEAT_GRACE_MULTIPLIER = 1.5  # type: ignore[assignment]  # aiormq's own 3 would notice a hung broker after 33 s

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self.blocked = asyncio.Event()
        self.reason = ""

    async def _Connection__handle_connection_blocked(self, frame: Frames.Blocked) -> None:  # noqa: N802 - what aiormq calls
        self.reason = frame.reason or "an alarm"
        self.blocked.set()
        log.warning("broker.blocked", reason=self.reason)

    async def _Connection__handle_connection_unblocked(self, _: Frames.Unblocked) -> None:  # noqa: N802 - likewise
        self.blocked.clear()
        log.warning("broker.unblocked", reason=self.reason)
