"""Who is online: local users folded from this home's log, watched users of other homes from the reports of their homes.

Rule: per user the higher stream version wins, so repeats and reports out of order change nothing; in another life of a home's log versions
count anew.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from domain.events.home import ContacterAdded, LoggedIn, LoggedOff, PresenceEvent, StatusChanged, UserClosed
from domain.personal import Personal
from projections.server.log_fold import LogFold

REASONS = {"restart": "lost", "closed": "logoff"}  # why a session ended -> what a contacter is told


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


NEVER = Presence(0, "offline", None, "", "")  # of a user who was never online
UNKNOWN = Presence(0, "unknown", None, "", "")  # of a user whose home has not told anything, or is out of reach


class PresenceIndex(LogFold):
    """uid -> presence, with the sessions of local users (a home that restarts has lost them, and ends them) and statuses that will lapse.

    `users` is a pure fold of this home's log. `reported` is what other homes said; this home asks for it again after a restart.
    `apply` returns the `Change` that contacters are told, or None when nothing changed for them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[int, Presence] = {}
        self.reported: dict[int, Presence] = {}
        self.sessions: dict[int, tuple[str, ...]] = {}
        self.lapses: dict[int, float] = {}

    def of(self, uid: int) -> Presence:
        """A user's presence; `NEVER` for a user of whom nothing was told."""
        return self.users.get(uid) or self.reported.get(uid, NEVER)

    def hear(self, event: PresenceEvent) -> Change | None:
        """Take in another home's event about its own user. Returns the change that contacters are told, or None."""
        return _note(self.reported, event.stream_uid, event)

    def learn(self, uid: int, told: Presence) -> Change | None:
        """Take in what another home says in a snapshot of its user. Returns the change that contacters are told, or None."""
        known = self.reported.get(uid)
        if known is not None and (told.version < known.version or told == known):
            return None
        self.reported[uid] = told
        return Change(uid, told.status, told.since, told.note, "snapshot")

    def count_anew(self, uids: Iterable[int]) -> None:
        """The log of these users' home is in another life. How they stood stays, until the home says how they stand."""
        self.reported |= {uid: self.reported[uid]._replace(version=0) for uid in uids if uid in self.reported}

    def forget(self, uid: int) -> None:
        """Nobody here watches this user of another home any more."""
        self.reported.pop(uid, None)

    def to_checkpoint(self) -> dict[str, Any]:
        """The whole index as plain data and `Personal` values."""
        return self.checkpoint(
            users={uid: (*p[:3], Personal(uid, p.note), Personal(uid, p.name)) for uid, p in self.users.items()},
            sessions=dict(self.sessions),
            lapses=dict(self.lapses),
        )

    def take(self, data: Mapping[str, Any]) -> None:
        """Take over the contents of a checkpoint."""
        # Interned: one string object for all users with one status.
        users = {uid: Presence(p[0], sys.intern(p[1]), *p[2:]) for uid, p in data["users"].items()}
        sessions = {uid: tuple(s) for uid, s in data["sessions"].items()}
        self.users, self.sessions, self.lapses = users, sessions, dict(data["lapses"])

    def _logged_in(self, event: LoggedIn) -> Change | None:
        uid = event.stream_uid
        self.sessions[uid] = (*self.sessions.get(uid, ()), event.session)
        if self.lapses.get(uid, event.at + 1) <= event.at:  # the chosen status has lapsed, and the session begins as online
            del self.lapses[uid]
        return _note(self.users, uid, event)

    def _logged_off(self, event: LoggedOff) -> Change | None:
        uid = event.stream_uid
        left = tuple(s for s in self.sessions.get(uid, ()) if s != event.session)
        if left:
            self.sessions[uid] = left
        else:
            self.sessions.pop(uid, None)
        return _note(self.users, uid, event)

    def _status_changed(self, event: StatusChanged) -> Change | None:
        uid = event.stream_uid
        if event.until is None:
            self.lapses.pop(uid, None)
        else:
            self.lapses[uid] = event.until
        return _note(self.users, uid, event)

    def _closed(self, event: UserClosed) -> None:
        """Keep no name and no note of a user who left for good."""
        uid = event.stream_uid
        self.lapses.pop(uid, None)
        for users in (self.users, self.reported):
            if uid in users:
                users[uid] = users[uid]._replace(note="", name="")

    FOLDS: ClassVar = {
        LoggedIn: _logged_in,
        LoggedOff: _logged_off,
        StatusChanged: _status_changed,
        UserClosed: _closed,
    }


def _note(users: dict[int, Presence], uid: int, event: PresenceEvent) -> Change | None:
    known = users.get(uid, NEVER)
    if event.originator_version <= known.version:
        return None
    since = event.at if event.status != event.previous else known.since
    name = event.name if isinstance(event, LoggedIn) else known.name
    note = event.note if event.status != "offline" else ""  # a note that was set while offline is shown from the next login on
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
