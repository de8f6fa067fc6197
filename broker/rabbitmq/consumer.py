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

from broker.dead_letter import dead_letter_headers
from broker.port import Delivery, Outgoing
from broker.publishers import SINGLE_PROCESS, Publishers
from broker.rabbitmq.link import Link
from broker.topology import DEAD, RETURNED_HEADER
from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL

log = structlog.get_logger(__name__)


class RabbitDelivery:
    """A message in the hands of a consumer."""

    __slots__ = ("_attachment", "_message", "_publishers", "body")

    def __init__(self, attachment: "_Attachment", message: DeliveredMessage) -> None:
        self.body = message.body
        self._publishers = attachment.publishers
        self._message = message
        self._attachment: _Attachment | None = attachment

    @property
    def headers(self) -> Mapping[str, object]:
        return self._message.header.properties.headers or {}

    @property
    def publisher(self) -> str | None:
        user = self._message.header.properties.user_id or None
        if user is not None and RETURNED_HEADER in self.headers and self._publishers.speak_for(user, GLOBAL):
            return SINGLE_PROCESS
        return user

    @property
    def gone(self) -> bool:
        return self._attachment is None or self._attachment.link.lost.done()

    def ack(self) -> None:
        attachment, self._attachment = self._attachment, None
        if attachment is not None:
            attachment.settle(self._message.delivery_tag or 0)

    def dead(self, reason: str) -> None:
        attachment, self._attachment = self._attachment, None
        if attachment is not None and not attachment.link.lost.done():
            attachment.link.run(attachment.set_aside(self._message, dead_letter_headers(self.headers, attachment.queue, reason)))


class _Attachment:
    """A consumer on one link: its channel, and which of its deliveries are handled."""

    def __init__(self, link: Link, number: int, queue: str, handler: Callable[[Delivery], None], publishers: Publishers) -> None:
        self.link = link
        self.publishers = publishers
        self.queue = queue
        self.unacked = 0
        self._number = number
        self._handler = handler
        self._left = False
        self._low = 1  # the lowest delivery tag that is not settled
        self._settled: set[int] = set()  # at or above `_low`
        self._acked: set[int] = set()  # those of `_settled` that were acked one by one
        self._scheduled = False

    async def deliver(self, message: DeliveredMessage) -> None:
        """aiormq calls this for each message, in order."""
        self.unacked += 1
        self.publishers.count(message.header.properties.user_id, len(message.body))
        delivery = RabbitDelivery(self, message)
        try:
            self._handler(delivery)
        except Exception as error:
            log.exception("broker.handler_failed", queue=self.queue)
            delivery.dead(f"the handler failed: {type(error).__name__}")

    def settle(self, tag: int) -> None:
        """Ack the delivery in the next turn of the loop, together with all that are settled until then."""
        self.unacked -= 1
        self._settled.add(tag)
        if not self._scheduled and not self._left and not self.link.lost.done():
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send the acks: one for all deliveries up to the first that is not settled, and one each for those behind it."""
        self._scheduled = False
        if self._left or self.link.lost.done():
            return
        upto = 0
        while self._low in self._settled:
            self._settled.discard(self._low)
            if self._low in self._acked:
                self._acked.discard(self._low)
            else:
                upto = self._low  # RabbitMQ closes the channel when an ack, even one of many, names a delivery that is acked already
            self._low += 1
        single = self._settled - self._acked
        self._acked |= single
        if upto:
            self.link.writer.send(self._number, Basic.Ack(upto, multiple=True))
        for tag in single:
            self.link.writer.send(self._number, Basic.Ack(tag))

    def leave(self) -> None:
        """Send the acks that are due. A delivery that is acked later comes again."""
        self.flush()
        self._left = True

    async def set_aside(self, message: DeliveredMessage, headers: Mapping[str, object]) -> None:
        """Publish a dead letter and ack the delivery. If that fails the link is lost, and the message comes again."""
        properties = message.header.properties
        content_type = properties.content_type or "application/octet-stream"
        letter = Outgoing(DEAD, "", message.body, content_type, properties.message_id, mandatory=True)
        await self.link.publisher.publish([letter], headers)
        self.settle(message.delivery_tag or 0)


class RabbitConsumer:
    """A consumer on every link, one after the other, until `cancel`."""

    def __init__(
        self,
        server: str,
        queue: str,
        handler: Callable[[Delivery], None],
        prefetch: int,
        publishers: Publishers,
        forget: Callable[["RabbitConsumer"], None],
    ) -> None:
        self.server = server
        self.queue = queue
        self._handler = handler
        self._prefetch = prefetch
        self._publishers = publishers
        self._forget = forget
        self._attachment: _Attachment | None = None
        self._channel: AbstractChannel | None = None
        self._cancelled = False

    @property
    def unacked(self) -> int:
        """How many messages this consumer holds."""
        return self._attachment.unacked if self._attachment is not None and not self._attachment.link.lost.done() else 0

    async def attach(self, link: Link) -> None:
        """Begin to consume on a new link. Deliveries of the old link can no longer be acked."""
        await link.declare_server(self.server)
        channel = self._channel = await link.channel(prefetch=self._prefetch)
        attachment = self._attachment = _Attachment(link, channel.number or 0, self.queue, self._deliver, self._publishers)
        await link.listen(channel, self.queue, attachment.deliver)
        if self._cancelled:  # while this link was being attached
            await link.release(channel)

    def _deliver(self, delivery: Delivery) -> None:
        if not self._cancelled:
            self._handler(delivery)

    async def cancel(self) -> None:
        self._cancelled = True
        self._forget(self)
        attachment, self._attachment = self._attachment, None
        if attachment is not None and self._channel is not None:
            try:
                attachment.leave()
                await attachment.link.release(self._channel)
            except Unavailable as error:
                # Then the link is lost, and RabbitMQ takes back the messages all the same.
                log.info("broker.cancel_failed", queue=self.queue, error=error.detail)
