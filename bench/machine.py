"""The machine on which a workload ran. Rule: a figure without its machine means nothing, so these lines precede every table."""

import os
import platform
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

PROBES = 200  # 0.1 to 5 ms each, so they take a second at most


def facts(directory: Path) -> list[str]:
    """Lines that describe machine and software. `directory` is where the servers keep their data."""
    model = next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    middle_us, slow_us = fsync_us(directory)
    return [
        f"{os.cpu_count()} cores ({model}), load {load} before the start",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, Linux {platform.release()}",
        f"fsync of 4 KB: median {middle_us:.0f} µs, p95 {slow_us:.0f} µs",
    ]


def fsync_us(directory: Path) -> tuple[float, float]:
    """Median and 95th percentile of the time to append a page to a file and sync it, in µs."""
    took: list[float] = []
    page = os.urandom(4096)
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(PROBES):
            start = time.perf_counter()
            file.write(page)
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - start) * 1e6)
    return statistics.median(took), statistics.quantiles(took, n=20)[-1]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
