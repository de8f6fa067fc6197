"""A home that sends faster than the windows draw. Rule: what waits for the windows does not fill the memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from clients.tk.disk.messages import Storage
from clients.tk.engine.bridge import Bridge
from clients.tk.engine.session import MOST_REPORTS, Session
from clients.tk.model.model import Model
from clients.tk.model.values import Account
from flash_sdk import FlashClient, Presence
from tests.support.waiting import eventually

MORE = 50  # events that come while some are held back


class Flooded(FlashClient):
    """A client whose home sends presence without end."""

    def listen(self, **_: Any) -> AsyncIterator[Presence]:  # type: ignore[override]
        async def flood() -> AsyncIterator[Presence]:
            while True:
                yield Presence(())
                await asyncio.sleep(0)

        return flood()


async def test_events_are_held_back_while_many_wait_for_the_windows(tmp_path: Path) -> None:
    bridge = Bridge(Model())
    with contextlib.closing(Storage(tmp_path, Account("http://flash.example", 1, "ann"))) as storage:
        async with Flooded("http://flash.example") as client:
            running = asyncio.create_task(Session(bridge, storage).run(client))
            await eventually(lambda: bridge.waiting > MOST_REPORTS)
            for _ in range(2 * MORE):
                await asyncio.sleep(0)
            assert bridge.waiting < MOST_REPORTS + MORE
            running.cancel()
            await asyncio.wait({running})
    bridge.close()
