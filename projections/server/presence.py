"""Who is online: local users folded from this home's log, watched users of other homes from what their homes report.

Rule: per user the higher stream version wins, so repeats and reports out of order change nothing.
"""

import sys
from typing import Any, ClassVar, NamedTuple

from domain.event import Event
from domain.events.home import ContacterAdded, LoggedIn, LoggedOff, PresenceEvent, StatusChanged, UserClosed
from domain.personal import Personal

FORMAT = 1  # of the dump; another one is thrown away and folded anew
REASONS = {"restart": "lost", "closed": "logoff"}  # what a home's own words for the end of a session mean to a contacter


class Presence(NamedTuple):
    """One user's presence. `version`: of the user's stream when it was so; `since`: seconds since 1970, None: never seen online."""

    version: int
    status: str
    since: float | None
    note: str
    name: str


class Change(NamedTuple):
    """What contacters are told. `reason`: `login logoff lost timeout status home_down home_up snapshot`."""

    uid: int
    status: str
    since: float | None
    note: str
    reason: str


NEVER = Presence(0, "offline", None, "", "")


class PresenceIndex:
    """uid -> presence, with the sessions of local users (for a home that comes back without them) and statuses that will lapse.

    `users` is a pure fold of this home's log. `reported` is what other homes said; it is asked for again after a restart.
    """

    FOLDS: ClassVar[frozenset[type]] = frozenset((LoggedIn, LoggedOff, StatusChanged, UserClosed))  # the events that matter here

    def __init__(self) -> None:
        self.position = 0
        self.users: dict[int, Presence] = {}
        self.reported: dict[int, Presence] = {}
        self.sessions: dict[int, tuple[str, ...]] = {}
        self.lapses: dict[int, float] = {}

    def of(self, uid: int) -> Presence:
        """A user's presence; `NEVER` for one nobody told of."""
        return self.users.get(uid) or self.reported.get(uid, NEVER)

    def apply(self, position: int, event: Event) -> Change | None:
        """Fold one event of this home's own log; the change to tell, or None when it is not news."""
        if position <= self.position:
            return None
        self.position = position
        if isinstance(event, UserClosed):
            self._forget_words(event.stream_uid)
        if not isinstance(event, PresenceEvent):
            return None
        uid = event.stream_uid
        if isinstance(event, LoggedIn):
            self.sessions[uid] = (*self.sessions.get(uid, ()), event.session)
            if self.lapses.get(uid, event.at + 1) <= event.at:  # it had lapsed, and the session begins as online
                del self.lapses[uid]
        elif isinstance(event, LoggedOff):
            left = tuple(s for s in self.sessions.get(uid, ()) if s != event.session)
            if left:
                self.sessions[uid] = left
            else:
                self.sessions.pop(uid, None)
        elif isinstance(event, StatusChanged):
            if event.until is None:
                self.lapses.pop(uid, None)
            else:
                self.lapses[uid] = event.until
        return _note(self.users, uid, event)

    def hear(self, event: PresenceEvent) -> Change | None:
        """Take in another home's event about its own user; the change to tell, or None when it is not news."""
        return _note(self.reported, event.stream_uid, event)

    def learn(self, uid: int, told: Presence) -> Change | None:
        """Take in what another home says of its user, as in a snapshot; the change to tell, or None when it is not news."""
        known = self.reported.get(uid)
        if known is not None and (told.version < known.version or told == known):
            return None
        self.reported[uid] = told
        return Change(uid, told.status, told.since, told.note, "snapshot")

    def forget(self, uid: int) -> None:
        """Nobody here watches this user of another home any more."""
        self.reported.pop(uid, None)

    def _forget_words(self, uid: int) -> None:
        """Keep no name and no note of one who left for good."""
        self.lapses.pop(uid, None)
        for users in (self.users, self.reported):
            if uid in users:
                users[uid] = users[uid]._replace(note="", name="")

    def dump(self) -> dict[str, Any]:
        """Plain data of the whole index, and `Personal`."""
        return {
            "format": FORMAT,
            "position": self.position,
            "users": {uid: (*p[:3], Personal(uid, p.note), Personal(uid, p.name)) for uid, p in self.users.items()},
            "sessions": dict(self.sessions),
            "lapses": dict(self.lapses),
        }

    def load(self, data: dict[str, Any]) -> bool:
        """The reverse of `dump`. False, and nothing changed, for data of another format."""
        if data.get("format") != FORMAT:
            return False
        users = {uid: Presence(p[0], sys.intern(p[1]), *p[2:]) for uid, p in data["users"].items()}  # one text for all who are offline
        sessions = {uid: tuple(s) for uid, s in data["sessions"].items()}
        self.position, self.users, self.sessions, self.lapses = data["position"], users, sessions, dict(data["lapses"])
        return True


def _note(users: dict[int, Presence], uid: int, event: PresenceEvent) -> Change | None:
    known = users.get(uid, NEVER)
    if event.originator_version <= known.version:
        return None
    since = event.at if event.status != event.previous else known.since
    name = event.name if isinstance(event, LoggedIn) else known.name
    note = event.note if event.status != "offline" else ""  # what is noted while offline is shown at the next login
    users[uid] = Presence(event.originator_version, event.status, since, note, name)
    if event.status == event.previous and not isinstance(event, StatusChanged):
        return None
    return Change(uid, event.status, since, note, reason(event))


def told_to_contacter(event: ContacterAdded) -> Presence:
    """The presence that a new contacter's home is given."""
    return Presence(event.originator_version, event.status, event.since, event.note, event.name)


def reason(event: PresenceEvent) -> str:
    """Why a contacter is told, in the words of the `presence` part."""
    if isinstance(event, LoggedIn):
        return "login"
    if isinstance(event, LoggedOff):
        return REASONS.get(event.reason, event.reason)
    return "status"
