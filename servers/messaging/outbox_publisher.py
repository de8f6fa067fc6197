"""One of the outbox's two publishers: publishes the log in order, with confirms. Rule: it never loses an event; it may repeat some.

It hands the log to its sender in batches, and passes what is confirmed. When the broker takes nothing, it begins again behind that. While
the broker is away for long, memory stays bounded: events that do not fit are read again from the store.
"""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from eventsourcing.persistence import Tracking

from broker.port import Broker
from domain.errors import Unavailable
from runtime.background_task import BackgroundTask
from servers.messaging.outbox_parts import OutboxConfig, Sender
from servers.messaging.recent_commits import Follower, portion
from servers.store.event_store import Committed, Store
from servers.writing.writer import Writer

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class OutboxPublisher:
    """Publishes the events by `sender`. `stream`: what people call it; `name`: the store remembers the position under it; `linger_s`: how
    long a batch may gather when nobody waits for it."""

    store: Store
    writer: Writer
    broker: Broker
    stream: str
    name: str
    sender: Sender
    follower: Follower
    linger_s: float
    config: OutboxConfig
    turns: int = field(default=0, init=False)  # whatever it did, also in vain
    refused: str = field(default="", init=False)  # why nothing could be published twice in a row; empty: it can
    _failed: str = field(default="", init=False)  # the same of the last try alone
    task: BackgroundTask = field(init=False)
    _saving: BackgroundTask = field(init=False)
    _saved: int = field(default=0, init=False)  # the position that the store has, or that travels with a coming commit
    _unsaved: dict[str, int] = field(default_factory=dict, init=False)  # the further positions that changed since the last `_save`
    _stopping: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.task, self._saving = BackgroundTask(self.name), BackgroundTask(f"{self.name}-save")

    async def start(self) -> None:
        """Go on where the last run stopped."""
        self._saved = await self.store.run(self.store.tracked, self.name)
        self.follower.passed(self._saved)
        self.follower.arrived.set()
        self.task.start(self._run())
        self._saving.start(self._save_now_and_then())

    async def stop(self, timeout_s: float) -> None:
        """Publish the rest if the broker takes it in time; what remains is published at the next start."""
        self._stopping = True
        self.follower.arrived.set()
        if self.broker.connected:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.task.wait(), timeout_s)
        await self.kill()
        await self._save()

    async def kill(self) -> None:
        """End at once, as in a crash: nothing more is published or stored."""
        await self.task.stop()
        await self._saving.stop()

    @property
    def position(self) -> int:
        """Everything up to here is published."""
        return self.follower.position

    @property
    def lag(self) -> int:
        """How many positions are committed but not yet published."""
        return self.follower.lag

    async def _run(self) -> None:
        follower, recent, config, pause_s = self.follower, self.follower.recent, self.config, self.config.first_retry_s
        sender = self.sender
        while True:
            try:
                behind = sender.behind
                if recent.last <= follower.given and not behind and sender.failure is None:
                    if self._stopping and follower.lag <= 0:
                        return
                    follower.arrived.clear()
                    await follower.arrived.wait()
                if sender.failure is not None:
                    raise sender.failure
                if self.linger_s and recent.last - follower.given < config.max_batch:
                    await asyncio.sleep(self.linger_s)
                # Receivers drop late events, so nothing may be left out: events that are not in memory are read first.
                batch = follower.next(config.max_batch, config.max_batch_bytes) or await self._read()
                if batch:
                    positions = await sender.send(batch)
                    follower.given = batch[-1].position
                    self.landed(positions)
                del batch  # up to a megabyte, which an idle home would keep
                if behind:
                    self.ride(await sender.send_again())
                pause_s = config.first_retry_s
                self.turns += 1
                self.refused = self._failed = ""
            except Unavailable as error:
                self.turns += 1
                await sender.rewind()
                starting = sender.starting
                if starting and self._stopping:
                    return
                repeated, self._failed = error.detail == self._failed, error.detail
                early = starting and pause_s < config.longest_retry_s
                if repeated and not early and error.detail != self.refused:
                    self.refused = error.detail
                    if self.broker.connected:
                        log.error("outbox.refused", stream=self.stream, lag=self.lag, detail=error.detail)
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                pause_s = min(pause_s * 2, config.longest_retry_s)
            except Exception as error:
                log.exception("outbox.failed", stream=self.stream)
                await sender.rewind()
                self.turns += 1
                self.refused = type(error).__name__
                await asyncio.sleep(config.longest_retry_s)

    async def _read(self) -> list[Committed]:
        """The next events, from the store."""
        follower, config = self.follower, self.config
        position, end = follower.given, follower.recent.last
        if end <= position:
            return []
        try:
            batch = await self.store.run_reader(self.store.read, position, config.max_batch)
        except Unavailable as error:
            log.warning("outbox.read_failed", detail=error.detail)
            await asyncio.sleep(config.longest_retry_s)
            return []
        if not batch:
            follower.given = end  # there is nothing behind these numbers
            self.landed({})
        return portion(batch, config.max_batch, config.max_batch_bytes)

    def landed(self, positions: Mapping[str, int]) -> None:
        """Pass what is confirmed, and store it later with these positions."""
        follower, confirmed = self.follower, self.sender.open_from() - 1
        if confirmed != follower.position:
            follower.passed(confirmed)
            self.ride(positions)
        elif positions:
            self.ride(positions)
        if self._stopping:
            follower.arrived.set()

    def ride(self, positions: Mapping[str, int]) -> None:
        """Let the publisher's position and these ones travel with a coming commit, all of them with the same one."""
        self._unsaved.update(positions)
        self.writer.riding.update(positions)
        self.writer.riding[self.name] = self._saved = self.follower.position

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self.config.save_after_s)
            await self._save()

    async def _save(self) -> None:
        position, saved, unsaved = self.follower.position, self._saved, self._unsaved
        if position == saved and self.name not in self.writer.riding:
            unsaved.clear()  # a commit took them along
            return
        self._saved, self._unsaved = position, {}
        for name in (self.name, *unsaved):
            self.writer.riding.pop(name, None)
        try:
            await self.writer.submit((), trackings=[Tracking(name, at) for name, at in {**unsaved, self.name: position}.items()])
        except Unavailable:
            self._saved = -1  # not known: save again
            self._unsaved = unsaved | self._unsaved
