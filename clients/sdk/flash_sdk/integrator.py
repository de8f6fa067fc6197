"""Presence for programs that need nothing else. Rule: one function logs in, and logs in again when its token has expired.

async for item in flash_sdk.presence("http://127.0.0.1:8080", "crm", password):
    match item:
        case Snapshot(users=users): ...       # everybody, to begin with
        case PresenceEvent(): ...             # then each change, once and in order
"""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

from flash_sdk.backoff import Pace
from flash_sdk.client import FlashClient
from flash_sdk.feed import FeedItem


async def presence(
    server_url: str, handle: str, password: str, *, uids: Collection[int] | None = None, after: str | None = None, pace: Pace | None = None
) -> AsyncGenerator[FeedItem, None]:
    """Snapshot and changes of everybody that `handle` was granted (`FLASH_INTEGRATORS`), or of these `uids`, until the caller stops.

    `after`: the cursor of the last item of an earlier run, from which to go on instead of a snapshot. Raises as `FlashClient.login` and
    `.presence` do.
    """
    async with FlashClient(server_url, pace=pace) as flash:
        await flash.login(handle, password)
        async with aclosing(flash.presence(uids=uids, after=after, renew=lambda: flash.login(handle, password))) as items:
            async for item in items:
                yield item
