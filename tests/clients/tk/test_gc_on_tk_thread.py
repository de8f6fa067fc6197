"""Garbage that belongs to Tcl is freed on Tk's thread, whichever thread makes the interpreter look for it."""

import gc
import threading
from collections.abc import Callable, Iterator

import pytest

from clients.tk.gc_on_tk_thread import Collector


class Variable:
    """Stands in a circle, as Tk's do with the widgets that show them."""

    freed_on: list[int]

    def __init__(self, freed_on: list[int]) -> None:
        self.myself, self.freed_on = self, freed_on

    def __del__(self) -> None:
        self.freed_on.append(threading.get_ident())


@pytest.fixture
def turns() -> Iterator[list[Callable[[], None]]]:
    """What Tk was asked to call later."""
    later: list[Callable[[], None]] = []
    collector = Collector(lambda ms, call: later.append(call))
    yield later
    collector.close()
    assert gc.isenabled()


def test_another_thread_frees_nothing_of_tcl(turns: list[Callable[[], None]]) -> None:
    freed_on: list[int] = []
    for _ in range(3):
        Variable(freed_on)
    busy = threading.Thread(target=lambda: [[] for _ in range(5 * gc.get_threshold()[0])])
    busy.start()
    busy.join()
    assert freed_on == []
    kept = [[] for _ in range(gc.get_threshold()[0] + 1)]  # type: ignore[var-annotated]
    turns.pop()()
    assert freed_on == [threading.get_ident()] * 3
    assert turns, "it goes on looking"
    assert kept
