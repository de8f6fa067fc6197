"""Collects garbage on Tk's thread only. Rule: no other thread ever frees an object that belongs to Tcl.

Widgets and their variables refer to each other in circles, so Python's collector frees them, on the thread that happens to allocate
then. If that is the engine's thread, a variable calls Tcl from there: at best the call waits for Tk's thread, at worst it fails.
"""

import gc
from collections.abc import Callable

EVERY_MS = 200  # between two checks: even a flood makes only some megabytes of garbage in that time
After = Callable[[int, Callable[[], None]], object]


class Collector:
    """Collects by the interpreter's own thresholds, in place of the interpreter. `after(ms, call)`: Tk's function."""

    def __init__(self, after: After) -> None:
        gc.disable()
        gc.freeze()  # what a program loads at its start stays, so the collector need not look through it again and again
        self._after = after
        self._look()

    def close(self) -> None:
        """Let the interpreter collect again, because the windows are gone."""
        gc.unfreeze()
        gc.enable()

    def _look(self) -> None:
        self._after(EVERY_MS, self._look)
        for generation, (count, threshold) in reversed(list(enumerate(zip(gc.get_count(), gc.get_threshold(), strict=True)))):
            if count > threshold:
                gc.collect(generation)  # and the younger ones with it
                return
