"""Tells sessions what a commit or another home's event means for them. Rule: one write per session and commit, however much happened.

A change of presence costs two dict look-ups, a shared encoding and a share of one write for each watcher.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from domain.event import Event
from domain.events.home import (
    ContacterAdded,
    ContactRemoved,
    MessageDone,
    MessageQueued,
    PresenceEvent,
    ReceiptQueued,
    StatusChanged,
    UserAdopted,
)
from domain.events.throttles import ThrottleBegan, ThrottleEnded
from projections.by_server import HomeProjections
from projections.server.contacters import ContacterIndex
from projections.server.presence import NEVER, UNKNOWN, Change, Presence, PresenceIndex, told_to_contacter
from projections.server.waiting_mail import WaitingIndex
from servers.messaging.heartbeats import PeerMonitor
from servers.sessions.part_bodies import Told, change_view, done_part, status_part
from servers.sessions.parts import Part
from servers.sessions.session import Session
from servers.sessions.sessions import Sessions
from servers.store.event_store import Committed


class SessionNotifier:
    """Folds commits into the projections, then tells the sessions concerned."""

    def __init__(
        self, home: str, sessions: Sessions, projections: HomeProjections, peers: PeerMonitor, left: Callable[[int], None]
    ) -> None:
        """`left(uid)` is called when a user has left for good, after everything is folded."""
        self._home = home
        self._sessions = sessions
        self._presence = projections.presence
        self._contacters = projections.contacters
        self._waiting = projections.waiting
        self._closed = projections.closed
        self._throttles = projections.throttles
        self._rare = {UserAdopted: projections.handles, ThrottleBegan: self._throttles, ThrottleEnded: self._throttles}
        self._handles = projections.handles
        self._peers = peers
        self._left = left
        self._told: dict[int, Presence] = {}  # how the watched users of other homes stand, as sessions were told last; else unknown

    def committed(self, batch: Sequence[Committed]) -> None:
        """This home's own events."""
        changes: list[Change] = []
        fresh: dict[Session, list[Committed]] = {}
        done: list[tuple[Session, Part]] = []
        chosen: list[StatusChanged] = []
        left: list[int] = []
        for committed in batch:
            position, event, _ = committed
            kind = type(event)
            fold = WaitingIndex.FOLDS.get(kind)
            if fold is not None and position > self._waiting.position:  # as `apply` does; without it a popup is cheaper by two calls
                fold(self._waiting, event)
            if kind is MessageQueued or kind is ReceiptQueued:
                for session in self._sessions.of(event.stream_uid):
                    fresh.setdefault(session, []).append(committed)
            elif kind in PresenceIndex.FOLDS:
                change = self._presence.apply(position, event)
                if change is not None:
                    changes.append(change)
                if kind is StatusChanged:
                    chosen.append(event)  # type: ignore[arg-type]
            elif kind in ContacterIndex.FOLDS:
                self._contacters.apply(position, event)
                if isinstance(event, ContactRemoved) and event.uid not in self._contacters.watchers:
                    self._forget(event.uid)
            elif isinstance(event, MessageDone):
                part = done_part(event.id)
                done.extend((session, part) for session in self._sessions.of(event.stream_uid))
            elif kind in self._rare:
                self._rare[kind].apply(position, event)
            if event.ERASES:
                self._closed.apply(position, event)
                self._throttles.apply(position, event)
                left.append(event.stream_uid)
        newest = batch[-1].position
        self._presence.position = self._contacters.position = self._waiting.position = self._closed.position = newest
        self._handles.position = self._throttles.position = newest
        for session, mail in fresh.items():  # everything is folded before anybody is told
            session.enqueue(mail)
        for session, part in done:
            session.tell_in_order(part)
        for choice in chosen:
            part = status_part(choice.chosen, choice.note, choice.until)
            for session in self._sessions.of(choice.stream_uid):
                session.tell(part)
        if changes:
            self.tell(changes)
        for uid in left:
            self._left(uid)

    HEARS: ClassVar = (PresenceEvent, ContacterAdded)

    def heard(self, event: Event, source: str) -> None:
        """Another home's event about its own user, or for one of ours."""
        change, uid = None, event.stream_uid
        if self._contacters.home_of.get(uid) != source:
            return
        if isinstance(event, PresenceEvent):
            change = self._presence.hear(event)
        elif isinstance(event, ContacterAdded):
            change = self._presence.learn(uid, told_to_contacter(event))
        if change is not None and self._peers.is_up(source):
            self._told[uid] = self._presence.reported[uid]
            self.tell((change,))

    def _forget(self, uid: int) -> None:
        self._presence.forget(uid)
        self._told.pop(uid, None)

    def home_down(self, home: str) -> None:
        """Nothing is known any more of that home's users."""
        uids = self._contacters.watched_at(home)
        for uid in uids:  # what that home said will be out of date when it comes back, and must not be shown before it has said more
            self._forget(uid)
        self.tell([Change(uid, "unknown", None, "", "home_down") for uid in uids])

    def home_up(self, home: str, told: Iterable[tuple[int, Presence]]) -> None:
        """That home is back and has said how things stand. Sessions are told what differs from what they were told last: what came while
        the home was not heard is known already, and nobody was told of it."""
        for uid, presence in told:
            if self._contacters.home_of.get(uid) == home:
                self._presence.learn(uid, presence)
        changed: list[Change] = []
        for uid in self._contacters.watched_at(home):
            now = self.shown(uid, home)
            if now[1:4] != self._told.get(uid, UNKNOWN)[1:4]:
                self._told[uid] = now
                changed.append(Change(uid, now.status, now.since, now.note, "home_up"))
        self.tell(changed)

    def count_anew(self, home: str) -> None:
        """That home's log is in another life, in which versions may come again; what it says next counts."""
        self._presence.count_anew(self._contacters.watched_at(home))

    def shown(self, uid: int, home: str) -> Presence:
        """What a contacter is shown of a user: `unknown` when nothing is known."""
        if home == self._home:
            return self._presence.users.get(uid, NEVER)
        if not self._peers.is_up(home):
            return UNKNOWN
        return self._presence.reported.get(uid, UNKNOWN)

    def tell(self, changes: Sequence[Change]) -> None:
        """Tell every live session that watches one of the users; one part per session."""
        told: dict[Session, list[Told]] = {}
        for change in changes:
            views: list[Told | None] = [None, None]
            for watcher, notify in self._contacters.watchers.get(change.uid, {}).items():
                for session in self._sessions.of(watcher):
                    if session.welcome is not None and session.welcome.holds(change.uid):
                        continue
                    view = views[notify]
                    if view is None:
                        view = views[notify] = Told(change.uid, change_view(change, notify))
                    told.setdefault(session, []).append(view)
        for session, entries in told.items():
            session.tell_presence(entries)
