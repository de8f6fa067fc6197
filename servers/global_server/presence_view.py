"""Presence for integrators: a snapshot, and the feed from the snapshot on. Rule: an integrator sees only the users granted to it.

A snapshot's cursor names the position in the feed at which it was taken, so the changes after it are exactly those that it lacks.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from broker.port import Broker
from domain.errors import Gap, NotAnIntegrator, NotGranted, Unavailable
from projections.directory.directory import Directory, Listed
from projections.server.presence_feed import Standing
from runtime.scheduler import Jobs, Steps
from servers.encryption.key_store import KeyStore
from servers.global_server.feed_reader import FeedReader
from servers.global_server.subscribers import Subscriber, Subscribers
from servers.global_server.views import PresencePage, UserPresence
from servers.security.identity import INTEGRATOR, Identity
from servers.security.integrators import PresenceGrant
from servers.sessions.parts import Outlet

SCAN = 20_000  # users examined for one page of a narrow grant, which takes some 10 ms in all; the next page goes on from there
EXAMINED = 500  # of them in one step: some 0.25 ms
VIEWS = 200  # users shown in one step: some 0.4 ms


class PresenceView:
    """The feed's view of everybody, and its subscribers."""

    def __init__(
        self,
        broker: Broker,
        file: Path,
        directory: Directory,
        grants: Mapping[str, PresenceGrant],
        alive: Callable[[], set[str]],
        catch_up: Callable[[], Any],
        blank_s: float,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        kept_changes: int,
        keys: KeyStore,
        key: bytes,
        scheduler: Jobs,
    ) -> None:
        """`file`: of the checkpoint, which `keys` prove; `key`: the Global Server's; `grants`: by handle; `alive`: the homes that are
        heard; `catch_up`: brings the directory up to date; `clock`, `monotonic`: seconds since 1970, and since some moment."""
        self._scheduler = scheduler
        self._directory = directory
        self._grants = grants
        self._alive = alive
        self._catch_up = catch_up
        self.reader = FeedReader(broker, file, clock, self._person, self._news, kept_changes, keys, key)
        self.feed = self.reader.feed
        self.subscribers = Subscribers(self.feed, directory.users.get, self._silent, blank_s, monotonic)

    async def start(self) -> None:
        """Begin to read the feed."""
        await self.reader.start()
        self.subscribers.blanks.start()

    async def stop(self) -> None:
        """End every stream, and write a checkpoint of the view."""
        self.subscribers.end_all()
        await self.subscribers.blanks.stop()
        await self.reader.stop()

    async def snapshot(self, who: Identity, uids: Collection[int] | None, limit: int, after: int) -> PresencePage:
        """The presence of `uids`, or one page of all granted users, beginning after the uid `after`. Raises `NotAnIntegrator`,
        `NotGranted`, `Unavailable`."""
        grant = self._granted(who, uids)
        return await self._scheduler.run(who.uid, "presence", self._snapshot(grant, uids, limit, after))

    def _snapshot(self, grant: PresenceGrant, uids: Collection[int] | None, limit: int, after: int) -> Steps[PresencePage]:
        """In steps. What the feed says of the page is taken in one of them, with the cursor, so that nothing comes in between."""
        if uids is not None:
            page, following = [user for uid in sorted(uids) if (user := self._directory.users.get(uid)) is not None], None
        else:
            page, following = yield from self._page(grant, limit, after)
        told, whole = [(user, self.feed.users.get(user.uid)) for user in page], self.feed.whole
        silent, cursor = self._silent(), self.feed.cursor
        users: list[UserPresence] = []
        for start in range(0, len(told), VIEWS):
            yield None
            users += [_view(user, said, whole) for user, said in told[start : start + VIEWS]]
        return PresencePage(users, silent, cursor, None if following is None else f"{following:x}")

    def subscribe(self, who: Identity, uids: Collection[int] | None, after: str | None, outlet: Outlet) -> Subscriber:
        """Send the changes after the cursor `after` (None: those to come) through `outlet`. Raises what `snapshot` raises, and `Gap`."""
        grant = self._granted(who, uids)
        position = self.feed.end if after is None else self.feed.position_of(after)
        if position is None:
            raise Gap
        return self.subscribers.add(grant, None if uids is None else frozenset(uids), position, outlet)

    def homes_changed(self) -> None:
        """A home came up or fell silent."""
        self.subscribers.homes_changed()

    def _granted(self, who: Identity, uids: Collection[int] | None) -> PresenceGrant:
        grant = self._grants.get(who.handle)
        if grant is None or INTEGRATOR not in who.roles:
            raise NotAnIntegrator
        if not self.reader.caught_up.is_set():
            raise Unavailable("The presence feed is still being read; try again.")
        # Users who are not granted and users who do not exist get the same answer, so that it tells nothing about either.
        users = self._directory.users
        refused = [uid for uid in sorted(uids or ()) if uid not in users or not grant.covers(uid, users[uid])]
        if refused:
            raise NotGranted(uids=refused)
        return grant

    def _page(self, grant: PresenceGrant, limit: int, after: int) -> Steps[tuple[list[Listed], int | None]]:
        last = self._directory.last_uid
        narrow = sorted(uid for uid in grant.uids if uid > after)
        candidates: Iterable[int] = narrow or (() if grant.uids else range(after + 1, min(after + SCAN, last) + 1))
        page: list[Listed] = []
        for number, uid in enumerate(candidates):
            if number % EXAMINED == EXAMINED - 1:
                yield None
            user = self._directory.users.get(uid)
            if user is not None and grant.covers(uid, user):
                page.append(user)
                if len(page) == limit:
                    return page, uid if uid < (narrow[-1] if narrow else last) else None
        return page, None if grant.uids or after + SCAN >= last else after + SCAN

    def _silent(self) -> list[str]:
        alive = self._alive()
        return sorted(home.name for home in self._directory.homes.values() if home.name not in alive)

    async def _person(self, uid: int) -> tuple[str, str] | None:
        """Handle and home of a user whom the feed names. Another Global Server may have registered that user just now."""
        if uid not in self._directory.users:
            await self._catch_up()
        user = self._directory.users.get(uid)
        return None if user is None else (user.handle, user.home)

    def _news(self) -> None:
        self.subscribers.wake()


def _view(user: Listed, told: Standing | None, whole: bool) -> UserPresence:
    """`told`: what the feed says of the user; None when it has never named them, though it may not be whole."""
    if told is None:
        status, since, id = "offline" if whole else "unknown", None, None
    else:
        status, since, id = told.status, told.since, f"{user.home}/user-{user.uid}/{told.version}"
    return UserPresence(user.uid, user.handle, user.home, status, since, id)
