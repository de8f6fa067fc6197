"""What the SDK's tests share: the scripted peer, and a client that is logged in there and loses no time over retries."""

from collections.abc import AsyncIterator

import pytest

from flash_sdk import FlashClient, Pace
from tests.clients.sdk.peer import PASSWORD, Peer

AT_ONCE = Pace(first_s=0.01, longest_s=0.05)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as peer:
        yield peer


@pytest.fixture
async def ann(peer: Peer) -> AsyncIterator[FlashClient]:
    async with FlashClient(peer.url, pace=AT_ONCE) as client:
        await client.login("ann", PASSWORD)
        yield client
