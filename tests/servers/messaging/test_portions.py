"""Long mail is applied in portions: each is one commit with its own position, and others' calls are committed in between."""

import asyncio
import random

from broker import topology
from broker.port import Outgoing
from servers.messaging.dedup import Arrived
from servers.messaging.inbox_parts import InboxConfig
from servers.messaging.mail_reader import Incoming
from servers.messaging.portions import ended, portions
from tests.domain.home_stories import message_sent
from tests.servers.commands import contact, log_in
from tests.servers.members import Correspondent
from tests.servers.messaging.test_outbox_and_inbox import Again, opened, record
from tests.servers.messaging_server import Server
from tests.support.waiting import eventually

LONG = 60
SMALL_PORTIONS = InboxConfig(portion_events=7, retry_s=0.01, empty_after_s=0.02)


def long_mail(sender, to="h2", first=1, count=LONG):
    return sender.mail(to, [record(message_sent(f"m{n}"), n) for n in range(first, first + count)], previous=first - 1)


async def test_a_long_mail_is_committed_in_portions_each_with_its_position(store_url, broker):
    async with opened(store_url, broker, inbox=SMALL_PORTIONS) as (_, h2):
        commits = []

        def committed(batch):
            if queued := sum(event.TOPIC == "mailbox.message_queued" for _, event, _ in batch):
                commits.append((queued, h2.store.tracked("h7")))

        h2.writer.listeners.append(committed)
        await broker.publish([Outgoing(topology.HOMES, "h2", long_mail(Correspondent("h7", h2.trust)))])
        await eventually(lambda: sum(size for size, _ in commits) == LONG)  # a commit is on disk before a listener hears of it
        assert [size for size, _ in commits] == [7] * 8 + [4]
        assert [position for _, position in commits] == [7, 14, 21, 28, 35, 42, 49, 56, 60]


async def test_others_calls_are_committed_between_the_portions(store_url, broker):
    """A user calls whenever a portion was committed: the answer comes before the next portion, or with it."""
    async with opened(store_url, broker, inbox=SMALL_PORTIONS) as (_, h2):
        order = []

        def committed(batch):
            streams = {event.originator_id for _, event, _ in batch}
            order.extend(sorted(streams & {"mailbox-2", "user-9"}))
            if "mailbox-2" in streams:
                h2.writer.submit((contact(9, len(order) + 100),), lane=9)

        h2.writer.listeners.append(committed)
        await broker.publish([Outgoing(topology.HOMES, "h2", long_mail(Correspondent("h7", h2.trust)))])
        await eventually(lambda: len(h2.mailbox(2)) == LONG and h2.writer.idle)
        assert order.count("mailbox-2") == 9
        assert order.count("user-9") == 9
        assert "mailbox-2 mailbox-2 mailbox-2" not in " ".join(order)


async def test_neither_of_two_homes_mail_waits_until_the_others_is_through(store_url, broker):
    """What two homes sent stands in two lanes: neither waits until the other's is through."""
    async with opened(store_url, broker, inbox=SMALL_PORTIONS) as (_, h2):
        h7, h8 = Correspondent("h7", h2.trust), Correspondent("h8", h2.trust)
        seen = []
        h2.writer.listeners.append(lambda batch: seen.append((h2.store.tracked("h7"), h2.store.tracked("h8"))))
        for body in (long_mail(h7), h8.mail("h2", [], last=5)):
            h2.inbox.arrive(Again(body=body))
        await eventually(lambda: len(h2.mailbox(2)) == LONG)
        assert next(h7 for h7, h8 in seen if h8) <= 14 < seen[-1][0], "it came with the first portions of the long mail"


async def test_a_server_that_dies_between_portions_goes_on_at_the_right_one(store_url, broker):
    """Killed again and again while one mail is applied: everything takes effect once, in order."""
    chance = random.Random(1)
    first = await Server(store_url, "h2", broker).start()
    mail = long_mail(Correspondent("h7", first.trust))
    await first.stop()
    await broker.publish([Outgoing(topology.HOMES, "h2", mail)])
    progress = set()
    for _ in range(20):
        h2 = Server(store_url, "h2", broker, inbox=SMALL_PORTIONS)
        Correspondent("h7", h2.trust)
        stopped = asyncio.Event()
        left = chance.randrange(3)

        def count(batch, stopped=stopped):
            nonlocal left
            left -= 1
            if left <= 0:
                stopped.set()

        h2.writer.listeners.append(count)
        await h2.start()
        waiting = asyncio.ensure_future(stopped.wait())
        await asyncio.wait({waiting}, timeout=0.5)
        waiting.cancel()
        progress.add(len(h2.mailbox(2)))
        await h2.dies()
    h2 = await Server(store_url, "h2", broker, inbox=SMALL_PORTIONS).start()
    await eventually(lambda: len(h2.mailbox(2)) == LONG)
    assert [id_ for id_, _ in h2.mailbox(2)] == [f"m{n}" for n in range(1, LONG + 1)]
    assert progress - {0, LONG}, "it died in between"
    await h2.stop()


def test_portions_are_bounded_by_events_and_bytes():
    """A delivery ends with its last piece, which alone says how far its source has come."""
    short = Incoming(Again(body=b"x" * 10), Arrived("h7", [(1, log_in())], 0, 1), None)
    long = Incoming(Again(body=b"x" * 1_000), Arrived("h7", [(n, None) for n in range(2, 22)], 1, 25), "unreadable")
    made = list(portions([short, long], 8, 400))
    assert [[len(piece.incoming.arrived.events) for piece in portion] for portion in made] == [[1, 7], [7], [6]]
    assert [piece.incoming.arrived.last for portion in made for piece in portion] == [1, 0, 0, 25]
    assert [list(ended(portion)) for portion in made] == [[short], [], [long]]
    assert [position for portion in made for piece in portion for position, _ in piece.incoming.arrived.events] == [*range(1, 22)]


def test_what_is_wrong_with_a_piece_is_wrong_with_its_delivery():
    long = Incoming(Again(body=b""), Arrived("h7", [(n, None) for n in range(1, 21)], 0, 20), None)
    first, *_, last = portions([long], 8, 400)
    first[0].incoming.fault = "cannot be applied"
    assert (list(ended(first)), list(ended(last))) == ([], [long])
    assert long.fault == "cannot be applied"
