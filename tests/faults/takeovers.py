"""Takeovers by any fault, while people talk, and what must be true of all of them. Rule: never two writers, whichever process wakes up."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.faults.checker import Ledger
from tests.faults.people import Person
from tests.faults.standby import Node, Pair
from tests.support.waiting import eventually

TAKEN_OVER_S = 10.0  # what is promised
NORMAL_S = 30.0  # messages flow in all directions; the queue of a home that hangs is free after two heartbeats
ENDED_S = 20.0
Fault = Callable[[Node], Awaitable[None]]


async def killed(node: Node) -> None:
    """`kill -9`."""
    await asyncio.to_thread(node.server.kill)


async def stopped(node: Node) -> None:
    """`kill -STOP`: its connections stay open."""
    node.server.pause()


async def cut_off(node: Node) -> None:
    """Its connections to the database break, and no new one is let through."""
    node.line.cut()


async def unheard(node: Node) -> None:
    """Its connections to the database stay open, and no byte passes."""
    node.line.freeze()


class Takeover(NamedTuple):
    """Seconds from the fault until the other process was ready, and until messages flowed in all directions."""

    fault: str
    ready_s: float
    normal_s: float


async def take_over(both: Pair, fault: Fault, ann: Person, bob: Person, ledger: Ledger, within_s: float = TAKEN_OVER_S) -> Takeover:
    """One round. Ann at h1 and Bob at h2 show when messages flow again; the process that was away comes back as the standby."""
    began = time.monotonic()
    await fault(both.serving)
    await eventually(both.standby.serves, within_s)
    ready_s = time.monotonic() - began
    await says_hello(ann, bob, ledger)
    normal_s = time.monotonic() - began
    both.swap()
    await woken(both.standby)
    await both.standby.stands_by()
    return Takeover(fault.__name__, ready_s, normal_s)


async def woken(node: Node) -> None:
    """End the fault: the process continues, finds that it has lost the lease, and ends by itself."""
    if node.server.running:
        node.line.mend()
        node.line.thaw()
        node.server.resume()
        try:
            await eventually(lambda: node.server.ended() is not None, ENDED_S)
        except AssertionError:
            raise AssertionError(f"it has not ended {ENDED_S:.0f} s after it was woken: {node.server.log_tail()}") from None
        assert node.server.ended() == 1, node.server.log_tail()
        assert "another process serves this home" in node.server.log_tail().lower()
    node.line.mend()
    node.line.thaw()


async def says_hello(ann: Person, bob: Person, ledger: Ledger) -> None:
    """Ann at h1 and Bob at h2 reach each other."""
    there, here = await asyncio.gather(ann.insists(bob, ledger), bob.insists(ann, ledger))
    await eventually(lambda: (ann.uid, there.id) in bob.windows[0].shown_once, NORMAL_S)
    await eventually(lambda: (bob.uid, here.id) in ann.windows[0].shown_once, NORMAL_S)


def logoffs(people: Sequence[Person], watchers: Sequence[Person]) -> list[str]:
    """What any window of `watchers` was told of the going of `people`, although nobody went. Who has just come is not to be among `people`:
    what was true before may still be on its way."""
    uids = {person.uid for person in people}
    return [
        f"{watcher.handle} saw {change.uid} {change.presence.status} ({change.reason})"
        for watcher in watchers
        for window in watcher.windows
        for change in window.changes
        if change.uid in uids and change.presence.status == "offline"
    ]


def two_writers(testimony: Sequence[tuple[str, int, str]], takeovers: int) -> list[str]:
    """Each commit by a process that did not hold the lease at that moment, each epoch that went back, and leases too many or too few."""
    found = [f"{process} committed under lease {epoch} of {holder}" for process, epoch, holder in testimony if process != holder]
    found += [f"lease {after} after {before}" for (_, before, _), (_, after, _) in pairwise(testimony) if after < before]
    leases = len({epoch for _, epoch, _ in testimony})
    return found if leases == takeovers + 1 else [*found, f"{leases} leases over {takeovers} takeovers"]
