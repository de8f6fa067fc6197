"""The CPU time and memory of processes, as the kernel shows them in /proc.

Rule: nothing is estimated: the CPU time is that of all threads and children, and shared memory is divided among its users.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes. `rss` is all memory that is present; `pss` divides shared pages among their users; `uss` is what this process alone has."""

    rss: int
    pss: int
    uss: int


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds of user and system CPU time of these processes so far, and of those of their children that have ended."""
    return sum(_cpu_ticks(pid) for pid in set(pids)) / TICKS_PER_S


def _cpu_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # the process has ended, and its parent counts its ticks
    return sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime


def memory(pid: int) -> Memory:
    """The memory of a process now."""
    kib: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        kib[name] = int(value.split()[0])
    return Memory(kib["Rss"] * 1024, kib["Pss"] * 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) * 1024)
