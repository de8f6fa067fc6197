"""Three places and the way between them: inside (clients) - middle (the firewall) - outside (servers). Rule: what is made is taken away.
Inside is a network of its own, where a fourth place may be beside the first.

A `Place` is a thread with an event loop whose sockets, threads and child processes all live in one network namespace.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

INSIDE, MIDDLE_IN, MIDDLE_OUT, OUTSIDE = "10.77.1.2", "10.77.1.1", "10.77.2.1", "10.77.2.2"
BESIDE, ALL_INSIDE = "10.77.1.3", "10.77.1.0/24"
_CLONE_NEWNET = 0x40000000  # <sched.h>; os.setns comes with Python 3.12
_ESTABLISHED, _CLOSE_WAIT, _LISTEN, _TIME_WAIT = "01", "08", "0A", "06"  # states in /proc/net/tcp
NEEDED = ("ip", "nft", "conntrack", "sysctl")


def why_not() -> str | None:
    """What is missing for network namespaces; None when they can be used."""
    missing = [name for name in NEEDED if program(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    trial = f"flash-{os.getpid()}-trial"
    made = subprocess.run(["ip", "netns", "add", trial], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"ip netns: {made.stderr.strip()}"
    try:
        rules = "table inet t {\nchain c {\ntype filter hook forward priority 0\nct state established accept\n}\n}"
        tried = subprocess.run(
            ["ip", "netns", "exec", trial, program("nft") or "nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False
        )
        return None if tried.returncode == 0 else f"no connection tracking in this kernel: {tried.stderr.strip().splitlines()[0]}"
    finally:
        subprocess.run(["ip", "netns", "del", trial], check=False)


def program(name: str) -> str | None:
    """Where a program is, daemons' folders included."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def run(*command: str, given: str | None = None) -> str:
    """A command's output. `AssertionError` with what it complained of when it fails."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
    return done.stdout


class Place:
    """A thread in one network namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._loop = asyncio.new_event_loop()
        self._ready: threading.Event = threading.Event()
        self._thread = threading.Thread(target=self._live, name=namespace, daemon=True)
        self._thread.start()
        assert self._ready.wait(10), f"{namespace} was not entered"

    def _live(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = os.open(f"/run/netns/{self.namespace}", os.O_RDONLY)
        entered = libc.setns(fd, _CLONE_NEWNET) == 0
        os.close(fd)
        if entered:
            asyncio.set_event_loop(self._loop)
            self._loop.call_soon(self._ready.set)
            self._loop.run_forever()

    async def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(what, self._loop))

    def call(self, what: Callable[..., T], *arguments: object) -> T:
        """Call what blocks, there."""
        return asyncio.run_coroutine_threadsafe(asyncio.to_thread(what, *arguments), self._loop).result()

    def command(self, *command: str, given: str | None = None) -> str:
        """Run a command there."""
        return run("ip", "netns", "exec", self.namespace, *command, given=given)

    def tcp_connections(self, port: int) -> int:
        """How many connections the kernel holds at a local port, half-open ones included, those not that only wait for stray packets."""
        return len(self._connections(port))

    def orphans(self, port: int) -> int:
        """How many of them no program holds any more: the kernel tries to deliver what was left."""
        return sum(row[3] not in (_ESTABLISHED, _CLOSE_WAIT) for row in self._connections(port))

    def retransmits(self, port: int) -> int:
        """How often the kernel has repeated what is unanswered, on the worst connection at a local port."""
        return max((int(row[6], 16) for row in self._connections(port)), default=0)

    def _connections(self, port: int) -> list[list[str]]:
        table = self.call(Path("/proc/thread-self/net/tcp").read_text)
        rows = [line.split() for line in table.splitlines()[1:]]
        return [row for row in rows if int(row[1].partition(":")[2], 16) == port and row[3] not in (_LISTEN, _TIME_WAIT)]

    def close(self) -> None:
        """End the thread, and what still runs there."""
        asyncio.run_coroutine_threadsafe(_end_tasks(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def three_places() -> Iterator[tuple[Place, Place, Place]]:
    """Inside, middle and outside, joined by two cables and with routes through the middle."""
    names = [_name(name) for name in ("inside", "middle", "outside")]
    places: list[Place] = []
    try:
        for name in names:
            _make(name)
        # Else it would be that of a port, and change with them, which hosts inside notice late.
        run("ip", "-n", names[1], "link", "add", "in", "address", "02:00:00:00:00:01", "type", "bridge")
        _has_address(names[1], "in", MIDDLE_IN)
        _plug_in(names[0], INSIDE, names[1], "in-inside")
        run("ip", "link", "add", "lan", "netns", names[2], "type", "veth", "peer", "name", "out", "netns", names[1])
        _has_address(names[2], "lan", OUTSIDE)
        _has_address(names[1], "out", MIDDLE_OUT)
        places.extend(map(Place, names))
        # Where containers run, what goes from port to port of a bridge would pass the firewall too.
        places[1].command("sysctl", "-e", "-q", "-w", "net.bridge.bridge-nf-call-iptables=0")
        yield places[0], places[1], places[2]
    finally:
        for place in places:
            place.close()
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@contextlib.contextmanager
def place_beside(middle: Place) -> Iterator[Place]:
    """One more host in the network inside, with an address of its own and the same way out."""
    name = _name("beside")
    _make(name)
    try:
        _plug_in(name, BESIDE, middle.namespace, "in-beside")
        run("ip", "-n", name, "route", "add", "default", "via", MIDDLE_IN)
        place = Place(name)
        try:
            yield place
        finally:
            place.close()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _name(place: str) -> str:
    return f"flash-{os.getpid()}-{place}"


def _make(namespace: str) -> None:
    run("ip", "netns", "add", namespace)
    run("ip", "-n", namespace, "link", "set", "lo", "up")


def _plug_in(namespace: str, address: str, middle: str, port: str) -> None:
    """A cable from a host to the network inside."""
    run("ip", "link", "add", "wan", "netns", namespace, "type", "veth", "peer", "name", port, "netns", middle)
    run("ip", "-n", middle, "link", "set", port, "master", "in", "up")
    _has_address(namespace, "wan", address)


def _has_address(namespace: str, link: str, address: str) -> None:
    run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", link)
    run("ip", "-n", namespace, "link", "set", link, "up")
