"""The lease: of two processes that could write to a home's log, only its holder may. Rule: the holder stops by its own clock, and the
lease's number (the fence) makes sure of it.

The holder renews the lease. When it cannot, its right ends on its own clock no later than in the database. A process that slept through
the end learns of it at its next commit, which carries the lease's number and fails when a newer lease was given.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from domain.errors import Unavailable
from runtime.background_task import BackgroundTask
from runtime.worker import Worker

RENEWALS = 4  # per lease: three may fail before it ends
LOOKS = 8  # per lease: how often a standby looks whether the lease has ended

log = structlog.get_logger()


class LeaseLost(Unavailable):
    """Another process serves this home now; started again, this one stands by."""


class LeaseTable(Protocol):
    """Where the lease lies. Every method blocks and may raise `Unavailable`."""

    def take(self, holder: str, lasts_s: float, restarted: bool) -> int | None:
        """The new fencing number; None while another process holds the lease. `restarted`: take it back from our own former life."""

    def renew(self, epoch: int, lasts_s: float) -> bool:
        """Whether the lease is still ours."""

    def release(self, epoch: int) -> None:
        """Give the lease back, so that the next process can have it at once."""

    def holder(self) -> str:
        """The process that holds the lease, or held it last."""

    def close(self) -> None:
        """Close the connection."""


def seconds_awake_or_not() -> float:
    """A clock that goes on while the process is stopped or the machine sleeps, as the lease does."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """One process's side. `holder`: the name of the process for people, the same after a restart; `lasts_s`: how long a renewal holds."""

    def __init__(
        self, table: LeaseTable, server: str, holder: str, lasts_s: float, clock: Callable[[], float] = seconds_awake_or_not
    ) -> None:
        self.epoch = 0
        self.lost = asyncio.Event()
        self.takeover_s = 0.0  # how long this process stood by
        self._table = table
        self._server = server
        self._holder = holder
        self._lasts_s = lasts_s
        self._clock = clock
        self._until = 0.0
        self._other = ""
        self._thread = Worker(f"lease-{server}")  # of its own: a slow commit must not cost the lease
        self.task = BackgroundTask(f"lease-{server}")

    @property
    def held(self) -> bool:
        """Whether we may serve now."""
        return self._clock() < self._until

    def why_not(self) -> str | None:
        """None while the lease is held, else a sentence that says why not."""
        if self._clock() < self._until:
            return None
        if not self.epoch:
            return f"Standby: this home is served by {self._other or 'another process'}."
        if self.lost.is_set():
            return "Another process serves this home now."
        return "The lease could not be renewed: the database is away."

    async def acquire(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Wait until the lease is ours, calling `meanwhile` again and again."""
        began, restarted = self._clock(), True
        not_before = 0.0
        while True:
            asked = self._clock()
            try:
                if asked >= not_before and (epoch := await self._thread.run(self._table.take, self._holder, self._lasts_s, restarted)):
                    break
                other = await self._thread.run(self._table.holder)
                if other != self._other:
                    self._other = other
                    log.info("lease.standing_by", server=self._server, holder=other)
                await meanwhile()
            except Unavailable as error:
                log.warning("lease.database_away", server=self._server, detail=error.detail)
                not_before = self._clock() + self._lasts_s / 2  # the holder could not renew either, and may try first
            restarted = False
            await asyncio.sleep(self._lasts_s / LOOKS)
        self._until = asked + self._lasts_s
        self.epoch = epoch
        self.takeover_s = self._clock() - began
        log.info("home.takeover", home=self._server, lease=epoch, waited_s=round(self.takeover_s, 2))
        self.task.start(self._renew())

    def fenced_out(self) -> None:
        """The database refused our number: the lease is over, whatever our clock says."""
        if not self.lost.is_set():
            self._until = 0.0
            self.lost.set()
            log.error("lease.lost", server=self._server, lease=self.epoch)

    async def _renew(self) -> None:
        while not self.lost.is_set():
            await asyncio.sleep(self._lasts_s / RENEWALS)
            asked, was_held = self._clock(), self.held
            try:
                if not await self._thread.run(self._table.renew, self.epoch, self._lasts_s):
                    self.fenced_out()
                    return
            except Unavailable as error:
                log.warning("lease.not_renewed", server=self._server, detail=error.detail, held=self.held)
                continue
            self._until = asked + self._lasts_s
            if not was_held:
                log.info("lease.regained", server=self._server, lease=self.epoch)

    async def stop(self) -> None:
        """Give the lease back, so that a standby need not wait for its end."""
        await self.task.stop()
        self._until = 0.0
        if self.epoch and not self.lost.is_set():
            with contextlib.suppress(Unavailable):
                await self._thread.run(self._table.release, self.epoch)
        await self._thread.run(self._table.close)
        await asyncio.to_thread(self._thread.stop)
