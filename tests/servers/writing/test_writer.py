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
from servers.store.log.event_log import Conflicted
from servers.store.log.lease import LeaseLost
from servers.writing.config import WriterConfig
from servers.writing.work_queue import ENDED
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


class WriterOnStore:
    """A writer on a store of its own, and the events that it told its listeners."""

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
async def opened(url: str, **options: Any) -> AsyncIterator[WriterOnStore]:
    server = WriterOnStore(url, **options)
    server.writer.start()
    yield server
    await server.writer.stop()
    server.store.close()


@pytest.fixture
async def server(url):
    async with opened(url) as server:
        yield server


async def test_what_waits_is_committed_together_and_answered_in_order(server):
    answered = []
    units = [server.writer.submit((log_in(uid),), answer=lambda events, uid=uid: answered.append(uid)) for uid in range(1, 101)]
    await asyncio.gather(*units)
    assert server.writer.commits == 1
    assert answered == list(range(1, 101))
    assert len(server.told) == 1
    assert len(server.stored()) == 200


async def test_a_state_that_a_fold_left_half_changed_is_forgotten(url):
    whole, failing = HOME.folds[LoggedIn], []

    def fold(state, event):
        whole(state, event)
        if failing:
            raise failing.pop()

    async with opened(url, rules=replace(RULES, folds={**HOME.folds, LoggedIn: fold})) as server:
        await server.do(log_in(1, "s1"))
        failing.append(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await server.do(log_in(1, "s2"))
        await server.do(log_in(1, "s3"), answer=lambda events: server.told.append(list(server.writer.state("user-1").sessions)))
        assert server.told[-1] == ["s1", "s3"]


async def test_each_unit_of_a_batch_has_its_own_time(url):
    """Clients put messages in order by the time at which they were accepted."""
    moments = itertools.count(NOW)
    async with opened(url, clock=lambda: next(moments)) as server:
        results = await asyncio.gather(*(server.do(log_in(uid)) for uid in range(1, 4)))
        assert server.writer.commits == 1
        assert [events[0].at for events in results] == [NOW, NOW + 1, NOW + 2]


async def test_a_batch_is_bounded(url):
    """By the events: a login makes two, and the units that were taken for nothing are the first of the next batch."""
    async with opened(url, max_events=20) as server:
        answered = []
        units = [server.do(log_in(uid), lane=uid, answer=lambda _, uid=uid: answered.append(uid)) for uid in range(1, 26)]
        await asyncio.gather(*units)
        assert server.writer.commits == 3
        assert answered == list(range(1, 26))


async def test_a_batch_is_bounded_by_the_bytes_of_its_texts(url):
    async with opened(url, max_bytes=10_000) as server:
        await asyncio.gather(*(server.do(log_in(uid), lane=uid, size=5_000) for uid in range(1, 7)))
        assert server.writer.commits == 3


async def test_a_batch_is_bounded_by_what_is_read_for_its_states(url):
    """Nine users of some hundred bytes each: three are read for a batch, and nobody is passed over or read twice."""
    async with opened(url) as server:
        await asyncio.gather(*(server.do(log_in(uid)) for uid in range(1, 10)))
    async with opened(url, max_load_bytes=300) as server:
        answered = []
        units = [server.do(log_in(uid, "s2"), lane=uid, answer=lambda _, uid=uid: answered.append(uid)) for uid in range(1, 10)]
        await asyncio.gather(*units)
        assert 3 <= server.writer.commits <= 9
        assert answered == list(range(1, 10))
        assert all(list(server.store.load(f"user-{uid}").sessions) == ["s1", "s2"] for uid in range(1, 10))


async def test_one_who_calls_a_lot_is_overtaken_by_everybody_else(url):
    """A user has a thousand calls in hand. Whoever calls once behind them is in the very next commit, and the thousand keep their order."""
    async with opened(url) as server:
        answered = []
        flood = [server.do(contact(1, n), lane=1, answer=lambda _, n=n: answered.append(n)) for n in range(2, 1_002)]
        many = asyncio.gather(*flood)
        await asyncio.sleep(0)
        seen = await server.do(log_in(2), lane=2, answer=lambda _: server.writer.commits)
        mail = await server.do(log_in(3), lane="h2", answer=lambda _: server.writer.commits)
        house = await server.do(log_in(4), answer=lambda _: server.writer.commits)
        assert (seen, mail, house) == (1, 2, 3)
        await many
        assert answered == list(range(2, 1_002))


async def test_a_batch_is_full_whoever_the_units_are_of(server):
    """As few commits for one user's calls as for those of as many users."""
    await asyncio.gather(*(server.do(contact(1, n), lane=1) for n in range(2, 514)))
    alone, server.writer.commits = server.writer.commits, 0
    await asyncio.gather(*(server.do(contact(n), lane=n) for n in range(2_002, 2_514)))
    assert alone == server.writer.commits == 2


async def test_whoever_fills_the_writer_is_refused_first(url):
    async with opened(url, max_lane=5) as server:
        results = await asyncio.gather(
            *(server.do(log_in(1, f"s{n}"), lane=1) for n in range(8)),
            *(server.do(log_in(uid), lane=uid) for uid in range(2, 5)),
            *(server.do(log_in(5, f"s{n}")) for n in range(8)),
            return_exceptions=True,
        )
        assert [isinstance(result, Unavailable) for result in results] == [False] * 5 + [True] * 3 + [False] * 11
        assert server.writer.refused == 3


async def test_a_snapshot_does_not_stand_between_one_commit_and_the_next(url):
    """A snapshot is made and never gets done; commits go on, and it holds what was committed when it was asked for."""
    async with opened(url, snapshot_events=500) as server:
        server.store.snapshots_go_on.clear()
        await server.do(contact())
        for start in range(0, 550, 50):
            await asyncio.gather(*(server.do(send(f"m{start + n}")) for n in range(50)))
        assert server.store.log.newest_snapshot("user-1") is None
        server.store.snapshots_go_on.set()
        version, _ = await eventually(lambda: server.store.log.newest_snapshot("user-1"))
        assert 500 <= version < 550
        await server.do(log_in())
        assert len(server.store.load("user-1").sent) == 550


async def test_it_is_idle_when_nothing_waits_and_nothing_is_committed(server):
    assert server.writer.idle
    unit = server.writer.submit((log_in(),))
    assert not server.writer.idle
    await unit
    await eventually(lambda: server.writer.idle)


async def test_an_answer_comes_after_the_listeners_and_sees_the_state(server):
    seen = []
    await server.do(log_in(), answer=lambda events: seen.append((len(server.told), list(server.writer.state("user-1").sessions))))
    assert seen == [(1, ["s1"])]


async def test_commands_in_one_batch_see_each_other(server):
    results = await asyncio.gather(server.do(contact()), server.do(send()), server.do(send()))
    assert [len(events) for events in results] == [1, 1, 0]


async def test_a_refusal_fails_alone(server):
    results = await asyncio.gather(server.do(log_in(1)), server.do(send(uid=2)), server.do(log_in(3)), return_exceptions=True)
    assert isinstance(results[1], NotAContact)
    assert server.writer.commits == 1
    assert len(server.stored()) == 4


async def test_a_refused_unit_moves_no_position(server):
    with pytest.raises(NotAContact):
        await server.do(send(), trackings=[Tracking("h2", 5)])
    await server.do(log_in())
    assert server.store.tracked("h2") == 0


async def test_a_bug_in_a_decider_fails_only_its_unit(server):
    results = await asyncio.gather(
        server.do(log_in(1)), server.do(Explode()), server.do(log_in(1, "s2")), server.do(log_in(4), Explode("user-4")),
        server.do(log_in(4, "s9")),
        return_exceptions=True,
    )  # fmt: skip
    assert [type(result) for result in results] == [list, ZeroDivisionError, list, ZeroDivisionError, list]
    assert list(server.store.load("user-1").sessions) == ["s1", "s2"]
    assert list(server.store.load("user-4").sessions) == ["s9"]


async def test_a_unit_that_is_refused_half_way_does_nothing(server):
    with pytest.raises(RuntimeError):
        await server.do(log_in(), Refuse())
    assert server.stored() == []
    await server.do(log_in())
    assert server.store.load("user-1").version == 2


async def test_several_commands_happen_together(server):
    events = await server.do(contact(), send(), log_in())
    assert [type(e) for e in events][:2] == [ContactAdded, MessageSent]
    assert server.writer.commits == 1


async def test_a_local_popup_is_queued_in_the_same_transaction(server):
    await server.do(contact(home="h1"))
    events = await server.do(send())
    assert [e.TOPIC for e in events] == ["user.message_sent", "mailbox.message_queued"]
    assert server.told[-1] == ["user.message_sent", "mailbox.message_queued"]


async def test_keys_that_another_thread_lets_go_of_are_fetched_again(server):
    server.store.keys_to_lose += [1, 2]
    await server.do(contact())
    await asyncio.gather(server.do(send()), server.do(log_in(2)))
    assert "user.message_sent" in server.stored()
    assert not server.store.keys_to_lose


@pytest.mark.parametrize("failure", [Unavailable("disk full"), Conflicted("another"), OSError("surprise")])
async def test_a_commit_that_fails_fails_the_batch_and_forgets_what_it_decided(server, failure):
    await server.do(contact())
    server.store.put_failures.append(failure)
    results = await asyncio.gather(server.do(send()), server.do(log_in(2)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert server.stored() == ["user.contact_added"]
    assert len(await server.do(send())) == 1, "what was not stored is not remembered as sent"
    assert server.store.load("user-1").version == 2


async def test_after_a_conflict_the_truth_is_read_again(server):
    await server.do(log_in())
    put(server.store, "user-1", 2, [adopted(7)])  # another process
    with pytest.raises(Conflicted):
        await server.do(contact())
    await server.do(contact())
    assert server.store.load("user-1").handle == "ann7"
    assert server.store.load("user-1").version == 4


async def test_a_stream_that_had_not_begun_is_looked_up_again(server):
    with pytest.raises(NotAContact):
        await server.do(send())  # about a user nobody has heard of
    put(server.store, "user-1", 0, [adopted(7)])  # another process has
    handle = await server.do(RemoveContact(uid=1, cause="c", contact=0), answer=lambda _: server.writer.state("user-1").handle)
    assert handle == "ann7"


async def test_a_state_that_cannot_be_loaded_fails_the_batch(server):
    server.store.load_failures.append(Unavailable("away"))
    with pytest.raises(Unavailable):
        await server.do(log_in())
    await server.do(log_in())


async def test_past_a_bound_callers_are_told_to_try_again(url):
    async with opened(url, max_waiting=5, max_lane=5) as server:
        results = await asyncio.gather(*(server.do(log_in(uid)) for uid in range(1, 9)), return_exceptions=True)
        assert [isinstance(result, Unavailable) for result in results] == [False] * 5 + [True] * 3
        await server.do(log_in(9))


async def test_positions_travel_in_the_transaction_and_the_newest_wins(server):
    server.writer.riding["@relay"] = 3
    await asyncio.gather(
        server.do(log_in(1), trackings=[Tracking("h2", 5)]),
        server.do(trackings=[Tracking("h2", 6)]),
        server.do(trackings=[Tracking("h3", 1)]),
    )
    assert server.writer.commits == 1
    assert (server.store.tracked("h2"), server.store.tracked("h3"), server.store.tracked("@relay")) == (6, 1, 3)


async def test_what_changes_nothing_commits_nothing(server):
    await server.do(log_in())
    commits = server.writer.commits
    server.writer.riding["@relay"] = 3
    assert await server.do() == []
    assert server.writer.commits == commits


async def test_a_listener_that_fails_does_not_stop_the_writer(server):
    server.failing_listener = True
    await server.do(log_in())
    await server.do(contact())
    assert len(server.told) == 2


async def test_an_answer_that_fails_fails_its_caller_only(server):
    results = await asyncio.gather(server.do(log_in(1), answer=lambda events: 1 / 0), server.do(log_in(2)), return_exceptions=True)
    assert isinstance(results[0], ZeroDivisionError)
    assert len(server.stored()) == 4


async def test_a_caller_that_has_gone_does_not_stop_its_unit(server):
    answered = []
    caller = asyncio.create_task(server.do(log_in(), answer=answered.append))
    await asyncio.sleep(0)
    caller.cancel()
    await server.do(log_in(2))
    assert len(server.stored()) == 4
    assert not answered


async def test_a_position_whose_commit_failed_travels_with_the_next(server):
    server.writer.riding["@relay"] = 3
    server.store.put_failures.append(Unavailable("away"))
    with pytest.raises(Unavailable):
        await server.do(log_in())
    assert server.writer.riding == {"@relay": 3}


async def test_stopping_commits_what_waits_and_keeps_nobody_waiting(server):
    waiting = [server.writer.submit((log_in(uid),)) for uid in range(1, 700)]
    await server.writer.stop()
    await asyncio.gather(*waiting)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(server.do(log_in(1000)), 1)


@dataclass
class Broken:
    """A writer that ends by itself with its first batch of one unit, because who is told of it fails."""

    store: FragileStore
    writer: Writer


@pytest.fixture
def broken(url):
    def fail() -> None:
        raise ZeroDivisionError

    store = FragileStore(url, "h1", RULES)
    store.put_failures.append(LeaseLost())
    yield Broken(store, Writer(store, lambda: NOW, fenced_out=fail, config=WriterConfig(max_events=1)))
    store.close()


async def test_a_writer_that_ends_answers_everybody_who_waits_and_who_comes_later(broken):
    broken.writer.start()
    waiting = [broken.writer.submit((log_in(uid),)) for uid in range(1, 4)]
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert [(type(result), result.detail) for result in results] == [(Unavailable, ENDED)] * 3
    with pytest.raises(Unavailable, match="restart this server"):
        await asyncio.wait_for(broken.writer.submit((log_in(4),)), 5)
    assert not broken.writer.alive
    assert broken.writer.idle
    await asyncio.wait_for(broken.writer.stop(), 5)


async def test_a_writer_that_ends_while_it_is_stopped_stops(broken):
    broken.writer.start()
    waiting = broken.writer.submit((log_in(),))
    await asyncio.wait_for(broken.writer.stop(), 5)
    with pytest.raises(Unavailable, match="restart this server"):
        await waiting


async def test_a_caller_that_fails_when_a_writer_ends_keeps_no_other_waiting(broken):
    broken.writer.start()
    first, second = (broken.writer.submit((log_in(uid),)) for uid in (1, 2))
    first.add_done_callback(lambda done: explode(None, done, 0.0))
    with pytest.raises(Unavailable, match="restart this server"):
        await asyncio.wait_for(second, 5)


async def test_a_writer_that_never_began_answers_at_its_end(broken):
    waiting = broken.writer.submit((log_in(),))
    await broken.writer.stop()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(waiting, 5)


async def test_stopping_under_overload_answers_everybody(url):
    async with opened(url, max_waiting=20, max_lane=20) as server:
        waiting = [server.writer.submit((log_in(uid),)) for uid in range(1, 30)]
        await server.writer.stop()
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
        assert all(isinstance(result, list | Unavailable) for result in results)
