"""The writer: one transaction for all that waits, and what happens to each unit when some of it goes wrong."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from eventsourcing.persistence import Tracking

from domain.errors import NotAContact, Rejected, Unavailable
from domain.events.home import ContactAdded, LoggedIn, MessageSent
from domain.rules.rules import Rules
from domain.user.commands import RemoveContact
from servers.store.event_store import SNAPSHOT_EVERY
from servers.store.log.event_log import Conflicted
from servers.writing.config import WriterConfig
from servers.writing.writer import Writer
from tests.servers.commands import contact, log_in, send
from tests.servers.fragile import FragileStore
from tests.servers.stores import HOME, NOW, adopted, put
from tests.support.waiting import eventually


@dataclass
class Explode:
    """A command whose decider has a bug."""

    stream: str = "user-1"
    cause: str = "x"


@dataclass
class Refuse:
    """A command that is refused."""

    stream: str = "user-1"
    cause: str = "x"


def explode(state, command, now):
    raise ZeroDivisionError


def refuse(state, command, now):
    raise Rejected


RULES = replace(HOME, deciders={**HOME.deciders, Explode: explode, Refuse: refuse})


class Desk:
    """A writer and what it told."""

    def __init__(self, url: str, rules: Rules = RULES, clock: Callable[[], float] = lambda: NOW, **bounds: Any) -> None:
        self.store = FragileStore(url, "h1", rules)
        self.told: list[list[str]] = []
        self.failing_listener = False
        self.writer = Writer(self.store, clock, [self.committed], config=WriterConfig(**bounds))

    def committed(self, batch):
        self.told.append([c.event.TOPIC for c in batch])
        if self.failing_listener:
            raise ZeroDivisionError

    async def do(self, *commands, **options):
        return await self.writer.submit(commands, **options)

    def stored(self):
        return [c.event.TOPIC for c in self.store.read(0, 10_000)]


@contextlib.asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Desk]:
    desk = Desk(url, **options)
    desk.writer.start()
    yield desk
    await desk.writer.stop()
    desk.store.close()


@pytest.fixture
async def desk(url):
    async with opened(url) as desk:
        yield desk


async def test_what_waits_is_committed_together_and_answered_in_order(desk):
    answered = []
    units = [desk.writer.submit((log_in(uid),), answer=lambda events, uid=uid: answered.append(uid)) for uid in range(1, 101)]
    await asyncio.gather(*units)
    assert desk.writer.commits == 1
    assert answered == list(range(1, 101))
    assert len(desk.told) == 1
    assert len(desk.stored()) == 200


async def test_a_state_that_a_fold_left_half_changed_is_forgotten(url):
    whole, failing = HOME.folds[LoggedIn], []

    def fold(state, event):
        whole(state, event)
        if failing:
            raise failing.pop()

    async with opened(url, rules=replace(RULES, folds={**HOME.folds, LoggedIn: fold})) as desk:
        await desk.do(log_in(1, "s1"))
        failing.append(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await desk.do(log_in(1, "s2"))
        await desk.do(log_in(1, "s3"), answer=lambda events: desk.told.append(list(desk.writer.state("user-1").sessions)))
        assert desk.told[-1] == ["s1", "s3"]


async def test_each_unit_of_a_batch_has_its_own_time(url):
    """Clients put messages in order by the time at which they were accepted."""
    moments = itertools.count(NOW)
    async with opened(url, clock=lambda: next(moments)) as desk:
        results = await asyncio.gather(*(desk.do(log_in(uid)) for uid in range(1, 4)))
        assert desk.writer.commits == 1
        assert [events[0].at for events in results] == [NOW, NOW + 1, NOW + 2]


async def test_a_batch_is_bounded(url):
    async with opened(url, max_batch=10) as desk:
        await asyncio.gather(*(desk.do(log_in(uid)) for uid in range(1, 26)))
        assert desk.writer.commits == 3


async def test_it_is_idle_when_nothing_waits_and_nothing_is_committed(desk):
    assert desk.writer.idle
    unit = desk.writer.submit((log_in(),))
    assert not desk.writer.idle
    await unit
    await eventually(lambda: desk.writer.idle)


async def test_an_answer_comes_after_the_listeners_and_sees_the_state(desk):
    seen = []
    await desk.do(log_in(), answer=lambda events: seen.append((len(desk.told), list(desk.writer.state("user-1").sessions))))
    assert seen == [(1, ["s1"])]


async def test_commands_in_one_batch_see_each_other(desk):
    results = await asyncio.gather(desk.do(contact()), desk.do(send()), desk.do(send()))
    assert [len(events) for events in results] == [1, 1, 0]


async def test_a_refusal_fails_alone(desk):
    results = await asyncio.gather(desk.do(log_in(1)), desk.do(send(uid=2)), desk.do(log_in(3)), return_exceptions=True)
    assert isinstance(results[1], NotAContact)
    assert desk.writer.commits == 1
    assert len(desk.stored()) == 4


async def test_a_refused_unit_moves_no_position(desk):
    with pytest.raises(NotAContact):
        await desk.do(send(), trackings=[Tracking("h2", 5)])
    await desk.do(log_in())
    assert desk.store.tracked("h2") == 0


async def test_a_bug_in_a_decider_fails_only_its_unit(desk):
    results = await asyncio.gather(
        desk.do(log_in(1)), desk.do(Explode()), desk.do(log_in(1, "s2")), desk.do(log_in(4), Explode("user-4")), desk.do(log_in(4, "s9")),
        return_exceptions=True,
    )  # fmt: skip
    assert [type(result) for result in results] == [list, ZeroDivisionError, list, ZeroDivisionError, list]
    assert list(desk.store.load("user-1").sessions) == ["s1", "s2"]
    assert list(desk.store.load("user-4").sessions) == ["s9"]


async def test_a_unit_that_is_refused_half_way_does_nothing(desk):
    with pytest.raises(RuntimeError):
        await desk.do(log_in(), Refuse())
    assert desk.stored() == []
    await desk.do(log_in())
    assert desk.store.load("user-1").version == 2


async def test_several_commands_happen_together(desk):
    events = await desk.do(contact(), send(), log_in())
    assert [type(e) for e in events][:2] == [ContactAdded, MessageSent]
    assert desk.writer.commits == 1


async def test_a_local_popup_is_queued_in_the_same_transaction(desk):
    await desk.do(contact(home="h1"))
    events = await desk.do(send())
    assert [e.TOPIC for e in events] == ["user.message_sent", "mailbox.message_queued"]
    assert desk.told[-1] == ["user.message_sent", "mailbox.message_queued"]


async def test_keys_that_another_thread_lets_go_of_are_fetched_again(desk):
    desk.store.keys_to_lose += [1, 2]
    await desk.do(contact())
    await asyncio.gather(desk.do(send()), desk.do(log_in(2)))
    assert "user.message_sent" in desk.stored()
    assert not desk.store.keys_to_lose


@pytest.mark.parametrize("failure", [Unavailable("disk full"), Conflicted("another"), OSError("surprise")])
async def test_a_commit_that_fails_fails_the_batch_and_forgets_what_it_decided(desk, failure):
    await desk.do(contact())
    desk.store.put_failures.append(failure)
    results = await asyncio.gather(desk.do(send()), desk.do(log_in(2)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert desk.stored() == ["user.contact_added"]
    assert len(await desk.do(send())) == 1, "what was not stored is not remembered as sent"
    assert desk.store.load("user-1").version == 2


async def test_after_a_conflict_the_truth_is_read_again(desk):
    await desk.do(log_in())
    put(desk.store, "user-1", 2, [adopted(7)])  # another process
    with pytest.raises(Conflicted):
        await desk.do(contact())
    await desk.do(contact())
    assert desk.store.load("user-1").handle == "ann7"
    assert desk.store.load("user-1").version == 4


async def test_a_stream_that_had_not_begun_is_looked_up_again(desk):
    with pytest.raises(NotAContact):
        await desk.do(send())  # about a user nobody has heard of
    put(desk.store, "user-1", 0, [adopted(7)])  # another process has
    handle = await desk.do(RemoveContact(uid=1, cause="c", contact=0), answer=lambda _: desk.writer.state("user-1").handle)
    assert handle == "ann7"


async def test_a_state_that_cannot_be_loaded_fails_the_batch(desk):
    desk.store.load_failures.append(Unavailable("away"))
    with pytest.raises(Unavailable):
        await desk.do(log_in())
    await desk.do(log_in())


async def test_past_a_bound_callers_are_told_to_try_again(url):
    async with opened(url, max_waiting=5) as desk:
        results = await asyncio.gather(*(desk.do(log_in(uid)) for uid in range(1, 9)), return_exceptions=True)
        assert [isinstance(result, Unavailable) for result in results] == [False] * 5 + [True] * 3
        await desk.do(log_in(9))


async def test_positions_travel_in_the_transaction_and_the_newest_wins(desk):
    desk.writer.riding["@relay"] = 3
    await asyncio.gather(
        desk.do(log_in(1), trackings=[Tracking("h2", 5)]), desk.do(trackings=[Tracking("h2", 6)]), desk.do(trackings=[Tracking("h3", 1)])
    )
    assert desk.writer.commits == 1
    assert (desk.store.tracked("h2"), desk.store.tracked("h3"), desk.store.tracked("@relay")) == (6, 1, 3)


async def test_what_changes_nothing_commits_nothing(desk):
    await desk.do(log_in())
    commits = desk.writer.commits
    desk.writer.riding["@relay"] = 3
    assert await desk.do() == []
    assert desk.writer.commits == commits


async def test_a_listener_that_fails_does_not_stop_the_writer(desk):
    desk.failing_listener = True
    await desk.do(log_in())
    await desk.do(contact())
    assert len(desk.told) == 2


async def test_an_answer_that_fails_fails_its_caller_only(desk):
    results = await asyncio.gather(desk.do(log_in(1), answer=lambda events: 1 / 0), desk.do(log_in(2)), return_exceptions=True)
    assert isinstance(results[0], ZeroDivisionError)
    assert len(desk.stored()) == 4


async def test_a_caller_that_has_gone_does_not_stop_its_unit(desk):
    answered = []
    caller = asyncio.create_task(desk.do(log_in(), answer=answered.append))
    await asyncio.sleep(0)
    caller.cancel()
    await desk.do(log_in(2))
    assert len(desk.stored()) == 4
    assert not answered


async def test_a_position_whose_commit_failed_travels_with_the_next(desk):
    desk.writer.riding["@relay"] = 3
    desk.store.put_failures.append(Unavailable("away"))
    with pytest.raises(Unavailable):
        await desk.do(log_in())
    assert desk.writer.riding == {"@relay": 3}


async def test_states_in_memory_are_bounded(url):
    async with opened(url, max_states=10) as desk:
        for uid in range(1, 40):
            await desk.do(log_in(uid))
        await eventually(lambda: len(desk.writer.states) <= 10)
        await desk.do(log_in(1, "s2"))
        assert list(desk.store.load("user-1").sessions) == ["s1", "s2"]


async def test_a_long_stream_gets_snapshots_and_a_failing_one_is_harmless(desk):
    await desk.do(contact())
    for start in range(0, SNAPSHOT_EVERY, 50):
        await asyncio.gather(*(desk.do(send(f"m{start + n}")) for n in range(50)))
    version, _ = await eventually(lambda: desk.store.log.newest_snapshot("user-1"))
    assert version >= SNAPSHOT_EVERY
    desk.store.snapshot_failures.append(ZeroDivisionError())
    for start in range(SNAPSHOT_EVERY, 2 * SNAPSHOT_EVERY, 50):
        await asyncio.gather(*(desk.do(send(f"m{start + n}")) for n in range(50)))
    await desk.do(log_in())


async def test_stopping_commits_what_waits_and_keeps_nobody_waiting(desk):
    waiting = [desk.writer.submit((log_in(uid),)) for uid in range(1, 700)]
    await desk.writer.stop()
    await asyncio.gather(*waiting)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(desk.do(log_in(1000)), 1)


async def test_stopping_under_overload_answers_everybody(url):
    async with opened(url, max_waiting=20) as desk:
        waiting = [desk.writer.submit((log_in(uid),)) for uid in range(1, 30)]
        await desk.writer.stop()
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
        assert all(isinstance(result, list | Unavailable) for result in results)
