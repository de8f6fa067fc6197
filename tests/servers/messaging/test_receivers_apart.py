"""A home whose queue refuses, is missing or does not confirm delays its own mail only; each home gets each mail once and in order."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from broker.embedded.broker import EmbeddedBroker
from broker.port import NotTaken, Unroutable
from broker.rabbitmq.broker import RabbitBroker
from broker.rabbitmq.connection import new_connection
from broker.topology import HOMES, inbox
from domain.errors import Unavailable
from servers.messaging.outbox_parts import OutboxConfig
from tests.servers.commands import contact, send
from tests.servers.messaging_server import Server
from tests.support.waiting import eventually

QUICK = OutboxConfig(first_retry_s=0.01, longest_retry_s=0.05, late_look_s=0.02)
SMALL = OutboxConfig(first_retry_s=0.01, longest_retry_s=0.05, late_look_s=0.02, max_batch=10)


class MoodyBroker(EmbeddedBroker):
    """A real one, embedded. `moods`: what becomes of each mail to a server; `silent`: mail that lies in its queue without a confirm."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.moods: dict[str, Callable[[], str]] = {}
        self.mails: Counter[str] = Counter()
        self.silent: list[asyncio.Future[None]] = []

    def publish(self, outgoing):
        for message in outgoing:
            if message.exchange == HOMES:
                self.mails[message.key] += 1
                mood = self.moods.get(message.key, lambda: "takes")()
                if mood != "takes":
                    return getattr(self, mood)(message)
        return super().publish(outgoing)

    def refuses(self, message):
        return asyncio.ensure_future(self.ends(None, NotTaken("its queue refused a message")))

    def missing(self, message):
        return asyncio.ensure_future(self.ends(None, Unroutable(HOMES, [message.key])))

    def late(self, message):
        return asyncio.ensure_future(self.ends(super().publish([message]), None, steps=20))

    def lost(self, message):
        """With its connection; the queue has it all the same."""
        return asyncio.ensure_future(self.ends(super().publish([message]), Unavailable("the connection to the broker was lost")))

    def away(self, message):
        raise Unavailable("the broker is away")

    def says_nothing(self, message):
        self.silent.append(asyncio.get_running_loop().create_future())
        super().publish([message])
        return self.silent[-1]

    async def ends(self, stored, failure, steps=1):
        for _ in range(steps):
            await asyncio.sleep(0)
        if stored is not None:
            await stored
        if failure is not None:
            raise failure

    def confirm_all(self) -> None:
        for future in self.silent:
            if not future.done():
                future.set_result(None)
        self.silent.clear()


def ids(server, uid):
    return [id_ for id_, _ in server.mailbox(uid)]


@pytest.fixture
async def moody(tmp_path):
    broker = MoodyBroker(tmp_path / "broker.db")
    await broker.start()
    await broker.wait_connected(5)
    for server in ("h1", "h2", "h3"):
        await broker.declare_inbox(server)
    yield broker
    await broker.close()


@pytest.fixture
def in_files(tmp_path):
    return lambda server: f"sqlite:///{tmp_path}/{server}.db"


async def knows_both(h1, *others):
    await h1.writer.submit((contact(),))
    await h1.writer.submit((contact(other=3, home="h3"),))
    await eventually(lambda: all(other.store.tracked("h1") for other in others))


@pytest.mark.parametrize("seed", range(4))
async def test_each_home_gets_each_mail_once_and_in_order_whatever_the_queues_do(moody, in_files, seed):
    """Queues refuse, are missing, are late, say nothing; connections are lost; the sender dies three times."""
    chance = random.Random(seed)
    h2, h3 = await Server(in_files, "h2", moody).start(), await Server(in_files, "h3", moody).start()
    h1 = await Server(in_files, "h1", moody, outbox=SMALL).start()
    await knows_both(h1, h2, h3)
    kinds = ["takes"] * 8 + ["refuses", "missing", "late", "lost", "away", "says_nothing"]
    for life in range(4):
        moody.moods = dict.fromkeys(("h2", "h3"), lambda: chance.choice(kinds))
        for number in range(40):
            sends = [send(f"{life}-{number}-{to}-{n}", to=to) for to in (2, 3) for n in range(chance.randrange(4))]
            await asyncio.gather(*(h1.writer.submit((one,)) for one in sends))
            if chance.random() < 0.3:
                h1.outbox.receivers.all_reachable()
                await asyncio.sleep(0.002)
            if chance.random() < 0.1:
                moody.confirm_all()
        if life < 3:
            await h1.dies()
            h1 = await Server(in_files, "h1", moody, outbox=SMALL).start()
    moody.moods = {}
    moody.confirm_all()
    sent = [one.event for one in h1.store.read(0, 100_000) if one.event.TOPIC == "user.message_sent"]

    def all_arrived() -> bool:
        h1.outbox.receivers.all_reachable()
        return all(len(server.mailbox(uid)) >= sum(event.to == uid for event in sent) for server, uid in ((h2, 2), (h3, 3)))

    await eventually(all_arrived, 30)
    for server, uid in ((h2, 2), (h3, 3)):
        assert ids(server, uid) == [event.id for event in sent if event.to == uid]
    await eventually(lambda: h1.outbox.lag == 0 and not h1.outbox.receivers.behind)
    for server in (h1, h2, h3):
        await server.stop()


@pytest.mark.parametrize(("mood", "why"), [("refuses", "refused"), ("missing", "missing"), ("says_nothing", "slow")])
async def test_one_home_falls_behind_and_the_other_notices_nothing(moody, in_files, mood, why):
    h2, h3 = await Server(in_files, "h2", moody).start(), await Server(in_files, "h3", moody).start()
    h1 = await Server(in_files, "h1", moody, outbox=QUICK).start()
    await knows_both(h1, h2, h3)
    await eventually(lambda: h1.outbox.lag == 0)
    moody.moods = {"h2": lambda: mood}
    for number in range(30):
        await h1.writer.submit((send(f"two {number}", to=2),))
        await h1.writer.submit((send(f"three {number}", to=3),))
    await eventually(lambda: len(ids(h3, 3)) == 30)
    await eventually(lambda: h1.outbox.receivers.behind == {"h2"} and h1.outbox.lag == 0)
    assert h1.outbox.receivers.of("h2").why == why
    tried, readings = moody.mails["h2"], h1.outbox.again.readings
    await h1.writer.submit((send("later", to=3),))
    await eventually(lambda: len(ids(h3, 3)) == 31)
    assert moody.mails["h2"] <= tried + 1
    assert h1.outbox.again.readings == readings, "nothing is read for a home that takes nothing"
    moody.moods = {}
    moody.confirm_all()
    h1.outbox.receivers.all_reachable()
    await eventually(lambda: len(ids(h2, 2)) == 30)
    assert ids(h2, 2) == [f"two {number}" for number in range(30)]
    assert ids(h3, 3) == [*(f"three {number}" for number in range(30)), "later"]
    for server in (h1, h2, h3):
        await server.stop()


async def test_a_queue_that_is_made_again_with_a_limit_delays_the_mail_of_its_own_home_only(in_files, rabbitmq):
    """A retired home does that too. Nothing else may be kept back, also not after more events than one publication holds."""
    amqp = rabbitmq.new_vhost()
    small = OutboxConfig(max_batch=20)

    async def starts(name):
        broker = RabbitBroker(amqp, name)
        await broker.start()
        await broker.wait_connected(10)
        return await Server(in_files, name, broker, outbox=small).start()

    h1, h2, h3 = await starts("h1"), await starts("h2"), await starts("h3")
    await knows_both(h1, h2, h3)
    await h2.stop()
    await h2.broker.close()
    operator = new_connection(amqp)
    await operator.connect()
    channel = await operator.channel()
    right = inbox("h2")
    await channel.queue_delete(right.name)
    await h1.writer.submit((send("into nothing"),))
    await eventually(lambda: "h2" in h1.outbox.receivers.behind)
    limited = await channel.declare_queue(
        right.name, durable=True, arguments={**right.arguments, "x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await limited.bind(HOMES, "h2")
    with capture_logs() as logs:
        for number in range(100):
            await h1.writer.submit((send(f"two {number}", to=2),))
            await h1.writer.submit((send(f"three {number}", to=3),))
        await eventually(lambda: len(ids(h3, 3)) == 100, 30)
    assert h1.outbox.receivers.behind == {"h2"}
    assert not [line for line in logs if line["event"] in ("broker.lost", "outbox.refused")], "one queue costs nobody the connection"
    await channel.queue_delete(right.name)
    await operator.close()
    h2 = await starts("h2")
    await eventually(lambda: len(ids(h2, 2)) == 101, 30)
    assert ids(h2, 2) == ["into nothing", *(f"two {number}" for number in range(100))]
    for server in (h1, h2, h3):
        await server.stop()
        await server.broker.close()
