"""How long Tk's thread was kept from its work. Rule: it measures only when asked to, for it wakes the processor often."""

import time
import tkinter as tk
from pathlib import Path

import structlog

BEAT_MS = 10  # what is shorter than a beat is not seen, and nobody feels it
WORTH_SAYING_MS = 30.0  # two frames

log = structlog.get_logger("flash.tk")


class StallWatch:
    """A heartbeat on Tk's thread: each late beat is a stall, and those worth it are logged.

    `late_ms`: as the person at the window feels it. `queued_ms`: how long of it one thread of this program (that which waited longest)
    was ready and waited for a processor that others had (Linux only; 0 elsewhere): what no program can do anything about.
    """

    def __init__(self, root: tk.Tk) -> None:
        self._root = root
        self._due = float("inf")  # the first beat is when the main loop runs: before that there is no window to be felt
        self._queued: dict[str, float] = {}
        root.after(0, self._beat)

    def _beat(self) -> None:
        late_ms = (time.monotonic() - self._due) * 1000
        before, self._queued = self._queued, _queued()
        if late_ms >= WORTH_SAYING_MS:
            queued_ms = max((waited - before.get(thread, waited) for thread, waited in self._queued.items()), default=0.0)
            log.debug("tk.stall", late_ms=round(late_ms, 1), queued_ms=round(queued_ms, 1))
        self._due = time.monotonic() + BEAT_MS / 1000
        self._root.after(BEAT_MS, self._beat)


def _queued() -> dict[str, float]:
    """What each thread of this process has waited for a processor so far, in ms: second field of its `schedstat` (proc(5))."""
    waited = {}
    for task in Path("/proc/self/task").glob("*/schedstat"):
        try:
            waited[task.parent.name] = int(task.read_text().split()[1]) / 1e6
        except (OSError, ValueError, IndexError):
            continue  # the thread has ended, or the kernel does not count
    return waited
