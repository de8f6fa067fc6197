"""When garbage is collected: on Tk's thread only. Rule: no other thread ever frees what belongs to Tcl.

Widgets and their variables stand in circles, so Python's collector frees them, on whichever thread happens to allocate then. On the
engine's thread a variable would call Tcl from there: at best that waits for Tk's thread, at worst it is refused with a traceback.
"""

import gc
from collections.abc import Callable

EVERY_MS = 200  # between two looks: no flood makes more garbage than some megabytes in that time
After = Callable[[int, Callable[[], None]], object]


class Collector:
    """Does by itself what the interpreter does otherwise, by its own thresholds. `after(ms, call)`: Tk's."""

    def __init__(self, after: After) -> None:
        gc.disable()
        gc.freeze()  # what a program loads at its start stays: it need not be looked through again and again
        self._after = after
        self._look()

    def close(self) -> None:
        """The windows are gone: as usual again."""
        gc.unfreeze()
        gc.enable()

    def _look(self) -> None:
        self._after(EVERY_MS, self._look)
        for generation, (count, threshold) in reversed(list(enumerate(zip(gc.get_count(), gc.get_threshold(), strict=True)))):
            if count > threshold:
                gc.collect(generation)  # and the younger ones with it
                return
