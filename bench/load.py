"""Popups on many lines at once: as many as possible (closed loop), or a fixed number a second (open loop).

Rule: latency counts from the time at which a popup was due, so that a generator or server that falls behind cannot hide it.
"""

import asyncio
import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from bench.report import Run, percentile
from tests.support.waiting import eventually

DRAIN_S = 15.0  # popups that have not arrived by then are lost


OnAccepted = Callable[["AnyLine"], None]  # the line can send again
OnPopup = Callable[["AnyLine", int, float], None]  # line, number of the message, time at which it was shown
LineT = TypeVar("LineT", bound="AnyLine")


class AnyLine(ABC):
    """A sender and a recipient. The counts are of messages `sent`, `accepted` by a server, `shown` and `receipted`. `on_popup` is called
    when a message is both accepted and shown."""

    def __init__(self, number: int, on_accepted: OnAccepted, on_popup: OnPopup, faults: list[str]) -> None:
        self.number = number
        self.faults = faults
        self.on_accepted = on_accepted
        self.on_popup = on_popup
        self.sent = self.accepted = self.shown = self.receipted = 0
        self.shown_at = 0.0  # when the newest message was shown

    @abstractmethod
    def send(self) -> None:
        """Send the next message."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""


@dataclass(slots=True)
class Window:
    """The time in which popups count. `latencies_s` is of the popups that were completed while it was open."""

    opened_at: float
    latencies_s: list[float] = field(default_factory=list)
    until: float = float("inf")


class Load:
    """Drives lines. `cpu_s` tells the CPU seconds of all servers so far; `shares` tells those of the broker and the database, by name."""

    def __init__(self, cpu_s: Callable[[], float], shares: Mapping[str, Callable[[], float]]) -> None:
        self._cpu_s = cpu_s
        self._shares = shares
        self.lines: list[AnyLine] = []
        self.faults: list[str] = []
        self._free: deque[AnyLine] = deque()
        self._overdue: deque[float] = deque()
        self._due: dict[tuple[int, int], float] = {}  # (line, number of the message) -> the time at which it was due
        self._window: Window | None = None
        self._running = False
        self._closed_loop = False

    def line(self, number: int, make: Callable[[int, OnAccepted, OnPopup, list[str]], LineT]) -> LineT:
        """A new line of this load. The caller opens it."""
        line = make(number, self._accepted, self._popped, self.faults)
        self.lines.append(line)
        self._free.append(line)
        return line

    async def run(self, warm_s: float, run_s: float, *, in_flight: int = 0, per_s: float = 0.0) -> Run:
        """Warm up, measure, wait until everything has arrived, and check. Either `in_flight` popups at a time, or `per_s` a second."""
        self.faults.clear()
        self._running, self._closed_loop = True, in_flight > 0
        stop = threading.Event()
        if in_flight:
            for _ in range(in_flight):
                self._launch(time.perf_counter())
        else:
            threading.Thread(target=self._launch_regularly, args=(per_s, stop, asyncio.get_running_loop()), daemon=True).start()
        await asyncio.sleep(warm_s)
        cpu, own, start = self._cpu_s(), time.process_time(), time.perf_counter()
        before = {name: used() for name, used in self._shares.items()}
        sent = -len(self._due) + sum(line.sent for line in self.lines)  # popups that are under way now are completed within the window
        window = self._window = Window(start)
        await asyncio.sleep(run_s)
        took_s = time.perf_counter() - start
        in_time = len(window.latencies_s)
        self._running = False
        stop.set()
        await self._drain()
        popups = sum(line.shown for line in self.lines) - sent
        cpu, own = self._cpu_s() - cpu, time.process_time() - own
        shares = {name: used() - before[name] for name, used in self._shares.items()}
        whole_s = time.perf_counter() - start
        self._window = None
        return self._report(window, popups, in_time / took_s, cpu, shares, own, whole_s)

    def _report(self, window: Window, popups: int, rate: float, cpu: float, shares: Mapping[str, float], own: float, whole_s: float) -> Run:
        popups = max(popups, 1)
        figures = {
            "popups/s": rate,
            "p50 ms": percentile(window.latencies_s, 0.5) * 1e3,
            "p99 ms": percentile(window.latencies_s, 0.99) * 1e3,
            "CPU µs/popup": cpu / popups * 1e6,
        }
        figures |= {f"of it {name} µs": used / popups * 1e6 for name, used in shares.items() if used}
        figures["generator µs/popup"] = own / popups * 1e6
        figures["generator % of a core"] = own / whole_s * 100
        return Run(figures, faults=list(self.faults))

    def _launch(self, due: float) -> None:
        if not self._free:
            self._overdue.append(due)
            return
        line = self._free.popleft()
        line.send()
        self._due[line.number, line.sent] = due

    def _accepted(self, line: AnyLine) -> None:
        """The line can send again although its last popup may not be shown yet: so the order is checked, too."""
        self._free.append(line)
        if self._overdue:
            self._launch(self._overdue.popleft())

    def _popped(self, line: AnyLine, number: int, when: float) -> None:
        due = self._due.pop((line.number, number))
        if self._window is not None:
            self._window.latencies_s.append(when - due)
        if self._closed_loop and self._running:
            self._launch(time.perf_counter())

    def _launch_regularly(self, per_s: float, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        """Launch popups from a thread of its own, because timers of the event loop have whole milliseconds, a third of the latency."""
        due = time.perf_counter()
        while not stop.is_set():
            time.sleep(max(due - time.perf_counter(), 0))
            loop.call_soon_threadsafe(self._launch, due)
            due += 1 / per_s

    async def _drain(self) -> None:
        with contextlib.suppress(AssertionError):  # the loop below reports what is missing, line by line
            await eventually(lambda: not self._due and all(line.receipted == line.sent for line in self.lines), DRAIN_S)
        for line in self.lines:
            if not line.sent == line.accepted == line.shown == line.receipted:
                self.faults.append(
                    f"line {line.number}: {line.sent} sent, {line.accepted} accepted, {line.shown} shown, {line.receipted} receipts"
                )
