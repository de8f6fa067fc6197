"""Tickets of a home in another process, asked for over RabbitMQ: popups go directly, whatever happens to the recipient's home."""

import asyncio
from collections import Counter
from collections.abc import Callable

from flash_sdk import Accepted as Answer
from flash_sdk import Direct
from tests.faults.checker import Accepted, Ledger, verify
from tests.faults.history import close, open_store, stored_records
from tests.faults.installation import Installation
from tests.faults.people import Crowd, Person, Window
from tests.support.waiting import eventually

AT_ONCE_S = 2.0  # for a popup with nothing in its way, on two cores that are busy with other things
AWAKE_S = 20.0  # for a home that hung to catch up
ROUNDS = 3


async def told(installation: Installation) -> list[int]:
    """How many events say that a message was sent, and that one was queued, at both homes together."""
    topics: Counter[str] = Counter()
    for home in installation.homes:
        store = await asyncio.to_thread(open_store, installation.store_url(home), home)
        try:
            topics.update(record.topic for record in await stored_records(store))
        finally:
            await close(store)
    return [topics["user.message_sent"], topics["mailbox.message_queued"]]


async def sends(ann: Person, bob: Person, ledger: Ledger) -> Answer:
    """Ann sends one, directly if that works."""
    answer = await ann.client.send(bob.uid, "pop over?", id=ann.next_id(bob.uid), direct=True)
    ledger.record(Accepted(ann.uid, bob.uid, answer.id, answer.accepted_at))
    return answer


async def shows(window: Window, ann: Person, id_: str, within_s: float = AT_ONCE_S) -> None:
    """Return when a popup is there."""
    await eventually(lambda: (ann.uid, id_) in window.shown_once, within_s)


async def test_a_ticket_comes_over_rabbitmq_and_serves_while_its_home_hangs(
    installation: Installation, crowd: Crowd, ledger: Ledger, tell: Callable[[object], None]
) -> None:
    ann, bob = await crowd.pair("h1", "h2")
    await ann.opens()
    window = await bob.opens(direct=True)
    await eventually(lambda: window.calls)
    assert window.calls == [Direct(False, "not_allowed")]  # the home may not call 127.0.0.1; a contact near by may be told of it
    await shows(window, ann, (await ann.insists(bob, ledger)).id)  # now both homes know that Bob is on Ann's list
    before = await told(installation)
    for _ in range(ROUNDS):
        answer = await sends(ann, bob, ledger)
        assert answer.direct
        await shows(window, ann, answer.id)
        await asyncio.to_thread(installation.homes["h2"].pause)
        try:
            answer = await sends(ann, bob, ledger)
            assert answer.direct
            await shows(window, ann, answer.id)
            assert (answer.id, "delivered") not in ann.receipts
            ann.client.peer_routes.forget(bob.uid)  # a ticket that cannot be had now
            async with asyncio.timeout(AT_ONCE_S):
                late = await sends(ann, bob, ledger)
            assert not late.direct
        finally:
            await asyncio.to_thread(installation.homes["h2"].resume)
        await shows(window, ann, late.id, AWAKE_S)
        ann.client.peer_routes.forget(bob.uid)
    verdict = await verify(ledger, crowd.people)
    assert [now - then for now, then in zip(await told(installation), before, strict=True)] == [3 * ROUNDS, 3 * ROUNDS]
    tell(f"{ROUNDS} rounds over RabbitMQ, {2 * ROUNDS} popups directly, of them {ROUNDS} while the recipient's home hung; {verdict}")


async def test_nobody_else_gets_one_over_rabbitmq(installation: Installation, crowd: Crowd, ledger: Ledger) -> None:
    """No ticket for a sender without the recipient on the list, nor for a recipient who takes no calls."""
    ann, bob = await crowd.pair("h1", "h2")
    (carol,) = await crowd.lives_at("h1", 1)
    await ann.opens()
    window = await bob.opens(direct=True)
    await eventually(lambda: window.calls)
    await shows(window, ann, (await ann.insists(bob, ledger)).id)
    home = "http://example.test"  # only looked at for its scheme
    assert await ann.client.peer_routes.to(bob.uid, home) is not None
    assert await bob.client.peer_routes.to(ann.uid, home) is None
    assert await carol.client.peer_routes.to(bob.uid, home) is None
