"""The readers of the presence feed over HTTP. Rule: a subscriber holds only its position in the feed, so a slow reader costs one number.

Changes are kept once, in `projections.server.presence_feed`. Each subscriber is sent the changes after its position while its transport
accepts them. A subscriber that accepts nothing for two blanks, or falls behind the kept changes, is cut off: its client resumes by
cursor, or is told of the gap.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from projections.directory.directory import Listed
from projections.server.presence_feed import Change, Feed
from servers.global_server.views import Homes
from servers.security.integrators import PresenceGrant
from servers.sessions.blanks import BlankWheel
from servers.sessions.part_bodies import encode
from servers.sessions.parts import Outlet, Part

PORTION = 64  # changes per write: some 25 KB, well below a transport's high-water mark
HOMES = "homes"
PRESENCE = "presence"


@dataclass(slots=True, eq=False)
class Subscriber:
    """One open stream. `only`: the users whom it asked for among those granted to it; None: all of those."""

    owner: "Subscribers"
    grant: PresenceGrant
    only: Collection[int] | None
    position: int
    outlet: Outlet
    clock: Callable[[], float]
    going_on: bool = field(default=False, init=False)  # whether the next portion is sent in the next turn of the loop
    pong: bool = field(default=True, init=False)  # see `seen_at`
    slot: int = field(default=0, init=False)
    _seen_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._seen_at = self.clock()

    @property
    def id(self) -> str:
        """Streams have no id, because they are resumed by cursor."""
        return ""

    @property
    def seen_at(self) -> float:
        """When its transport last accepted data. A stream answers a blank by accepting it."""
        if self.outlet.writable:
            self._seen_at = self.clock()
        return self._seen_at

    def sees(self, change: Change, user: Listed | None) -> bool:
        """Whether this subscriber may see the change, and asked for it."""
        return (self.only is None or change.uid in self.only) and self.grant.covers(change.uid, user)

    def resume(self) -> None:
        """The transport accepts data again."""
        self.owner.send(self)


class Subscribers:
    """Every open stream of one Global Server. `user`: looks a user up in the directory; `silent`: the homes that are not heard."""

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

    def add(self, grant: PresenceGrant, only: Collection[int] | None, position: int, outlet: Outlet) -> Subscriber:
        """Begin a stream: first it tells which homes are silent, then the changes from `position` on."""
        subscriber = Subscriber(self, grant, only, position, outlet, self._monotonic)
        self._open.add(subscriber)
        self.blanks.add(subscriber)
        outlet.write((self._homes(),))
        self.send(subscriber)
        return subscriber

    def lost(self, subscriber: Subscriber) -> None:
        """A subscriber's transport is gone."""
        self._open.discard(subscriber)
        self.blanks.remove(subscriber)

    def end_all(self) -> None:
        """Close every stream in order; its client comes back with its cursor."""
        for subscriber in list(self._open):
            self.lost(subscriber)
            subscriber.outlet.close()

    def wake(self) -> None:
        """There are new changes. Everybody is sent them in the next turn of the loop, together with those that come until then."""
        if not self._waking and self._open:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._send_all)

    def homes_changed(self) -> None:
        """Tell everybody that a home came up or fell silent."""
        part = self._homes()
        for subscriber in list(self._open):
            subscriber.outlet.write((part,))  # a few bytes, and rare: a queue is not worth its code

    def send(self, subscriber: Subscriber) -> None:
        """Send the next portion after its position, if the transport accepts data. The next one follows in a later turn of the loop,
        so that a long backlog delays nobody else."""
        outlet = subscriber.outlet
        if subscriber.going_on or not outlet.writable:
            return
        changes = self._feed.after(subscriber.position, PORTION)
        if changes is None:
            outlet.abort()
            return
        subscriber.position += len(changes)
        parts = [Part(PRESENCE, c.body, cursor=self._feed.cursor_of(c)) for c in changes if subscriber.sees(c, self._user(c.uid))]
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
        return Part(HOMES, encode(Homes(self._silent(), self.blanks.interval_s)))

    def _dead(self, subscriber: Subscriber) -> None:
        subscriber.outlet.abort()
