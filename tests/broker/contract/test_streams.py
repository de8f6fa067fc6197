"""The contract of `broker.port.Broker`: the streams. Tried on every implementation."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from broker.port import Broker, Outgoing, StreamItem
from broker.topology import HISTORY, PRESENCE, PRESENCE_LOG
from tests.broker.storages import Storage, events, take


def offsets_of(items: list[StreamItem]) -> list[tuple[int, bytes]]:
    return [(item.offset, item.body) for item in items]


async def all_of(items: AsyncIterator[StreamItem]) -> list[bytes]:
    async with asyncio.timeout(10):
        return [item.body async for item in items]


async def test_a_stream_is_read_from_the_first_again_and_again(broker: Broker) -> None:
    await broker.publish(events(b"a", b"b", b"c"))
    for _ in range(2):
        assert await all_of(broker.read_stream(HISTORY, follow=False)) == [b"a", b"b", b"c"]
    assert await all_of(broker.read_stream(PRESENCE_LOG, follow=False)) == []


async def test_a_stream_is_read_from_an_offset(broker: Broker) -> None:
    await broker.publish(events(b"a", b"b", b"c"))
    assert offsets_of(await take(broker.read_stream(HISTORY), 3)) == [(0, b"a"), (1, b"b"), (2, b"c")]
    assert await all_of(broker.read_stream(HISTORY, 1, follow=False)) == [b"b", b"c"]
    assert await all_of(broker.read_stream(HISTORY, 3, follow=False)) == []
    assert await all_of(broker.read_stream(HISTORY, 100, follow=False)) == []


async def test_next_begins_with_messages_published_after_the_call(broker: Broker) -> None:
    await broker.publish(events(b"before"))
    items = broker.read_stream(HISTORY, "next")
    await broker.publish(events(b"after"))
    assert offsets_of(await take(items, 1)) == [(1, b"after")]
    assert await all_of(broker.read_stream(HISTORY, "next", follow=False)) == []


async def test_a_reader_follows_new_messages(broker: Broker) -> None:
    items = broker.read_stream(PRESENCE_LOG)
    for number in range(5):
        await broker.publish([Outgoing(PRESENCE, "presence.h1.42.online", b"%d" % number, "application/cloudevents+json")])
        assert offsets_of(await take(items, 1)) == [(number, b"%d" % number)]


async def test_a_stream_outlives_its_broker_and_offsets_go_on(broker: Broker, storage: Storage) -> None:
    await broker.publish(events(b"a", b"b"))
    await broker.close()
    again = storage.new()
    await again.start()
    await again.wait_connected(10)
    await again.publish(events(b"c"))
    assert offsets_of(await take(again.read_stream(HISTORY, 1), 2)) == [(1, b"b"), (2, b"c")]
    await again.close()


async def test_the_first_and_the_newest_message_are_told(broker: Broker) -> None:
    assert (await broker.first_of(HISTORY), await broker.last_of(HISTORY)) == (None, None)
    await broker.publish(events(b"a", b"b", b"c"))
    first, last = await broker.first_of(HISTORY), await broker.last_of(HISTORY)
    assert first is not None
    assert last is not None
    assert offsets_of([first, last]) == [(0, b"a"), (2, b"c")]


async def test_a_long_stream_is_read_to_its_end(broker: Broker) -> None:
    bodies = [b"%d" % number for number in range(5_000)]
    await broker.publish(events(*bodies))
    assert await all_of(broker.read_stream(HISTORY, follow=False)) == bodies


async def test_there_is_no_other_stream(broker: Broker) -> None:
    with pytest.raises(ValueError, match="gossip"):
        broker.read_stream("flash.gossip")
