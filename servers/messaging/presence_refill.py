"""Tells the public presence feed again how everybody stands, when its stream was begun anew. Rule: the last event of each user, once in
an era; for an integrator who knows it already it is a repeat.

The feed tells changes, and a stream begun anew has lost those of before. Whoever follows it takes a new snapshot, which would know nobody
who does not move. Cost: one read of the store for each user, in its reader's thread, when an era begins.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from eventsourcing.persistence import Tracking

from broker import topology
from broker.port import Broker, Outgoing
from domain.errors import Unavailable
from domain.events.home import PresenceEvent
from projections.server.presence import Presence
from runtime.background_task import BackgroundTask
from servers.messaging.eras import Era
from servers.messaging.presence_events import presence_message
from servers.store.event_store import Store
from servers.store.log.positions import RELAY
from servers.writing.writer import Writer

TOLD = f"{RELAY}-presence "  # and an era: that this era was told how everybody stands
PORTION = 200  # messages of one publication: some 80 KB
RETRY_S = 2.0

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class PresenceRefill:
    """One home's part. `users`: how each user stands, by uid; `era`: of the feed, as far as this home has heard; 0 when it never has."""

    store: Store
    writer: Writer
    broker: Broker
    home: str
    users: Callable[[], Mapping[int, Presence]]
    era: int = field(default=0, init=False)
    told: int = field(default=0, init=False)  # users, since the start
    _past: bool = field(default=False, init=False)  # that era holds what was told before there were eras
    _eras: set[str] = field(default_factory=set, init=False)  # that were told
    _task: BackgroundTask = field(default_factory=lambda: BackgroundTask("presence-refill"), init=False)

    async def start(self) -> None:
        """Learn which eras were told."""
        self._eras = set(await self.store.run(self.store.tracked_under, TOLD))
        self.era = max((int(name.removeprefix(TOLD)) for name in self._eras), default=0)

    async def stop(self) -> None:
        """Stop; the next start goes on."""
        await self._task.stop()

    def era_is(self, stream: str, era: Era) -> None:
        """The Global Server says in which era a stream is."""
        if stream != topology.PRESENCE_LOG:
            return
        self.era, self._past = era.number, era.past
        if not self._is_told and not self._task.alive:
            self._task.start(self._tell_eras())

    @property
    def _is_told(self) -> bool:
        return f"{TOLD}{self.era}" in self._eras

    async def _tell_eras(self) -> None:
        while not self._is_told:  # another era may begin meanwhile
            await self._tell(f"{TOLD}{self.era}", self._past and not self._eras)

    async def _tell(self, name: str, told_before: bool) -> None:
        waiting = [] if told_before else sorted(self.users().items())
        while True:
            try:
                while waiting:
                    await self._publish(waiting[:PORTION])
                    del waiting[:PORTION]
                await self.writer.submit((), trackings=[Tracking(name, 1)])
                break
            except Unavailable:
                await asyncio.sleep(RETRY_S)
        self._eras.add(name)
        if self.told:
            log.info("presence.told_again", home=self.home, users=self.told)

    async def _publish(self, some: list[tuple[int, Presence]]) -> None:
        messages: list[Outgoing] = []
        for uid, stands in some:
            event = await self.store.run_reader(self.store.event_at, f"user-{uid}", stands.version)
            if isinstance(event, PresenceEvent):
                messages.append(presence_message(event, self.home, self.era, self.store.life))
        await self.broker.publish(messages)
        self.told += len(messages)
