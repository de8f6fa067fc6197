"""The outbox and the inbox are killed again and again, at every step."""

import asyncio
import random

import pytest

from broker import envelope, topology
from broker.embedded.broker import EmbeddedBroker
from tests.servers.commands import contact, send
from tests.servers.messaging_server import Server
from tests.support.waiting import eventually


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_or_doubled_whoever_dies_whenever(tmp_path, store_url, seed):
    """Both servers are killed again and again at random steps; their stores and the broker's stay."""
    chance = random.Random(seed)
    broker = EmbeddedBroker(tmp_path / "broker.db")
    await broker.start()
    await broker.wait_connected(5)
    await broker.declare_inbox("h1")
    await broker.declare_inbox("h2")
    accepted: list[str] = []
    number = 0
    for life in range(8):
        h1, h2 = await Server(store_url, "h1", broker).start(), await Server(store_url, "h2", broker).start()
        if not life:
            await h1.writer.submit((contact(),))

        async def send_some(h1=h1, life=life):
            nonlocal number
            for _ in range(50):
                number += 1
                id_ = f"{life}-{number}"
                await h1.writer.submit((send(id_),))
                accepted.append(id_)

        sender = asyncio.create_task(send_some())
        for _ in range(chance.randrange(1, 120)):
            await asyncio.wait({sender}, timeout=0.0005)
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
        for server in chance.sample([h1, h2], 2):
            await server.dies()
    h1, h2 = await Server(store_url, "h1", broker).start(), await Server(store_url, "h2", broker).start()
    sent = [c.event.id for c in h1.store.read(0, 100_000) if c.event.TOPIC == "user.message_sent"]
    assert set(accepted) <= set(sent)
    await eventually(lambda: len(h2.mailbox(2)) >= len(sent))
    assert [id_ for id_, _ in h2.mailbox(2)] == sent
    await eventually(lambda: h1.outbox.lag == 0)
    told = [envelope.decode(item.body) async for item in broker.read_stream(topology.HISTORY, follow=False)]
    published = {record.position for each in told if each.source == "h1" for record in each.events}
    assert published == {committed.position for committed in h1.store.read(0, 100_000)}
    await h1.stop()
    await h2.stop()
    await broker.close()
