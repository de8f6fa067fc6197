"""Follows presence over any number of connections: snapshot, then changes. Rule: each change once and in order; a gap is reported."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from typing import Any
from urllib.parse import urlencode

import aiohttp

from flash_sdk import json_fields as fields
from flash_sdk.backoff import Backoff, Pace
from flash_sdk.errors import ProtocolError, Refused, TryLater, Unauthorized, Unreachable
from flash_sdk.events import DEFAULT_BLANK_S, Disconnected
from flash_sdk.feed import FeedItem, PresenceEvent, SilentHomes, Snapshot, Standing, version
from flash_sdk.parts import Part
from flash_sdk.stream import Lost, PartStream, Silent

FIRST_EVENT_S = 30.0  # the server says something at once, and a slow network may need this long
BLANKS_MISSED = 2.5  # a live connection is never silent for so many blanks
MAX_USERS = 1_000_000  # of a snapshot, some 500 MB: a server that sends more would fill our memory

Get = Callable[[str], Awaitable[dict[str, Any]]]
Open = Callable[[str], Awaitable[aiohttp.ClientResponse]]
Renew = Callable[[], Awaitable[object]]


class Follower:
    """Follows `uids`, or everybody who was granted when that is None. `cursor`: where to begin; None for a snapshot first.

    `renew`: gets a fresh token when the server refuses the present one.
    """

    def __init__(
        self,
        get: Get,
        open_stream: Open,
        pace: Pace,
        uids: Collection[int] | None,
        cursor: str | None,
        renew: Renew | None,
        max_users: int = MAX_USERS,
    ) -> None:
        self._get = get
        self._open = open_stream
        self._backoff = Backoff(pace)
        self._uids = {} if uids is None else {"uids": ",".join(map(str, sorted(uids)))}
        self._cursor = cursor
        self._renew = renew
        self._max_users = max_users
        self._gap = False
        self._versions: dict[int, int] = {}  # the newest change of each user that the snapshot contains

    async def items(self) -> AsyncGenerator[FeedItem, None]:
        """Snapshot and changes, until the caller stops. Raises `Refused` when trying again would not help."""
        renewed = False
        while True:
            at_least_s = 0.0
            try:
                if self._cursor is None:
                    yield await self._snapshot()
                async with aclosing(self._changes(self._cursor or "")) as items:
                    async for item in items:
                        renewed = False
                        yield item
            except TryLater as error:
                reason, at_least_s = "unreachable", error.retry_after_s or 0.0
            except Unauthorized:
                if self._renew is None or renewed:
                    raise
                reason, renewed = "session", await self._renewed()
            except Refused as error:
                if error.code != "gap":
                    raise
                self._cursor, self._gap = None, True
                continue
            except Unreachable:
                reason = "unreachable"
            except Lost:
                reason = "lost"
            except Silent:
                reason = "silent"
            except ProtocolError:
                reason = "protocol"
            wait_s = self._backoff.next_s(at_least_s)
            yield Disconnected(reason, wait_s)
            await asyncio.sleep(wait_s)

    async def _renewed(self) -> bool:
        assert self._renew is not None
        try:
            await self._renew()
        except (Unreachable, TryLater):
            return False
        return True

    async def _snapshot(self) -> Snapshot:
        users: list[Standing] = []
        page = await self._get(f"/v1/presence?{urlencode(self._uids)}")
        cursor, silent = fields.text(page, "cursor"), _names(page)
        while True:
            found = fields.sections(page, "users")
            users += map(Standing.of, found)
            following = fields.optional_text(page, "next")
            if following is None:
                break
            if not found or len(users) > self._max_users:
                raise ProtocolError("the snapshot goes on without end")
            page = await self._get(f"/v1/presence?{urlencode(self._uids | {'page': following})}")
        snapshot = Snapshot(tuple(users), silent, cursor, self._gap)
        self._versions = {user.uid: version(user.id) for user in users if user.id is not None}
        self._cursor, self._gap = cursor, False
        return snapshot

    async def _changes(self, after: str) -> AsyncGenerator[FeedItem, None]:
        response = await self._open(f"/v1/presence/stream?{urlencode(self._uids | {'after': after})}")
        try:
            line = PartStream(response, FIRST_EVENT_S)
            while True:
                part = await line.next()
                if part.name == "homes":
                    line.idle_s = BLANKS_MISSED * (fields.seconds(part.body, "blank_s") or DEFAULT_BLANK_S)
                    self._backoff.reset()
                    yield SilentHomes(_names(part.body))
                elif part.name == "presence" and (change := self._change(part)) is not None:
                    yield change
        finally:
            response.close()

    def _change(self, part: Part) -> PresenceEvent | None:
        self._cursor = part.id or self._cursor
        change = PresenceEvent.of_json(part.body, cursor=self._cursor)
        if change is None or version(change.id) <= self._versions.get(change.uid, 0):
            return None
        return change


def _names(source: dict[str, Any]) -> tuple[str, ...]:
    names = source.get("silent", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ProtocolError("silent is not a list of names")
    return tuple(names)
