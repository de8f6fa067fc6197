"""A hundred homes that come back are not a hundred readings of the log, and homes that are away none. Rule: portions are counted."""

import asyncio
from collections import Counter
from contextlib import closing

import pytest
from msgspec.structs import replace

from broker import mail
from broker.port import Unroutable
from domain.rules.home import RECIPIENTS
from servers.messaging.mail_again import MailAgain
from servers.messaging.mail_blocks import MailBlocks
from servers.messaging.mail_sender import MailSender
from servers.messaging.outbox_parts import OutboxConfig
from servers.messaging.receivers import LONGEST_PAUSE_S, Receivers
from servers.messaging.recent_commits import RecentCommits
from servers.messaging.words_to_tell import WordsToTell
from servers.store.event_store import Store
from servers.store.log.positions import mailed
from tests.servers.stores import HOME, put, sent
from tests.support.waiting import eventually

EVENTS = 8_000
BATCH = 1_000
HOMES = [f"x{number}" for number in range(100)]


class Boxes:
    """Trust in everybody: what is put into a box lies open."""

    card, life = b"card", 1

    @property
    def boxes(self):
        return self

    def ready(self, server, purpose):
        return self

    def close(self, head, body):
        return body


class Queues:
    """A broker that has a queue for whoever is not `away`."""

    connected = True

    def __init__(self) -> None:
        self.away: set[str] = set()
        self.taken: dict[str, list[int]] = {}
        self.tries: Counter[str] = Counter()

    def publish(self, outgoing):
        done = asyncio.get_running_loop().create_future()
        (message,) = outgoing
        self.tries[message.key] += 1
        if message.key in self.away:
            done.set_exception(Unroutable("flash.homes", [message.key]))
        else:
            body = mail.decode_body(mail.decode(message.body)[2])
            self.taken.setdefault(message.key, []).extend(record.position for record in body.records)
            done.set_result(None)
        return done


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Town:
    """A log of 8,000 popups: each of the hundred homes has one in 400, in their turns, the rest is for h2."""

    def __init__(self, store: Store) -> None:
        self.store, self.queues, self.clock = store, Queues(), Clock()
        self.theirs: dict[str, list[int]] = {}
        events = []
        for number in range(EVENTS):
            turn, place = divmod(number, 4)
            to = HOMES[turn % len(HOMES)] if place == 0 else "h2"
            events.append(replace(sent(number), to_home=to))
            self.theirs.setdefault(to, []).append(number + 1)
        for start in range(0, EVENTS, 500):
            put(store, "user-1", start, events[start : start + 500])
        recent = RecentCommits()
        recent.last = EVENTS
        follower = recent.follow(RECIPIENTS)
        follower.passed(EVENTS)
        blocks = MailBlocks()
        for home, positions in self.theirs.items():
            blocks.note(home, positions)
        self.receivers = Receivers(self.clock, lambda delay_s: self.again.wanted.set(), lambda positions: None)

        async def nobody(uids):
            return {}

        sender = MailSender(
            store, self.queues, "h1", RECIPIENTS, lambda committed: (), lambda server: 0, Boxes(), lambda server: None,
            WordsToTell(lambda event, server: (), nobody), self.receivers, blocks, follower, lambda positions: None, lambda: None,
            OutboxConfig(),
        )  # fmt: skip
        self.again = MailAgain(store, self.queues, sender, self.receivers, follower, lambda event: False, BATCH, 1_000_000)

    def lacks(self, *homes: str) -> None:
        for home in homes:
            self.receivers.load({mailed(home): EVENTS})
            self.receivers.lacks(home, 0, "a test")


@pytest.fixture
def town(tmp_path):
    with closing(Store(f"sqlite:///{tmp_path}/h1.db", "h1", HOME)) as store:
        yield Town(store)


async def test_a_hundred_homes_that_come_back_share_one_reading(town):
    town.lacks(*HOMES)
    town.again.start()
    await eventually(lambda: not town.receivers.behind, 30)
    assert town.again.readings <= EVENTS / BATCH + 1
    assert {home: town.queues.taken[home] for home in HOMES} == {home: town.theirs[home] for home in HOMES}
    await town.again.task.stop()


async def test_one_home_is_read_little_more_than_its_own(town):
    town.lacks("x7")
    town.again.start()
    await eventually(lambda: not town.receivers.behind, 30)
    assert town.queues.taken == {"x7": town.theirs["x7"]}
    assert town.again.events_read <= 64 * len(town.theirs["x7"])
    await town.again.task.stop()


async def test_homes_that_are_away_are_read_nothing_and_tried_ever_more_seldom(town):
    town.queues.away = set(HOMES)
    town.lacks(*HOMES)
    town.again.start()
    await eventually(lambda: all(town.receivers.of(home).why == "missing" for home in HOMES), 30)
    read = town.again.readings
    for _ in range(60):
        town.clock.now += LONGEST_PAUSE_S / 2
        town.again.wanted.set()
        due = len(town.receivers.due())
        await eventually(lambda: not town.receivers.due(), 10)
        assert due in (0, len(HOMES))
    assert town.again.readings == read, "half an hour away costs no reading"
    assert max(town.queues.tries.values()) <= 40
    town.queues.away = set()
    town.receivers.all_reachable()
    await eventually(lambda: not town.receivers.behind, 30)
    assert town.again.readings <= read + EVENTS / BATCH + 1
    assert {home: town.queues.taken[home] for home in HOMES} == {home: town.theirs[home] for home in HOMES}
    await town.again.task.stop()
