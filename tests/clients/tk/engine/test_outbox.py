"""What the outbox makes of answers. Rule: only the home itself can refuse a message for good."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from clients.tk.disk.messages import Storage
from clients.tk.engine.outbox import Outbox
from clients.tk.model.inputs import Accepted, Report, SendRefused
from clients.tk.model.values import Account, Sent, SentState
from flash_sdk import FlashClient
from tests.clients.sdk.conftest import AT_ONCE
from tests.clients.sdk.peer import PASSWORD, Peer
from tests.support.waiting import eventually

BOB = 2


@pytest.mark.parametrize("status", [403, 404, 405])
async def test_a_page_of_something_in_between_refuses_nothing(tmp_path: Path, status: int) -> None:
    storage = Storage(tmp_path, Account("http://flash.example", 1, "ann"))
    storage.wrote(Sent("m1", BOB, "pop over?", datetime.now(UTC)))
    reports: list[Report] = []
    outbox = Outbox(storage, reports.append, pace=AT_ONCE)
    async with Peer() as peer, FlashClient(peer.url, pace=AT_ONCE) as ann:
        await ann.login("ann", PASSWORD)
        peer.say("/v1/messages", lambda: web.Response(status=status, text="404 page not found"))
        outbox.online = True
        outbox.wake()
        telling = asyncio.create_task(outbox.run(ann))
        await eventually(lambda: Accepted("m1") in reports)
        assert [body["id"] for body in peer.bodies("/v1/messages")] == ["m1", "m1"]
        assert not any(isinstance(report, SendRefused) for report in reports)
        storage.wrote(Sent("m2", BOB, "pop over?", datetime.now(UTC)))
        peer.answer("/v1/messages", 413, code="too_large", detail="No.")
        outbox.wake()
        await eventually(lambda: storage.load().entries[-1].state is SentState.BOUNCED)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    storage.close()
