"""Keeps the Global Server's view of the public presence feed. Rule: a checkpoint is a shortcut only; the feed's log holds everything.

When the log begins after the last change in the view, or is in another era, the view begins anew too, and old cursors are refused. The
watch over the streams (`servers/messaging/eras.py`) says which era it is, because messages alone may look the same in both.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from broker.port import Broker, StreamItem
from broker.topology import PRESENCE_LOG
from domain.errors import Unavailable
from domain.registry.registered_home import GLOBAL
from projections.server.presence_feed import Change, Feed, Standing
from runtime.background_task import BackgroundTask, BackgroundTasks
from servers.encryption.key_store import KeyStore
from servers.messaging.eras import Era
from servers.messaging.presence_events import TYPE, era_that_began, era_told
from servers.writing.projector import read_checkpoint, write_checkpoint

CHECKPOINT_EVERY_S = 60.0  # a restart after a crash folds at most a minute of changes
RETRY_S = 1.0
MAX_CHANGE_BYTES = 4_096  # a home's have some 400

log = structlog.get_logger()


class _Data(msgspec.Struct):
    uid: int
    handle: str
    home: str
    status: str
    since: str


class _CloudEvent(msgspec.Struct):
    id: str
    source: str
    type: str
    time: str
    data: _Data
    life: str = "0"


_read = msgspec.json.Decoder(_CloudEvent).decode


class FeedReader:
    """One reader of the log for all subscribers. `person` tells handle and home of a user, None of one who is not known; `news` is
    called after every change."""

    def __init__(
        self,
        broker: Broker,
        file: Path,
        clock: Callable[[], float],
        person: Callable[[int], Awaitable[tuple[str, str] | None]],
        news: Callable[[], None],
        kept_changes: int,
        keys: KeyStore,
        key: bytes,
    ) -> None:
        """`file`: of the checkpoint, which `keys` prove; `key`: the Global Server's, which proves the beginning of an era; `clock`: seconds
        since 1970; `kept_changes`: the most changes that are kept for subscribers."""
        self.feed = Feed(kept_changes)
        self.caught_up = asyncio.Event()  # set once the view was at the end of the log
        self.changes = 0  # counted since the start
        self.not_believed = 0  # changes that somebody else than the user's home published
        self.delay_s = 0.0  # of the newest change: the time from its commit at the home until it was read here
        self._broker = broker
        self._file = file
        self._clock = clock
        self._person = person
        self._news = news
        self._keys = keys
        self._key = key
        self._saved = ""
        self._era: Era | None = None
        self._another_era = asyncio.Event()
        self._tasks = BackgroundTasks("presence-feed")

    async def start(self) -> None:
        """Load the checkpoint, and begin to read once the era is known. `caught_up` is set later, because the broker may be away."""
        data = await asyncio.to_thread(read_checkpoint, self._file, self._keys)
        if data is not None:
            try:
                self.feed.from_checkpoint(data)
            except (KeyError, TypeError, ValueError) as error:  # nothing was taken from it, and the log holds everything
                log.warning("feed.checkpoint_unusable", error=type(error).__name__)
        self._saved = self.feed.cursor
        if self._era is not None:
            self._enter(self._era)
        self._tasks.start(self._read_each_era())
        self._tasks.start(self._save_now_and_then())

    def era_is(self, stream: str, era: Era) -> None:
        """The Global Server says in which era a stream is."""
        if stream == PRESENCE_LOG and era != self._era:
            self._era = era
            if self._tasks:
                self._enter(era)

    def _enter(self, era: Era) -> None:
        if self.feed.enter(*era):
            log.warning("feed.another_era", era=era.number)
            self.caught_up.clear()
            self._news()
        self._another_era.set()

    async def stop(self) -> None:
        """Stop, and write a checkpoint."""
        if self._tasks:
            await self._tasks.stop()
            await self._save()

    async def _read_each_era(self) -> None:
        reading = BackgroundTask("presence-feed-reading")
        try:
            while True:
                await self._another_era.wait()
                self._another_era.clear()
                await reading.stop()
                reading.start(self._run())
        finally:
            await reading.stop()

    async def _run(self) -> None:
        while True:
            try:
                following = await self._catch_up()
                self.caught_up.set()
                # The last known message comes again, so that the reader notices a stream that is another one after a loss of the broker.
                async for item in self._broker.read_stream(PRESENCE_LOG, max(0, following - 1)):
                    if item.offset >= following:
                        await self._take(item)
            except Unavailable:
                await asyncio.sleep(RETRY_S)
            except Exception:  # the store failed while a user was looked up; the next try begins at the last change
                log.exception("feed.read_failed")
                await asyncio.sleep(RETRY_S)

    async def _catch_up(self) -> int:
        """Read to the present end of the log; return the offset after it."""
        if self.feed.changes:
            following = await self._go_on(self.feed.changes[-1])
            if following:
                return following
            log.warning("feed.log_changed")
            self.feed.begin_anew()
            self._news()
        following = 0
        async for item in self._broker.read_stream(PRESENCE_LOG, "first", follow=False):
            if following == 0:
                self.feed.whole = item.offset == 0  # otherwise the beginning of the log was cut off
            await self._take(item)
            following = item.offset + 1
        return following

    async def _go_on(self, last: Change) -> int:
        """Read on from the last known change; return the offset after the end, or 0 when the log holds something else at that offset."""
        following, ours = 0, None
        async for item in self._broker.read_stream(PRESENCE_LOG, last.offset, follow=False):
            if ours is None:
                ours = item.offset == last.offset and item.body == last.body
            if ours:
                await self._take(item)
                following = item.offset + 1
        return following

    async def _take(self, item: StreamItem) -> None:
        if era_told(item.body) is not None:
            self._take_beginning(item)
            return
        try:
            event = _read(item.body)
            if event.type != TYPE:
                return  # from a later version of Flash
            version = int(event.id.rpartition("/")[2])
            life = int(event.life)
            at = datetime.fromisoformat(event.time).timestamp()
        except (msgspec.DecodeError, ValueError):
            log.warning("feed.message_unreadable", offset=item.offset)
            return
        data = event.data
        if (why := await self._not_believed(item, event)) is not None:
            self.not_believed += 1
            log.warning("feed.change_not_believed", offset=item.offset, uid=data.uid, home=data.home, publisher=item.publisher, why=why)
            return
        if self.feed.apply(Change(item.offset, data.uid, item.body), Standing(version, data.status, data.since, life)):
            self.changes += 1
            self.delay_s = max(0.0, self._clock() - at)
            self._news()

    def _take_beginning(self, item: StreamItem) -> None:
        began = era_that_began(item.body, self._key) if self._broker.speaks_for(item.publisher, GLOBAL) else None
        if began is None:
            self.not_believed += 1
            log.warning("feed.era_not_believed", offset=item.offset, publisher=item.publisher)
            return
        if began.former:  # what an earlier era told of users who do not move is in no stream any more
            self.feed.whole = False
        self.feed.signed = True

    async def _not_believed(self, item: StreamItem, event: _CloudEvent) -> str | None:
        """Why a change does not count; None when it comes from the home of the user whom it names. What was published before Flash signed
        is believed, but nothing that is unsigned and comes later."""
        data, home = event.data, event.data.home
        if len(item.body) > MAX_CHANGE_BYTES:
            return "it is longer than a change"
        person = await self._person(data.uid)
        if person is not None and person != (data.handle, home):
            return "the user lives elsewhere, or is called otherwise"
        if event.source != f"/homes/{home}" or not event.id.startswith(f"{home}/user-{data.uid}/"):
            return "its id or source is not of the home that it names"
        if item.publisher is None and not self.feed.signed:
            return None
        self.feed.signed = True
        return None if self._broker.speaks_for(item.publisher, home) else "somebody else published it"

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_EVERY_S)
            await self._save()

    async def _save(self) -> None:
        cursor = self.feed.cursor
        if cursor == self._saved:
            return
        try:
            await asyncio.to_thread(write_checkpoint, self._file, self.feed.to_checkpoint(), self._keys)
            self._saved = cursor
        except (OSError, Unavailable) as error:
            log.warning("feed.checkpoint_failed", error=type(error).__name__)
