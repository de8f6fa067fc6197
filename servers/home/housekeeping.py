"""What a home does by the clock: it ends sessions lost in a restart, lets statuses lapse, and lets old messages expire.

Rule: everything done here is a command to the writer; while the store is away it waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from domain.errors import Unavailable
from domain.mailbox.commands import Expire
from domain.rules.closing import DropErased
from domain.rules.rules import Command
from domain.user.commands import LapseStatus, LogOff
from projections.server.presence import PresenceIndex
from projections.server.waiting_mail import WaitingIndex
from runtime.background_task import BackgroundTasks
from runtime.deferred import Deferred
from servers.home.config import HousekeepingConfig
from servers.home.overdue_mail import OverdueMail
from servers.sessions.sessions import Sessions
from servers.writing.writer import Writer

CHUNK = 200  # commands at a time, so that users' commands come in between

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Housekeeping:
    """Timed work of one home."""

    writer: Writer
    sessions: Sessions
    presence: PresenceIndex
    waiting: WaitingIndex
    config: HousekeepingConfig
    clock: Callable[[], float]
    may_expire: Callable[[], Awaitable[bool]]  # False while the time may be wrong
    overdue_mail: OverdueMail
    turns: int = field(default=0, init=False)  # how often it has looked around
    _unended: list[LogOff] = field(default_factory=list, init=False)
    _tasks: BackgroundTasks = field(default_factory=lambda: BackgroundTasks("housekeeping"), init=False)

    def start(self) -> None:
        """Begin. Sessions that are open in the log now were lost when the last run ended."""
        orphans = [(uid, session) for uid, ids in self.presence.sessions.items() for session in ids]
        self._tasks.start(self._end_orphans(orphans))
        self._tasks.start(self._look_around())

    async def stop(self) -> None:
        """Stop at once. Work that is left is done after the next start."""
        await self._tasks.stop()

    def end(self, command: LogOff) -> None:
        """Record that a session ended, now or as soon as the store is back. It stands behind what its user called before."""

        def ended(deferred: Deferred[object]) -> None:
            if deferred.exception is not None:
                self._unended.append(command)

        self.writer.submit((command,), lane=command.uid).add_done_callback(ended)

    def drop_erased(self, sender: int) -> None:
        """Take an erased sender's messages out of the mailboxes of users who are here. Other mailboxes are cleaned at the next login."""
        here = [uid for uid in self.waiting.recipients.get(sender, ()) if self.sessions.of(uid)]
        if here:
            self._tasks.start(self._submit([DropErased(uid=uid, cause="erasure", sender=sender) for uid in here]))

    async def _end_orphans(self, orphans: Sequence[tuple[int, str]]) -> None:
        if not orphans:
            return
        await asyncio.sleep(self.config.restart_grace_s)
        lost = [
            LogOff(uid=uid, cause="restart", session=session, reason="restart")
            for uid, session in orphans
            if self.sessions.get(session) is None
        ]
        log.info("home.sessions_lost", sessions=len(lost))
        for command in lost:
            self.end(command)

    async def _look_around(self) -> None:
        expire_at = self.clock()
        while True:
            await asyncio.sleep(self.config.look_s)
            now = self.clock()
            again, self._unended = self._unended, []
            for command in again:
                self.end(command)
            due = [LapseStatus(uid=uid, cause="until") for uid, until in self.presence.lapses.items() if until <= now]
            await self._submit(due)
            if now >= expire_at and await self.may_expire():
                expire_at = now + self.config.expire_every_s
                before = now - self.config.message_ttl_s
                await self._submit([Expire(uid=uid, cause="expiry", before=before) for uid in self.waiting.since_before(before)])
                try:
                    await self.overdue_mail.bounce(before, now)
                except Unavailable as error:
                    log.warning("home.bouncing_waits", detail=error.detail)
            self.turns += 1

    async def _submit(self, commands: Sequence[Command]) -> None:
        for start in range(0, len(commands), CHUNK):
            results = [self.writer.submit((command,)) for command in commands[start : start + CHUNK]]
            for result in await asyncio.gather(*results, return_exceptions=True):
                if isinstance(result, BaseException) and not isinstance(result, Unavailable):
                    log.error("home.housekeeping_failed", error=type(result).__name__)
