"""What each server of a soak loads at its start, because `PYTHONPATH` names this folder: an answer to a signal of the bench.

Rule: nothing but that signal runs it, so no stranger can; Flash itself has no such hook. On SIGUSR1 it collects garbage, and writes what is
in use into a file of the process. With `SOAK_TRACE` it also writes a snapshot of all allocations.
"""

import ctypes
import gc
import json
import os
import signal
import sys
import tracemalloc
from pathlib import Path

FRAMES = 8  # of the call stack of each allocation
_COUNTERS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class MallocInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc: `uordblks` and `hblkhd` are bytes in use, `fordblks` bytes that are kept free."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _COUNTERS)


def _malloc() -> dict[str, int]:
    call = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if call is None:
        return {}
    call.restype = MallocInfo
    told = call()
    return {"malloc_used": told.uordblks + told.hblkhd, "malloc_free": told.fordblks}


def _sqlite() -> dict[str, int]:
    try:
        used = ctypes.CDLL("libsqlite3.so.0").sqlite3_memory_used  # that of the `sqlite3` module, on Linux
    except OSError:
        return {}
    used.restype = ctypes.c_int64
    return {"sqlite": used()}


class Answers:
    """The answers of this process, in `folder`."""

    def __init__(self, folder: Path, trace: bool) -> None:
        self._folder = folder
        self._trace = trace
        self._count = 0

    def answer(self, *_: object) -> None:
        """Collect, and write what is in use."""
        self._count += 1
        gc.collect()
        told = {"count": self._count, "blocks": sys.getallocatedblocks(), **_malloc(), **_sqlite()}
        if tracemalloc.is_tracing():
            told["traced"] = tracemalloc.get_traced_memory()[0]
            tracemalloc.take_snapshot().dump(str(self._folder / f"{os.getpid()}-{self._count}.snapshot"))
        elif self._trace:  # from the first look on, because a server that starts would need a minute with it
            tracemalloc.start(FRAMES)
        draft = self._folder / f"{os.getpid()}.draft"
        draft.write_text(json.dumps(told))
        draft.rename(self._folder / f"{os.getpid()}.json")


if "SOAK_ANSWERS" in os.environ:
    signal.signal(signal.SIGUSR1, Answers(Path(os.environ["SOAK_ANSWERS"]), "SOAK_TRACE" in os.environ).answer)
