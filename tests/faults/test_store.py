"""A store that is away: locked by somebody else, or on a full disk. Rule: sends get 503, nothing is half done, and later all is well."""

import asyncio
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

import flash_sdk
from tests.faults.checker import Ledger, verify
from tests.faults.installation import Installation, Server
from tests.faults.people import Crowd, Person
from tests.support.waiting import eventually

Tell = Callable[[object], None]
REFUSED_S = 20.0  # SQLite waits for a lock for 5 s before it gives up


async def test_the_store_is_locked_by_another_process(installation: Installation, crowd: Crowd, ledger: Ledger, tell: Tell) -> None:
    """An exclusive lock outlasts the home's patience."""
    ann, bob, carl = await crowd.pair("h1", "h2", "h2")
    await ann.opens()
    await bob.opens()
    await ann.insists(bob, ledger)
    with closing(sqlite3.connect(installation.store("h1"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        refused = await asyncio.gather(*(refusal(ann, bob, f"locked-{number}") for number in range(5)))
        assert refused == [(503, "unavailable")] * 5
        await carl.insists(bob, ledger)  # the other home goes on
        patient = asyncio.create_task(ann.insists(bob, ledger))
        other.execute("ROLLBACK")
    await patient
    assert stored(installation, "locked-0") == 0
    for number in range(5):
        ledger.record(await ann.tries(bob, f"locked-{number}"))
    assert stored(installation, "locked-0") == 1
    tell(await verify(ledger, [ann, bob, carl]))


async def test_the_disk_is_full(installation: Installation, crowd: Crowd, ledger: Ledger, tell: Tell) -> None:
    """No byte more may be written to the home's files; then there is room again."""
    ann, bob = await crowd.pair("h1", "h2")
    await ann.opens()
    window = await bob.opens()
    home = installation.homes["h1"]
    await ann.insists(bob, ledger)
    await eventually(lambda: window.shown)
    with full_disk(home):
        refused = await asyncio.gather(*(refusal(ann, bob, f"full-{number}") for number in range(5)))
        assert refused == [(503, "unavailable")] * 5
        assert stored(installation, "full-0") == 0
        await bob.insists(ann, ledger)  # accepted by the other home; ours cannot take it in yet
        assert home.running
    for number in range(5):
        ledger.record(await ann.tries(bob, f"full-{number}"))
    assert stored(installation, "full-0") == 1
    verdict = await verify(ledger, [ann, bob])
    await asyncio.to_thread(home.restart)  # what is on the disk is whole
    await ann.insists(bob, ledger)
    tell(await verify(ledger, [ann, bob]))
    assert verdict.messages == 7


async def refusal(sender: Person, to: Person, id_: str) -> tuple[int, str]:
    """How a send is refused: status and code."""
    with pytest.raises(flash_sdk.TryLater) as caught:
        await asyncio.wait_for(sender.tries(to, id_), REFUSED_S)
    return caught.value.status, caught.value.code


@contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """The kernel lets the process write no file beyond its first byte: to SQLite that is a disk without room."""
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)


def stored(installation: Installation, id_: str) -> int:
    """Events in the sender's store that speak of a message."""
    with closing(sqlite3.connect(f"file:{installation.store('h1')}?mode=ro", uri=True)) as store:
        query = "SELECT count(*) FROM stored_events WHERE topic LIKE 'user.message_sent%' AND instr(state, ?)"
        return int(store.execute(query, (id_.encode(),)).fetchone()[0])
