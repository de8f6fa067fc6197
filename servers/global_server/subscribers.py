"""Those who read the presence feed over HTTP. Rule: a subscriber owns its place in the feed and nothing else, so a slow one costs a number.

Changes are kept once, in `projections.feed`; each subscriber is sent what comes after its place for as long as its transport accepts.
One that accepts nothing for two blanks, or falls behind what is kept, is cut: it resumes by its cursor, or is told of the gap.
"""

import asyncio
from collections.abc import Callable, Collection

from projections.directory.directory import Listed
from projections.server.presence_feed import Change, Feed
from servers.security.integrators import PresenceGrant
from servers.sessions.blanks import BlankWheel
from servers.sessions.part_bodies import encode
from servers.sessions.parts import Outlet, Part

PORTION = 64  # changes per write: some 25 KB, well below a transport's high-water mark
HOMES = "homes"
PRESENCE = "presence"


class Subscriber:
    """One open stream. `only`: of those it was granted, None for all of them."""

    __slots__ = ("_clock", "_seen_at", "going_on", "grant", "only", "outlet", "owner", "place", "pong", "slot")

    def __init__(
        self,
        owner: "Subscribers",
        grant: PresenceGrant,
        only: Collection[int] | None,
        place: int,
        outlet: Outlet,
        clock: Callable[[], float],
    ) -> None:
        self.owner = owner
        self.grant = grant
        self.only = only
        self.place = place
        self.outlet = outlet
        self.going_on = False  # whether the next portion is sent in the next turn of the loop
        self.pong = True  # see `seen_at`
        self.slot = 0
        self._clock = clock
        self._seen_at = clock()

    @property
    def id(self) -> str:
        """Streams have no name: they are resumed by cursor."""
        return ""

    @property
    def seen_at(self) -> float:
        """When its transport was last known to accept something: it answers blanks by taking them."""
        if self.outlet.writable:
            self._seen_at = self._clock()
        return self._seen_at

    def sees(self, change: Change, user: Listed | None) -> bool:
        """Whether the change is for it."""
        return (self.only is None or change.uid in self.only) and self.grant.covers(change.uid, user)

    def resume(self) -> None:
        """The transport accepts again."""
        self.owner.send(self)


class Subscribers:
    """Every open stream of one Global Server. `user`: as the directory lists them; `silent`: the homes that are not heard of."""

    def __init__(
        self,
        feed: Feed,
        user: Callable[[int], Listed | None],
        silent: Callable[[], list[str]],
        blank_s: float,
        monotonic: Callable[[], float],
    ) -> None:
        self.blanks: BlankWheel[Subscriber] = BlankWheel(blank_s, monotonic, self._dead)
        self._feed = feed
        self._user = user
        self._silent = silent
        self._monotonic = monotonic
        self._open: set[Subscriber] = set()
        self._waking = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, grant: PresenceGrant, only: Collection[int] | None, place: int, outlet: Outlet) -> Subscriber:
        """Begin to send what comes from `place` on; first, which homes are silent."""
        subscriber = Subscriber(self, grant, only, place, outlet, self._monotonic)
        self._open.add(subscriber)
        self.blanks.add(subscriber)
        outlet.write((self._homes(),))
        self.send(subscriber)
        return subscriber

    def lost(self, subscriber: Subscriber) -> None:
        """Its transport is gone."""
        self._open.discard(subscriber)
        self.blanks.remove(subscriber)

    def end_all(self) -> None:
        """Close every stream properly; they come back by cursor."""
        for subscriber in list(self._open):
            self.lost(subscriber)
            subscriber.outlet.close()

    def wake(self) -> None:
        """Something changed: everybody is sent it in the next turn of the loop, together with what else comes until then."""
        if not self._waking and self._open:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._send_all)

    def homes_changed(self) -> None:
        """A home came up or fell silent: tell everybody."""
        part = self._homes()
        for subscriber in list(self._open):
            subscriber.outlet.write((part,))  # a few bytes and rare: not worth a queue

    def send(self, subscriber: Subscriber) -> None:
        """Send the next portion after its place, if the transport accepts; the portion after that in a later turn of the event loop, so
        that a long backlog delays nobody else."""
        outlet = subscriber.outlet
        if subscriber.going_on or not outlet.writable:
            return
        changes = self._feed.after(subscriber.place, PORTION)
        if changes is None:
            outlet.abort()
            return
        subscriber.place += len(changes)
        parts = [Part(PRESENCE, c.body, cursor=c.cursor) for c in changes if subscriber.sees(c, self._user(c.uid))]
        if parts:
            outlet.write(parts)
        if len(changes) == PORTION:
            subscriber.going_on = True
            asyncio.get_running_loop().call_soon(self._go_on, subscriber)

    def _go_on(self, subscriber: Subscriber) -> None:
        subscriber.going_on = False
        if subscriber in self._open:
            self.send(subscriber)

    def _send_all(self) -> None:
        self._waking = False
        for subscriber in list(self._open):
            self.send(subscriber)

    def _homes(self) -> Part:
        return Part(HOMES, encode({"silent": self._silent(), "blank_s": self.blanks.interval_s}))

    def _dead(self, subscriber: Subscriber) -> None:
        subscriber.outlet.abort()
