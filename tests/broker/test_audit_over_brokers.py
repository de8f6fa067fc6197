"""The audit over each kind of broker: what is published is stored once, over losses of the connection; junk is counted and passed over."""

from pathlib import Path

import msgpack
import pytest

from broker import envelope
from broker.embedded.broker import EmbeddedBroker
from broker.envelope import EventRecord
from broker.port import Broker
from projections.audit.feeding import OtherHistory
from projections.audit.rows import AuditFilter
from servers.audit.audit import Audit
from tests.broker.storages import Storage, events
from tests.support.waiting import eventually


def logins(source: str, first: int, last: int) -> bytes:
    """Events of one server as it publishes them."""

    def adopted(n: int) -> EventRecord:
        data = msgpack.packb({"at": float(n), "cause": "c", "handle": "ann", "name": "Ann"})
        return EventRecord(n, "user-1", n, "user.adopted", float(n), data)

    return envelope.encode(source, [adopted(n) for n in range(first, last + 1)])


async def positions(audit: Audit) -> list[tuple[str, int]]:
    page = await audit.log(AuditFilter(), order="arrival", limit=1_000)
    return [(row.source, row.position) for row in page.rows]


async def test_each_event_is_stored_once_whatever_servers_repeat(broker: Broker, tmp_path: Path) -> None:
    audit = Audit(broker, tmp_path / "audit.db", speaks_for=broker.speaks_for)
    await audit.open()
    await broker.publish(events(logins("h1", 1, 3), logins("h2", 1, 2), logins("h1", 2, 5), b"junk", logins("h1", 9, 9)))
    reached = await audit.catch_up()
    assert (reached.entries, reached.unreadable, reached.newest) == (8, 1, 9.0)
    assert await positions(audit) == [("h1", 1), ("h1", 2), ("h1", 3), ("h2", 1), ("h2", 2), ("h1", 4), ("h1", 5), ("h1", 9)]
    assert await audit.catch_up() == reached
    await audit.stop()


async def test_a_broker_that_comes_back_is_followed_on(storage: Storage, tmp_path: Path) -> None:
    broker = storage.new()
    await broker.start()
    await broker.wait_connected(10)
    audit = Audit(broker, tmp_path / "audit.db", speaks_for=broker.speaks_for)
    await audit.open()
    audit.start()
    await broker.publish(events(logins("h1", 1, 3)))
    assert await audit.grown(2, 10)
    await audit.stop()
    await broker.close()

    again = storage.new()
    await again.start()
    await again.wait_connected(10)
    audit = Audit(again, tmp_path / "audit.db", speaks_for=again.speaks_for)
    await audit.open()
    assert audit.reached.entries == 3
    audit.start()
    await again.publish(events(logins("h1", 3, 4)))
    await eventually(lambda: audit.reached.entries == 4)
    assert await positions(audit) == [("h1", n) for n in (1, 2, 3, 4)]
    await audit.stop()
    await again.close()


async def test_a_store_of_another_history_is_not_mixed_with_this_one(broker: Broker, tmp_path: Path) -> None:
    await broker.publish(events(logins("h1", 1, 3), logins("h1", 4, 5)))
    audit = Audit(broker, tmp_path / "audit.db", speaks_for=broker.speaks_for)
    await audit.open()
    reached = await audit.catch_up()

    for bodies in ([logins("h1", 1, 3), logins("h1", 4, 6), logins("h1", 7, 9)], [logins("h1", 1, 3)]):  # another one, a shorter one
        other = EmbeddedBroker(tmp_path / f"{len(bodies)}.db")
        await other.start()
        await other.wait_connected(5)
        await other.publish(events(*bodies))
        mixed = Audit(other, tmp_path / "audit.db", speaks_for=other.speaks_for)
        await mixed.open()
        with pytest.raises(OtherHistory):
            await mixed.catch_up()
        assert mixed.reached == reached
        await mixed.stop()
        await other.close()
    assert await audit.catch_up() == reached
    await audit.stop()
