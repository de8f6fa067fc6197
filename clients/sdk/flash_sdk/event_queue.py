"""The events that wait for their consumer. Rule: bounded in number and in bytes; a producer waits until there is room."""

import asyncio

from flash_sdk.mailbox import Item

MAX_EVENTS = 1000  # a login may bring that many pending messages at once
MAX_BYTES = 16 * 1024 * 1024  # a mailbox of 1,000 messages of the largest size, 16 KiB


class EventQueue:
    """Between the reading task and the consumer. An item counts until the consumer has processed it."""

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._queue: asyncio.Queue[Item | BaseException | None] = asyncio.Queue(max_events)
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    @property
    def full(self) -> bool:
        """Whether there is no room for another item."""
        return self._queue.full() or not self._room.is_set()

    async def put(self, item: Item | BaseException | None) -> None:
        """Add an item, once there is room. None is the end, an error is an end that the consumer must hear of."""
        if isinstance(item, Item):
            await self._room.wait()
            self._count(item.size)
        await self._queue.put(item)

    def put_nowait(self, item: Item) -> None:
        """Add an item while the queue is not `full`."""
        self._count(item.size)
        self._queue.put_nowait(item)

    async def get(self) -> Item | BaseException | None:
        """The oldest item."""
        return await self._queue.get()

    def settled(self, item: Item) -> None:
        """The consumer has processed an item that it got."""
        self._count(-item.size)
        self._queue.task_done()

    async def processed(self) -> None:
        """Return when the consumer has processed everything."""
        await self._queue.join()

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._max_bytes:
            self._room.clear()
        else:
            self._room.set()
