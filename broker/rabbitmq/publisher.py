"""Publishing in batches, with confirms, on one channel of aio-pika. Rule: only this module touches what aiormq does not document.

`aio_pika.Exchange.publish` costs about 100 µs a message. Here a batch is one write and one future: about 20 µs a message. aiormq settles
the future itself, once for each message that RabbitMQ confirms, refuses or returns.
`tests/broker/rabbitmq/test_undocumented.py` lists the attributes of aiormq's channel that this needs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import pamqp.frame
from aio_pika.abc import AbstractChannel
from aiormq.channel import Channel
from aiormq.exceptions import PublishError
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from broker.port import NotTaken, Outgoing, Unroutable
from broker.rabbitmq.writer import Writer
from domain.errors import Unavailable
from runtime.bounds import Bound, Holding

FRAMES = Bound(
    name="broker_frames",
    holds="frames of AMQP that begin a publication, by exchange and key",
    filled_by="servers and users of whom something is published",
    past="the frame that was unused longest is made anew",
    within=("_publish",),
    entries=512,  # one for each other home and each size of a batch; a user who comes and goes pays 7 µs for a frame of their own
    each=600,
    cache=True,
)
PERSISTENT = 2  # AMQP's delivery mode for messages that must be on disk before they are confirmed


class Batch(asyncio.Future[None]):
    """What aiormq keeps for each of `size` messages until it is settled: it is done when the last one is."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._left = size
        self._refused = False
        self._returned: dict[str, str] = {}  # the exchange of each message that no queue takes, by its key

    def set_result(self, _: object) -> None:
        """One message more is confirmed."""
        self._left -= 1
        if self._left == 0 and not self.done():
            if self._refused:
                super().set_exception(NotTaken("its queue refused a message"))
            elif self._returned:
                super().set_exception(Unroutable(next(iter(self._returned.values())), self._returned))
            else:
                super().set_result(None)

    def set_exception(self, error: type | BaseException) -> None:
        """One message more was refused, or returned because no queue takes it."""
        if isinstance(error, PublishError) and (returned := error.message):
            self._returned[str(returned.routing_key)] = str(returned.exchange)
        else:
            self._refused = True
        self.set_result(None)

    def nothing(self) -> None:
        """There is no message to wait for."""
        super().set_result(None)

    def abandon(self) -> None:
        """Nothing more will be heard of the messages."""
        if not self.done():
            super().set_exception(Unavailable("the connection to the broker was lost"))


class Publisher:
    """Publishes on a channel that was opened with `publisher_confirms` and `on_return_raises`, and that nobody else publishes on. Each
    message carries the name of `user`, who must be the user of the connection: RabbitMQ closes the channel otherwise."""

    def __init__(self, channel: Channel, writer: Writer, user: str) -> None:
        self._channel = channel
        self._writer = writer
        self._user = user
        self._abandoned = False

    @classmethod
    async def on(cls, channel: AbstractChannel, writer: Writer, user: str) -> "Publisher":
        """A publisher on an open channel."""
        underlay = await channel.get_underlay_channel()
        assert isinstance(underlay, Channel)
        return cls(underlay, writer, user)

    @property
    def oldest(self) -> int:
        """The oldest delivery tag without a confirm, or 0."""
        return next(iter(self._channel.confirmations), 0)

    @property
    def settled(self) -> int:
        """How many messages were confirmed, refused or returned so far."""
        return self._channel.delivery_tag - len(self._channel.confirmations)

    def publish(self, outgoing: Sequence[Outgoing], headers: Mapping[str, Any] | None = None) -> asyncio.Future[None]:
        """Done once RabbitMQ has confirmed every message; it has `Unavailable` otherwise. The order of calls is the order of messages."""
        batch = Batch(len(outgoing))
        if self._abandoned:
            batch.abandon()
        elif not outgoing:
            batch.nothing()
        for message in () if self._abandoned else outgoing:
            self._send(message, headers, batch)
        return batch

    def _send(self, message: Outgoing, headers: Mapping[str, Any] | None, batch: Batch) -> None:
        channel = self._channel
        channel.delivery_tag += 1
        channel.confirmations[channel.delivery_tag] = batch
        message_id = message.message_id
        if message.mandatory:
            message_id = message_id or str(channel.delivery_tag)  # a message that is returned tells only its id
            channel.message_id_delivery_tag[message_id] = channel.delivery_tag
            batch.add_done_callback(partial(_forget, channel.message_id_delivery_tag, message_id, channel.delivery_tag))
        properties = Basic.Properties(
            content_type=message.content_type,
            delivery_mode=PERSISTENT,
            message_id=message_id,
            user_id=self._user,
            headers=dict(headers) if headers else None,
        )
        size, piece = len(message.body), channel.max_content_size
        self._writer.send(
            channel.number,
            _publish(channel.number, message.exchange, message.key, message.mandatory),
            ContentHeader(properties=properties, body_size=size),
            *[ContentBody(message.body[start : start + piece]) for start in range(0, size, piece)],
        )

    async def confirmed(self) -> None:
        """Return when no message lacks its confirm."""
        while waiting := {each for each in self._channel.confirmations.values() if not each.done()}:
            await asyncio.wait(waiting)

    def abandon(self) -> None:
        """The connection is lost: every `publish`, under way or to come, raises `Unavailable`."""
        self._abandoned = True
        for batch in tuple(self._channel.confirmations.values()):
            if isinstance(batch, Batch):
                batch.abandon()


def _forget(tags: dict[str, int], message_id: str, tag: int, _: object) -> None:
    if tags.get(message_id) == tag:  # a later message may have the same id
        del tags[message_id]


def frames_kept() -> Holding:
    """How many frames are kept."""
    return FRAMES.holding(_publish.cache_info().currsize)


@lru_cache(maxsize=FRAMES.entries)
def _publish(channel: int, exchange: str, key: str, mandatory: bool) -> bytes:
    return pamqp.frame.marshal(Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory), channel)
