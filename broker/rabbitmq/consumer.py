"""The consumer of an inbox on RabbitMQ. Rule: a delivery belongs to the channel it came on; on any other its `ack` does nothing.

The queue has a single active consumer, so RabbitMQ lets a second one wait. Each has a channel of its own: closing it makes RabbitMQ
take back what was not acked.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from broker.dead_letter import headers_of_a_letter
from broker.port import Delivery, Outgoing
from broker.rabbitmq.link import Link
from broker.topology import DEAD
from domain.errors import Unavailable

log = structlog.get_logger(__name__)


class RabbitDelivery:
    """A message in a consumer's hands."""

    __slots__ = ("_message", "_seat", "body")

    def __init__(self, seat: "_Seat", message: DeliveredMessage) -> None:
        self.body = message.body
        self._message = message
        self._seat: _Seat | None = seat

    @property
    def headers(self) -> Mapping[str, object]:
        """The message's headers."""
        return self._message.header.properties.headers or {}

    @property
    def gone(self) -> bool:
        """Whether its link was lost."""
        return self._seat is None or self._seat.link.lost.done()

    def ack(self) -> None:
        """Done with it: it will not come again."""
        seat, self._seat = self._seat, None
        if seat is not None:
            seat.settle(self._message.delivery_tag or 0)

    def dead(self, reason: str) -> None:
        """It goes to `flash.dead`, and when that is confirmed it leaves its queue."""
        seat, self._seat = self._seat, None
        if seat is not None and not seat.link.lost.done():
            seat.link.run(seat.bury(self._message, headers_of_a_letter(self.headers, seat.queue, reason)))


class _Seat:
    """A consumer's place on one link: its channel, and which of its deliveries are done."""

    def __init__(self, link: Link, number: int, queue: str, handler: Callable[[Delivery], None]) -> None:
        self.link = link
        self.queue = queue
        self.unacked = 0
        self._number = number
        self._handler = handler
        self._left = False
        self._low = 1  # the lowest delivery tag that is not settled
        self._settled: set[int] = set()  # at or above `_low`
        self._told: set[int] = set()  # of those, the ones acked one by one
        self._scheduled = False

    async def deliver(self, message: DeliveredMessage) -> None:
        """The channel calls this for each message, in order."""
        self.unacked += 1
        delivery = RabbitDelivery(self, message)
        try:
            self._handler(delivery)
        except Exception as error:
            log.exception("broker.handler_failed", queue=self.queue)
            delivery.dead(f"the handler failed: {type(error).__name__}")

    def settle(self, tag: int) -> None:
        """Ack it in the next turn of the loop, together with all that are settled until then."""
        self.unacked -= 1
        self._settled.add(tag)
        if not self._scheduled and not self._left and not self.link.lost.done():
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send the acks: one for all that are done without a gap, one each for the others."""
        self._scheduled = False
        if self._left or self.link.lost.done():
            return
        upto = 0
        while self._low in self._settled:
            self._settled.discard(self._low)
            if self._low in self._told:
                self._told.discard(self._low)
            else:
                upto = self._low  # RabbitMQ closes the channel on an ack, even of many, that names one it has already
            self._low += 1
        single = self._settled - self._told
        self._told |= single
        if upto:
            self.link.writer.send(self._number, Basic.Ack(upto, multiple=True))
        for tag in single:
            self.link.writer.send(self._number, Basic.Ack(tag))

    def leave(self) -> None:
        """Send the acks that are due; what is acked later comes again."""
        self.flush()
        self._left = True

    async def bury(self, message: DeliveredMessage, headers: Mapping[str, object]) -> None:
        """Publish it as a dead letter and ack it; if that fails the link is lost, and the message comes again."""
        properties = message.header.properties
        content_type = properties.content_type or "application/octet-stream"
        letter = Outgoing(DEAD, "", message.body, content_type, properties.message_id, mandatory=True)
        await self.link.publisher.publish([letter], headers)
        self.settle(message.delivery_tag or 0)


class RabbitConsumer:
    """A consumer over all links, until `cancel`."""

    def __init__(
        self, server: str, queue: str, handler: Callable[[Delivery], None], prefetch: int, forget: Callable[["RabbitConsumer"], None]
    ) -> None:
        self.server = server
        self.queue = queue
        self._handler = handler
        self._prefetch = prefetch
        self._forget = forget
        self._seat: _Seat | None = None
        self._channel: AbstractChannel | None = None
        self._cancelled = False

    @property
    def unacked(self) -> int:
        """Messages in our hands."""
        return self._seat.unacked if self._seat is not None and not self._seat.link.lost.done() else 0

    async def attach(self, link: Link) -> None:
        """Begin to consume on a new link; what the old one still holds can no longer be acked."""
        await link.declare_inbox(self.server)
        channel = self._channel = await link.channel(prefetch=self._prefetch)
        seat = self._seat = _Seat(link, channel.number or 0, self.queue, self._deliver)
        await link.listen(channel, self.queue, seat.deliver)
        if self._cancelled:  # meanwhile
            await link.release(channel)

    def _deliver(self, delivery: Delivery) -> None:
        if not self._cancelled:
            self._handler(delivery)

    async def cancel(self) -> None:
        """Stop. What was acked is told to the broker first; the rest comes again to the next consumer."""
        self._cancelled = True
        self._forget(self)
        seat, self._seat = self._seat, None
        if seat is not None and self._channel is not None:
            try:
                seat.leave()
                await seat.link.release(self._channel)
            except Unavailable as error:
                log.info("broker.cancel_failed", queue=self.queue, error=error.detail)  # then the link is lost, which does it too
