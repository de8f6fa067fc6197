"""Measures how long Tk's thread was kept from its work. Rule: it runs only when asked for, because it wakes the processor often."""

import time
import tkinter as tk
from pathlib import Path

import structlog

HEARTBEAT_MS = 10  # a stall that is shorter than this is not seen, and nobody feels it
WORTH_SAYING_MS = 30.0  # two frames

log = structlog.get_logger("flash.tk")


class StallWatch:
    """A heartbeat on Tk's thread. Each late heartbeat is a stall, and stalls that a person may feel are logged.

    `late_ms`: the stall as the person at the window feels it. `queued_ms`: for how much of it the thread of this program that waited
    longest was ready and waited for a processor, because other programs had it (Linux only; 0 elsewhere). No program can change that part.
    """

    def __init__(self, root: tk.Tk) -> None:
        self._root = root
        self._due = float("inf")  # the first heartbeat comes when the main loop runs: before, there is no window that could be felt
        self._queued: dict[str, float] = {}
        root.after(0, self._on_heartbeat)

    def _on_heartbeat(self) -> None:
        late_ms = (time.monotonic() - self._due) * 1000
        before, self._queued = self._queued, _queued()
        if late_ms >= WORTH_SAYING_MS:
            queued_ms = max((waited - before.get(thread, waited) for thread, waited in self._queued.items()), default=0.0)
            log.debug("tk.stall", late_ms=round(late_ms, 1), queued_ms=round(queued_ms, 1))
        self._due = time.monotonic() + HEARTBEAT_MS / 1000
        self._root.after(HEARTBEAT_MS, self._on_heartbeat)


def _queued() -> dict[str, float]:
    """How long each thread of this process has waited for a processor so far, in ms: the second field of its `schedstat` (proc(5))."""
    waited = {}
    for task in Path("/proc/self/task").glob("*/schedstat"):
        try:
            waited[task.parent.name] = int(task.read_text().split()[1]) / 1e6
        except (OSError, ValueError, IndexError):
            continue  # the thread has ended, or the kernel does not count
    return waited
