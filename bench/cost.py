"""What processes cost, as the kernel has it in /proc.

Rule: nothing is estimated: CPU of all threads and children, memory as it is shared.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `rss`: mapped and present; `pss`: the same with shared pages divided among their users; `uss`: only its own."""

    rss: int
    pss: int
    uss: int


def cpu_s(pids: Iterable[int]) -> float:
    """User and system seconds that these processes and their children that have ended have used so far."""
    return sum(_cpu_ticks(pid) for pid in set(pids)) / TICKS_PER_S


def _cpu_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended; its parent has its ticks
    return sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime


def memory(pid: int) -> Memory:
    """What a process holds now."""
    kib: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        kib[name] = int(value.split()[0])
    return Memory(kib["Rss"] * 1024, kib["Pss"] * 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) * 1024)
