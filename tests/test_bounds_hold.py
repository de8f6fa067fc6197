"""Queues and caches that are filled past their bounds hold no more than these, and count whom they refuse. Rule: fill them as users and
servers would, with the longest that they may send."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event as ThreadEvent
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from broker.embedded.broker import EmbeddedBroker
from broker.envelope import EventRecord
from broker.port import Outgoing
from broker.topology import HOMES
from domain.errors import FlashError
from edge.http.client_address import TrustedProxies
from edge.http.limits import Limits
from edge.http.metrics import EdgeMetrics
from edge.http.shares import Seat, Shares
from edge.transports.long_poll import LongPolls, PollOutlet
from projections.server.presence_feed import Change, Feed, Standing
from runtime.bounds import Holder
from runtime.per_minute import PerMinute
from servers.encryption.key_tables import SqliteKeys
from servers.messaging.cards import Cards
from servers.messaging.recent_commits import RecentCommits
from servers.messaging.word_asking import Nobodies, WordAsking
from servers.messaging.words_to_tell import WordsToTell
from servers.security.familiar import Familiar
from servers.security.hashing import Hashing, HashingConfig
from servers.security.rate_limit import RateLimit
from servers.security.signer import Signer
from servers.security.tokens import HOME, KeyVerifier
from servers.sessions.parts import Part
from servers.store.event_store import Committed
from servers.trust.user_words import UserWords, user_word
from servers.writing.config import WriterConfig
from servers.writing.work_queue import WorkQueue
from tests.servers.members import REGISTRY
from tests.support.waiting import eventually

LONG = "\N{BLACK HEART SUIT}" * 400  # as long a name as fits into a token


def stays_within(holder: Holder, *, refused: bool = True) -> None:
    """Whether a holder that was filled holds something, no more than its bounds, and has counted what found no place."""
    for holding in holder.holdings():
        if holding.entries:
            assert holding.entries <= holding.bound.entries, holding
            assert 0 < holding.size <= holding.bound.most_bytes, holding
            assert holding.refused > 0 or not refused, holding
    assert any(holding.entries for holding in holder.holdings())


def rate_limit() -> Holder:
    limit = RateLimit(1, 2, lambda: 0.0, max_keys=10)
    for number in range(50):
        limit.take(f"user {number}")
    return limit


def familiar() -> Holder:
    known = Familiar(lambda: 0.0, max_handles=10)
    known.use(b"key")
    for number in range(50):
        known.note(f"user{number}", "192.0.2.1")
    return known


def tokens_by_number() -> Holder:
    return verified(KeyVerifier(HOME, max_cached=10))


def tokens_by_bytes() -> Holder:
    return verified(KeyVerifier(HOME, max_bytes=20_000))


def verified(verifier: KeyVerifier) -> KeyVerifier:
    signer = Signer(Ed25519PrivateKey.generate())
    verifier.set_keys(signer.public_keys())
    for uid in range(1, 50):
        who = {"uid": uid, "handle": f"user{uid}", "name": LONG, "home": "h1", "home_url": "http://h1"}
        assert verifier.verify(signer.issue(**who, now=2e9, lifetime_s=60.0, audiences=(HOME,))).uid == uid
    return verifier


def commits_by_number() -> Holder:
    return offered(RecentCommits(max_events=10))


def commits_by_bytes() -> Holder:
    return offered(RecentCommits(max_bytes=50_000))


class Dull:
    """An event."""

    ERASES = False


def offered(recent: RecentCommits) -> RecentCommits:
    recent.follow()
    for position in range(1, 50):
        record = EventRecord(position, "user-1", position, "t", 0.0, b"x" * 16_000)
        recent.offer([Committed(position, cast(Any, Dull()), record)])
    return recent


def changes_by_number() -> Holder:
    return folded(Feed(kept_changes=16))


def changes_by_bytes() -> Holder:
    return folded(Feed(kept_bytes=100_000))


def folded(feed: Feed) -> Feed:
    for number in range(1, 100):
        feed.apply(Change(number, number, b"x" * 4_096), Standing(1, "online", "t"))
    assert feed.cursor == feed.cursor_of(feed.changes[-1]), "the newest change stays"
    return feed


def flood_sources() -> Holder:
    lines = PerMinute("lies", 1, clock=lambda: 0.0)
    for number in range(3_000):
        lines.takes(f"server{number}")
    return lines


def words_wanted() -> Holder:
    asking = WordAsking(cast(Any, None), cast(Any, None), cast(Any, None), lambda: 0.0)
    asking.want(range(60_000))
    return asking


def nobodies() -> Holder:
    numbers = Nobodies(lambda: 0.0)
    numbers.add(range(20_000))
    return numbers


def cards_wanted() -> Holder:
    class Trust:
        """Knows nobody."""

        name = "h1"
        peers: Any = type("Peers", (), {"on_learned": []})

    cards = Cards(cast(Any, None), cast(Any, Trust()), lambda: 0.0)
    for number in range(2_000):
        cards.want(f"server{number}", newer=True)
    cards.want("x" * 1_000_000)
    return cards


def words_told() -> Holder:
    words = WordsToTell(lambda event, server: (), cast(Any, None))
    for server in range(10):
        words.told(f"h{server}", range(30_000))
    return words


def unfinished_requests() -> Holder:
    shares = Shares(Limits(unfinished_bytes=100_000), TrustedProxies())
    for number in range(100):
        seat = Seat(shares)
        seat.arrive(f"192.0.2.{number}")
        try:
            seat.receive(16_000)
        except FlashError:
            seat.leave()
    return shares


FILLS = [
    *(rate_limit, familiar, tokens_by_number, tokens_by_bytes, commits_by_number, commits_by_bytes, flood_sources, words_wanted),
    *(nobodies, cards_wanted, unfinished_requests),
]


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.__name__)
def test_who_fills_it_finds_no_place_or_makes_room(fill: Callable[[], Holder]) -> None:
    stays_within(fill())


@pytest.mark.parametrize("fill", [changes_by_number, changes_by_bytes, words_told], ids=lambda fill: fill.__name__)
def test_what_is_old_is_forgotten(fill: Callable[[], Holder]) -> None:
    stays_within(fill(), refused=False)


def test_words_of_users_that_servers_tell(tmp_path: Path) -> None:
    table = SqliteKeys(tmp_path / "keys.db")
    words = UserWords(table, lambda: REGISTRY.public, most=10)
    for uid in range(1, 50):
        words.learn(user_word(REGISTRY, uid, f"user{uid}", "h1"))
        words.save()
    words.load(range(100, 150))
    stays_within(words)
    table.close()


async def test_passwords_that_wait_to_be_hashed() -> None:
    hashing, go_on = Hashing(HashingConfig(workers=2, most_familiar=5, most_strangers=5)), ThreadEvent()
    calls = [asyncio.ensure_future(hashing.run(number % 2 == 0, "192.0.2.1", go_on.wait)) for number in range(40)]
    await eventually(lambda: sum(call.done() for call in calls) == 28)
    stays_within(hashing)
    assert all(holding.oldest_s is not None for holding in hashing.holdings())
    go_on.set()
    await asyncio.gather(*calls, return_exceptions=True)
    hashing.close()


class Waits(WorkQueue):
    """Commits nothing."""


@pytest.mark.parametrize("lane", [1, "h2"], ids=["of a user", "of a server"])
async def test_one_lane_of_the_writer_takes_a_quarter_of_the_bytes_and_others_find_room(lane: int | str) -> None:
    queue = Waits(WriterConfig(max_waiting_bytes=400_000), cast(Any, None))
    for _ in range(100):
        queue.submit((), lane=lane, size=16_000)
    (holding,) = queue.holdings()
    assert (holding.entries, holding.size, holding.refused) == (7, 112_000, 93), "a quarter, and one call more"
    assert queue.submit((), lane=2, size=16_000).exception is None
    for user in range(3, 100):
        queue.submit((), lane=user, size=16_000)
    (holding,) = queue.holdings()
    assert holding.size <= holding.bound.most_bytes + 16_000, "and one call more"
    assert cast(float, holding.oldest_s) >= 0
    queue.submit((), lane=1_000, size=1)
    assert next(queue.holdings()).refused > holding.refused


@asynccontextmanager
async def opened(broker: EmbeddedBroker) -> AsyncIterator[EmbeddedBroker]:
    await broker.start()
    await broker.wait_connected(10)
    try:
        yield broker
    finally:
        await broker.close()


def mail(*sizes: int) -> list[Outgoing]:
    return [Outgoing(HOMES, "h1", b"x" * size, "application/msgpack") for size in sizes]


async def test_messages_of_an_inbox_beyond_its_bytes_lie_on_disk_alone_and_come_in_order(tmp_path: Path) -> None:
    async with opened(EmbeddedBroker(tmp_path / "broker.db")) as broker:
        taken: list[Any] = []
        await broker.consume("h1", taken.append, prefetch=1)
        for _ in range(20):
            await broker.publish(mail(1_000_000))
        stays_within(broker, refused=False)
        assert broker.in_memory < 19, "some are on disk alone"
        while len(taken) < 20:
            count = len(taken)
            taken[-1].ack()
            await eventually(lambda count=count: len(taken) > count)  # type: ignore[misc]  # it is called at once
            stays_within(broker, refused=False) if broker.in_memory else None


async def test_too_much_is_not_published_at_once(tmp_path: Path) -> None:
    async with opened(EmbeddedBroker(tmp_path / "broker.db", most_publishing_bytes=100_000)) as broker:
        await broker.declare_inbox("h1")

        async def publish() -> None:
            await broker.publish(mail(40_000))

        done = await asyncio.gather(*(publish() for _ in range(5)), return_exceptions=True)
        assert [type(each).__name__ for each in done] == ["NoneType"] * 2 + ["Unavailable"] * 3
        await broker.publish(mail(400_000))  # alone it may be larger
        assert {holding.bound.name: holding.refused for holding in broker.holdings()}["broker_publishing"] == 3


async def test_too_many_questions_are_not_asked_at_once(tmp_path: Path) -> None:
    async with opened(EmbeddedBroker(tmp_path / "broker.db", most_questions=3)) as broker:
        answers: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def answer(body: bytes, asker: str) -> bytes:
            return await asyncio.shield(answers)

        await broker.serve("home.h2", answer)
        asked = [asyncio.ensure_future(broker.request("home.h2", b"?", 10)) for _ in range(5)]
        await eventually(lambda: sum(each.done() for each in asked) == 2)
        stays_within(Named(broker, "broker_questions"))
        answers.set_result(b"!")
        assert sum(each == b"!" for each in await asyncio.gather(*asked, return_exceptions=True)) == 3


class Named:
    """One of the queues of a holder."""

    def __init__(self, holder: Holder, name: str) -> None:
        self._holder = holder
        self._name = name

    def holdings(self) -> Iterator[Any]:
        return (holding for holding in self._holder.holdings() if holding.bound.name == self._name)


class Loses:
    """A home that hears which sessions were dropped."""

    def __init__(self) -> None:
        self.dropped: list[Any] = []

    def lost(self, session: Any) -> None:
        self.dropped.append(session)


class Polled:
    """A polled session."""

    def __init__(self, id: str) -> None:
        self.id = id

    def resume(self) -> None:
        """Nothing more waits."""


def polled(polls: LongPolls, uid: int, id: str) -> PollOutlet:
    outlet = PollOutlet(polls, uid)
    outlet.opened(cast(Any, Polled(id)))
    return outlet


async def test_parts_that_nobody_polls_are_counted_until_they_are_taken_or_dropped() -> None:
    polls = LongPolls(cast(Any, Loses()), EdgeMetrics(CollectorRegistry()))
    outlets = [polled(polls, uid, f"s{uid}") for uid in range(1, 4)]
    for outlet in outlets:
        while outlet.writable:
            outlet.write([Part("message", b"x" * 16_000)] * 64)
    outlets[0].begin_part("welcome", 1_000)
    outlets[0].write_body(b"x" * 999)
    (waiting, _) = polls.holdings()
    assert (waiting.entries, waiting.size, waiting.refused) == (3 * 64, 3 * 64 * 16_200 + 999, 0)
    assert len(outlets[0].drain()) == 64
    outlets[0].write_body(b"x")
    assert [part.name for part in outlets[0].drain()] == ["welcome"], "what is in pieces waits until it is whole"
    for outlet in outlets[1:]:
        outlet.close()
    assert [(holding.entries, holding.size) for holding in polls.holdings()] == [(0, 0), (0, 0)]


async def test_a_user_who_polls_nothing_loses_sessions_before_anybody_else_does() -> None:
    home = Loses()
    polls = LongPolls(cast(Any, home), EdgeMetrics(CollectorRegistry()), most_bytes=400_000)
    others = polled(polls, 2, "of another")
    for number in range(20):
        outlet = polled(polls, 1, f"s{number}")
        outlet.begin_part("welcome", 30_000)
        outlet.write_body(b"x" * 30_000)
        others.write([Part("presence", b"y")])
    (waiting, _) = polls.holdings()
    assert waiting.size <= 100_000 + 20 * 201, "a quarter, and what waits for the other one"
    assert waiting.refused == 17
    await eventually(lambda: len(home.dropped) == 17)
    assert not others.ended
