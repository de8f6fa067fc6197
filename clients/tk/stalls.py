"""How long Tk's thread was kept from its work. Rule: it measures only when asked to, for it wakes the processor often."""

import time
import tkinter as tk

import structlog

BEAT_MS = 10  # what is shorter than a beat is not seen, and nobody feels it
WORTH_SAYING_MS = 30.0  # two frames

log = structlog.get_logger("flash.tk")


class StallWatch:
    """A heartbeat on Tk's thread: each late beat is a stall. Says every one that is worth it, and keeps the longest."""

    def __init__(self, root: tk.Tk) -> None:
        self._root = root
        self._due = float("inf")  # the first beat is when the main loop runs: before that there is no window to be felt
        self.longest_ms = 0.0
        root.after(0, self._beat)

    def _beat(self) -> None:
        now = time.monotonic()
        late_ms = (now - self._due) * 1000
        if late_ms >= WORTH_SAYING_MS:
            log.debug("tk.stall", late_ms=round(late_ms, 1))
        self.longest_ms = max(self.longest_ms, late_ms)
        self._due = time.monotonic() + BEAT_MS / 1000
        self._root.after(BEAT_MS, self._beat)
