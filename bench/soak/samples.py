"""What a server holds at one moment: memory, descriptors, and the sizes of its named queues.

Rule: garbage is collected before each look, on a signal that only a soak's servers understand (`inside/sitecustomize.py`).
"""

import json
import os
import re
import signal
import tracemalloc
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.cost import memory
from tests.support.waiting import wait_until

INSIDE = Path(__file__).parent / "inside"
ANSWER_S = 60.0  # a snapshot of all allocations takes ten seconds on busy cores
QUEUE = re.compile(r'^flash_queue_(\w+)\{queue="([^"]+)"\} (\S+)$', re.MULTILINE)


@dataclass(slots=True)
class Sample:
    """One server after one minute. Bytes; `blocks`: objects that Python's allocator has given out; `malloc_used`, `malloc_free`: of the C
    library's heap; `sqlite`: what of it SQLite has; `queues`: what `/metrics` says of each named queue and cache, such as `entries`."""

    minute: float
    server: str
    rss: int
    private: int
    descriptors: int
    threads: int
    blocks: int
    malloc_used: int = 0
    malloc_free: int = 0
    sqlite: int = 0
    traced: int = 0
    queues: dict[str, dict[str, float]] = field(default_factory=dict)


class Watched:
    """A server whose process and port are known. `folder`: where its answers lie."""

    def __init__(self, name: str, pid: int, port: int, folder: Path) -> None:
        self.name = name
        self.pid = pid
        self._port = port
        self._folder = folder
        self._asked = 0

    def look(self, minute: float) -> Sample:
        """Collect its garbage, and look. Blocks for a moment. Raises `AssertionError` when it does not answer."""
        self._asked += 1
        os.kill(self.pid, signal.SIGUSR1)
        told = wait_until(self._answer, ANSWER_S, f"{self.name} answers the signal")
        held, process = memory(self.pid), Path(f"/proc/{self.pid}")
        descriptors, threads = (len(os.listdir(process / each)) for each in ("fd", "task"))
        return Sample(minute, self.name, held.rss, held.uss, descriptors, threads, **told, queues=self.queues())

    def _answer(self) -> dict[str, int]:
        file = self._folder / f"{self.pid}.json"
        told: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        return told if told.pop("count", 0) == self._asked else {}

    def queues(self) -> dict[str, dict[str, float]]:
        """What `/metrics` says of each named queue and cache; nothing in a version that does not name them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as answer:
            found = QUEUE.findall(answer.read().decode())
        queues: dict[str, dict[str, float]] = defaultdict(dict)
        for what, queue, value in found:
            queues[queue][what] = float(value)
        return dict(queues)

    def snapshots(self) -> list[Path]:
        """Those of all allocations, in their order."""
        files = self._folder.glob(f"{self.pid}-*.snapshot")
        return sorted(files, key=lambda file: int(file.stem.rpartition("-")[2]))


def environment(folder: Path, trace: bool) -> Mapping[str, str]:
    """What makes a server answer."""
    return {"PYTHONPATH": str(INSIDE), "SOAK_ANSWERS": str(folder), **({"SOAK_TRACE": "1"} if trace else {})}


def grown(before: Path, after: Path, most: int = 25) -> Iterator[str]:
    """The allocations that grew most between two snapshots, with the calls that led to them."""
    old, new = (tracemalloc.Snapshot.load(str(file)) for file in (before, after))
    for each in new.compare_to(old, "traceback")[:most]:
        files = [(Path(frame.filename), frame.lineno) for frame in reversed(each.traceback)]
        calls = " < ".join(f"{file.parent.name}/{file.name}:{line}" for file, line in files)
        yield f"{each.size_diff / 1e3:+9.1f} kB {each.count_diff:+7} objects: {calls}"
