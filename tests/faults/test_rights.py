"""An installation whose servers may do on RabbitMQ what `permissions.sh` grants, and no more. Rule: people notice nothing of it."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import aiormq
import pytest

from broker.port import Outgoing
from broker.rabbitmq.broker import RabbitBroker
from broker.topology import EXCHANGES, HOMES, QUEUES, server_queues
from tests.faults.checker import Ledger, verify
from tests.faults.installation import Installation
from tests.faults.people import Crowd
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.rabbitmq_users import allow, user_url
from tests.support.waiting import eventually

SERVERS = ("global", "h1", "h2")
SOON_S = 45.0


@pytest.fixture
async def restricted(rabbit: AnyRabbit, tmp_path: Path) -> AsyncIterator[Installation]:
    """A running installation on a vhost where each server has a user of its own."""
    url = rabbit.new_vhost()
    broker = RabbitBroker(url, "test")  # as an administrator who imports definitions.json
    await broker.start()
    await broker.wait_connected(SOON_S)
    await broker.close()
    await asyncio.to_thread(allow, rabbit, url, *SERVERS)
    installation = Installation(tmp_path, url, own=lambda server: {"FLASH_BROKER_URL": user_url(url, server)})
    try:
        await asyncio.to_thread(installation.start)
        yield installation
    finally:
        await asyncio.to_thread(installation.kill)


async def test_two_homes_with_users_of_their_own(restricted: Installation) -> None:
    """Popups, presence, questions, heartbeats and dead letters; then RabbitMQ loses all but its users, and all of it goes on."""
    ledger = Ledger()
    async with Crowd(restricted.global_server.url, secrets.token_hex(4)) as crowd:
        ann, bob = await crowd.pair("h1", "h2")
        windows = [await ann.opens(), await bob.opens()]
        await ann.insists(bob, ledger)
        await bob.insists(ann, ledger)
        await verify(ledger, [ann, bob])
        await eventually(lambda: [windows[0].presence.get(bob.uid), windows[1].presence.get(ann.uid)] == ["online"] * 2, SOON_S)
        await eventually(lambda: restricted.global_server.metric("flash_homes_alive") == 2, SOON_S)

        liar = RabbitBroker(user_url(restricted.amqp_url, "h2"), "h2")  # whoever has the user of h2
        await liar.start()
        await liar.wait_connected(SOON_S)
        await liar.publish([Outgoing(HOMES, "h1", FORGED, mandatory=True)])
        await liar.close()
        await eventually(lambda: restricted.homes["h1"].metric("flash_inbox_dead") == 1, SOON_S)

        await eventually(lambda: restricted.global_server.log_tail(1_000_000).count("eras.began") == 2, SOON_S)
        for server in restricted.servers:
            assert "broker.lost" not in server.log_tail(1_000_000), f"RabbitMQ has refused {server.name} something"
        await _lose_everything(restricted.amqp_url)
        await eventually(restricted.connected, SOON_S)
        await ann.insists(bob, ledger)
        await bob.insists(ann, ledger)
        await verify(ledger, [ann, bob])
        await windows[1].die()
        await eventually(lambda: windows[0].presence.get(bob.uid) == "offline", SOON_S)


# A mail of version 1 in the name of the Global Server.
FORGED = b"\x83\xa1v\x01\xa6source\xa6global\xa6events\x90"


async def _lose_everything(url: str) -> None:
    """Delete every queue and exchange of Flash, as the administrator; users and rights stay."""
    async with aiormq.connect(url) as connection:
        channel = await connection.channel()
        for exchange in EXCHANGES:
            await channel.exchange_delete(exchange.name)
        for queue in (*QUEUES, *(queue for server in SERVERS for queue in server_queues(server))):
            await channel.queue_delete(queue.name)
