"""Gives memory back to the system after a storm. Rule: it never does so while memory is still growing, nor again for the same growth.

Python returns an arena that is empty, but the C library keeps what was freed between pages that are in use. `malloc_trim` of glibc returns
those pages: 150 MB in 70 ms, in a thread, during which the loop waits where it allocates. So it is done once after a storm.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

LOOK_S = 15.0  # a minute after a storm its memory is given back
STEP_BYTES = 16_000_000  # less is not worth the wait of 8 ms: it is soon used again
MB = 1_000_000

log = structlog.get_logger()


def resident_bytes() -> int:
    """How much memory this process holds; 0 where only Linux would say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def trim() -> None:
    """Return free pages. Does nothing where the C library is not glibc."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


@dataclass(slots=True)
class MemoryKeeper:
    """Looks at the memory of this process now and then."""

    resident: Callable[[], int] = resident_bytes
    trim: Callable[[], None] = trim
    look_s: float = LOOK_S
    step_bytes: int = STEP_BYTES
    level: int = 0  # what was in use after it was given back last
    before: int = 0  # what was in use at the last look

    async def run(self) -> None:
        """Look until cancelled."""
        self.level = self.resident()
        while True:
            await asyncio.sleep(self.look_s)
            await self.look()

    async def look(self) -> None:
        """Give back what a storm has left, if it is over."""
        now, before = self.resident(), self.before
        self.before = now
        self.level = min(self.level, now)
        if now - self.level > self.step_bytes and now <= before + self.step_bytes // 8:
            await asyncio.to_thread(self.trim)
            self.level = self.before = self.resident()
            log.info("memory.given_back", before_mb=now // MB, after_mb=self.level // MB)
