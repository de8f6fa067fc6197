"""The audit of a running installation: it follows, it answers, it goes on where it stopped. Rule: people act, the history tells."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from broker.embedded.reader import EmbeddedReader
from domain.errors import Invalid, Unavailable, UnknownUser
from projections.audit.rows import AuditFilter
from servers.audit.audit import Audit
from tests.servers.homes import START, Person, Town
from tests.support.waiting import eventually


@pytest.fixture
async def town(tmp_path: Path, store_url: Callable[[str], str]) -> AsyncIterator[Town]:
    town = Town(tmp_path, store_url)
    await town.start("h1", "h2")
    yield town
    await town.stop()


@pytest.fixture
async def audit(town: Town) -> AsyncIterator[Audit]:
    audit = Audit(town.broker, town.directory / "audit.db")
    await audit.open()
    audit.start()
    yield audit
    await audit.stop()


POPUP = 14  # events of `popup` in a new town: 12, and the beginning of each home's log


async def popup(ann: Person, bob: Person) -> str:
    """Ann adds bob and sends; bob logs in, acknowledges and is done."""
    _, at_ann = await ann.opens()
    await ann.adds(bob)
    id = await ann.sends(bob, "pop over?")
    await eventually(lambda: bob.uid in bob.home.projections.waiting.mailboxes)
    ann.town.clock.now += 1
    session, window = await bob.opens()
    await eventually(window.texts)
    await bob.acks(session, window)
    await eventually(lambda: at_ann.states())
    ann.town.clock.now += 2
    await bob.home.done(bob.who, id)
    await eventually(lambda: len(at_ann.states()) == 2)
    return id


async def test_every_step_of_a_popup_is_in_the_log_and_in_its_trace(town: Town, audit: Audit) -> None:
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    id = await popup(ann, bob)
    assert await audit.grown(POPUP - 1, 10)

    (life,) = await audit.trace(id)
    assert (life.message, life.sender, life.to) == (id, ann.uid, bob.uid)
    assert [(step.name, step.row.source, step.took_s) for step in life.steps] == [
        ("sent", "h1", None),
        ("queued", "h2", 0.0),
        ("delivered", "h2", 1.0),
        ("receipt delivered", "h1", 0.0),
        ("done", "h2", 3.0),
        ("receipt done", "h1", 0.0),
    ]
    newest = await audit.log(AuditFilter(user=ann.uid), limit=4)
    assert [row.topic for row in newest.rows][:2] == ["mailbox.receipt_queued", "mailbox.receipt_queued"]
    assert {row.handle for row in newest.rows} == {"ann"}
    rest = await audit.log(AuditFilter(user=ann.uid), limit=4, cursor=newest.next)
    assert len(rest.rows) == 2
    assert rest.next is None


async def test_what_cannot_be_asked_is_refused(audit: Audit) -> None:
    with pytest.raises(Invalid):
        await audit.log(AuditFilter(), cursor="yesterday")
    with pytest.raises(Invalid):
        await audit.log(AuditFilter(), limit=0)
    with pytest.raises(UnknownUser):
        await audit.state_at(77, 0.0)
    with pytest.raises(UnknownUser):
        await audit.by_handle("nobody")
    assert await audit.trace("nothing") == []
    assert (await audit.log(AuditFilter(source="h9"))).rows == ()


async def test_it_goes_on_where_it_stopped(town: Town) -> None:
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    first = Audit(town.broker, town.directory / "audit.db")
    await first.open()
    first.start()
    await popup(ann, bob)
    assert await first.grown(POPUP - 1, 10)
    reached = first.reached
    await first.stop()

    await ann.sends(bob, "and now?")
    await town.settled()
    second = Audit(EmbeddedReader(town.directory / "broker.db"), town.directory / "audit.db")  # beside the process that owns the file
    await second.open()
    assert second.reached == reached
    await second.catch_up()
    assert second.reached.entries == reached.entries + 2
    assert (await second.log(AuditFilter(), cursor=reached.cursor, order="arrival")).rows[0].topic == "user.message_sent"
    await second.stop()


async def test_what_comes_is_seen_at_once_beside_a_running_server(town: Town) -> None:
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    audit = Audit(EmbeddedReader(town.directory / "broker.db"), town.directory / "audit.db")
    await audit.open()
    audit.start()
    await ann.adds(bob)
    id = await ann.sends(bob, "hi")
    await eventually(lambda: audit.reached.entries >= 4)
    await eventually(lambda: audit.trace(id))
    await audit.stop()


async def test_a_history_that_is_not_there_is_named(tmp_path: Path) -> None:
    audit = Audit(EmbeddedReader(tmp_path / "broker.db"), tmp_path / "audit.db")
    await audit.open()
    with pytest.raises(Unavailable, match=r"broker\.db"):
        await audit.catch_up()
    await audit.stop()
    with pytest.raises(Unavailable):
        await audit.log(AuditFilter())


async def test_a_home_that_has_not_spoken_leaves_its_users_unknown(town: Town, audit: Audit) -> None:
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.opens()
    await town.closes("h2")
    await ann.adds(bob)
    town.clock.now += 10
    assert await audit.grown(5, 10)  # both logs' beginnings, h2's seal of its own, ann's adoption, login and contact
    assert [view.presence.status for view in await ann.lists()] == ["unknown"]
    assert [shown.status for shown in await audit.window_at(ann.uid, START)] == ["unknown"]

    await town.opens("h2")
    assert await audit.grown(6, 10)
    assert [shown.status for shown in await audit.window_at(ann.uid, START + 5)] == ["unknown"]
    assert [shown.status for shown in await audit.window_at(ann.uid, START + 10)] == ["offline"]


async def test_what_a_home_that_was_down_had_said_is_doubtful(town: Town, audit: Audit) -> None:
    ann, bob = town.person("ann", "h1"), town.person("bob", "h2")
    await ann.opens()
    await bob.opens()
    await ann.adds(bob)
    await bob.adds(ann)
    await town.settled()
    town.clock.now = START + 20
    await bob.sends(ann, "still here")
    await town.settled()
    await town.closes("h2")
    town.clock.now = START + 100
    await town.opens("h2")  # without bob's session
    await eventually(lambda: not bob.home.projections.presence.sessions)
    await town.settled()
    await eventually(lambda: audit.reached.newest == START + 100)

    async def window(uid: int, after_s: float) -> list[tuple[str, bool]]:
        return [(shown.status, shown.doubtful) for shown in await audit.window_at(uid, START + after_s)]

    assert await window(ann.uid, 10) == [("online", False)]
    assert await window(ann.uid, 50) == [("online", True)]
    assert await window(ann.uid, 100) == [("offline", False)]
    assert await window(bob.uid, 50) == [("online", False)], "h1 was never down"
