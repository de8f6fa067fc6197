"""What was true at a moment. Rule: the same folds as for the present, over the events up to that moment, in the order of each server's log;
only a user's own home speaks for the user.
"""

import math
import sqlite3
from collections.abc import Collection

from domain.errors import UnknownUser
from domain.events.home import ContactAdded, ContacterAdded
from domain.events.integrity import ClockCorrected
from domain.user.state import Contact
from projections.audit.checkpoints import Checkpoints, Decode
from projections.audit.facts import fields_of
from projections.audit.log import Log
from projections.audit.rows import AuditFilter, Doubt, Online, Person, Shown, StateAt
from projections.audit.tables import using
from projections.audit.words import Words
from projections.server.presence import NEVER, UNKNOWN, Presence, PresenceIndex

DOUBT_S = 60.0  # a home that has restarted ends its lost sessions after its grace (10 s unless configured)


class Moments:
    """Answers questions about moments, through one connection. Every method blocks."""

    def __init__(self, database: sqlite3.Connection, decode: Decode, key: bytes, personal: bool) -> None:
        self._database = database
        self._decode = decode
        self._checkpoints = Checkpoints(database, decode, key, personal)
        self._log = Log(database)
        self._words = Words(database)

    def person(self, uid: int) -> Person:
        """The user with this uid. Raises `UnknownUser` when the history does not know it."""
        row = self._database.execute("SELECT uid, handle, home FROM people WHERE uid = ?", (uid,)).fetchone()
        if row is not None:
            return Person(*row)
        if self._database.execute("SELECT 1 FROM entries WHERE uid = ? LIMIT 1", (uid,)).fetchone() is None:
            raise UnknownUser(f"the history knows no user {uid}", uid=uid)
        return Person(uid, "", "")

    def by_handle(self, handle: str) -> Person:
        """The user with this login name, whatever its case. Raises `UnknownUser`."""
        row = self._database.execute("SELECT uid, handle, home FROM people WHERE handle = ?", (handle.lower(),)).fetchone()
        if row is None:
            raise UnknownUser(f"the history knows no user {handle!r}", handle=handle)
        return Person(*row)

    def handles(self, uids: Collection[int]) -> dict[int, str]:
        """uid -> login name, of those users that the history has named."""
        places = ", ".join("?" * len(uids))
        return dict(self._database.execute(f"SELECT uid, handle FROM people WHERE uid IN ({places})", tuple(uids)))  # noqa: S608

    def state(self, uid: int, at: float) -> StateAt:
        """Contacts, sessions, status and mailbox of a user. Raises `UnknownUser`, `Unavailable`."""
        person = self.person(uid)
        home = self._checkpoints.home(uid)
        streams = (f"user-{uid}", f"mailbox-{uid}")
        (user, first), (mailbox, second) = (self._checkpoints.state(s, self._checkpoints.version_at(s, at, home), home) for s in streams)
        waiting = self._checkpoints.events(streams[1], [each.version for each in mailbox.waiting.values()], home)
        return StateAt(person, at, user, mailbox, first and second, waiting)

    def presence(self, uid: int, at: float) -> Presence:
        """What this user's own home knew of their presence: its own fold, of the three events that still matter (the last of all, the last
        change, the last login)."""
        home = self._checkpoints.home(uid)
        of = "uid = ? AND source = coalesce(?, source)"
        last = self._database.execute(
            f"SELECT version FROM presence WHERE {of} AND time <= ? ORDER BY version DESC LIMIT 1",  # noqa: S608
            (uid, home, at),
        ).fetchone()
        if last is None:
            return NEVER
        ids: dict[int, int] = {}
        for kind in ("", " AND changed", " AND login"):
            newest = f"SELECT version, id FROM presence WHERE {of} AND version <= ?{kind} ORDER BY version DESC LIMIT 1"  # noqa: S608
            ids.update(self._database.execute(newest, (uid, home, *last)))
        index = PresenceIndex()
        for version, id in sorted(ids.items()):
            row = self._log.row(id)
            if row is not None:
                index.apply(version, self._decode(row.source, row.stream, row.version, row.topic, row.data))
        return index.of(uid)

    def online(self, at: float) -> list[Online]:
        """Everybody who was online, by uid."""
        rows = self._database.execute(
            "SELECT l.uid, coalesce(n.handle, ''), coalesce(n.home, ''), p.status, c.time FROM"
            " (SELECT uid, source, max(version) AS last, max(CASE WHEN changed THEN version END) AS change"
            "  FROM presence WHERE time <= ? GROUP BY uid, source) l"
            " JOIN presence p ON p.uid = l.uid AND p.source = l.source AND p.version = l.last"
            " LEFT JOIN presence c ON c.uid = l.uid AND c.source = l.source AND c.version = l.change"
            " LEFT JOIN people n ON n.uid = l.uid"
            " WHERE p.status <> 'offline' AND l.source = coalesce(n.source, l.source) ORDER BY l.uid",
            (at,),
        )
        return [Online(Person(uid, handle, home), status, since) for uid, handle, home, status, since in rows]

    def window(self, uid: int, at: float) -> list[Shown]:
        """The contact window of a user, in the order of the contact list. Raises `UnknownUser`, `Unavailable`.

        For a contact of the same home, the window shows what the home knew. For a contact of another home it shows what that home had
        told; that is `unknown` until that home had heard of its new contacter (`ContacterAdded`, with the same cause as `ContactAdded`).
        """
        state = self.state(uid, at)
        causes = self._contacts_added(uid, at)
        doubts: dict[str, bool] = {}
        shown: list[Shown] = []
        for contact in state.user.contacts.values():
            own = contact.home == state.person.home
            known = own or self._was_told(contact, causes.get(contact.uid, ""), at)
            presence = self.presence(contact.uid, at) if known else UNKNOWN
            if not own and contact.home not in doubts:
                doubts[contact.home] = self._may_be_down(contact.home, at)
            doubtful = known and doubts.get(contact.home, False)
            listed = contact._asdict() | {"name": presence.name or contact.name}
            shown.append(Shown(**listed, status=presence.status, since=presence.since, note=presence.note, doubtful=doubtful))
        return shown

    def doubts(self) -> list[Doubt]:
        """Where the times of a server's log run backwards, and where ops accepted that they did."""
        rows = self._database.execute(
            "SELECT source, min(position), max(position), count(*), 0 FROM entries WHERE told IS NOT NULL GROUP BY source"
            " UNION ALL SELECT source, position, position, 1, 1 FROM entries WHERE topic = ?",
            (self._words.known(ClockCorrected.TOPIC),),
        )
        found = [Doubt(self._words.word(source), first, last, events, bool(accepted)) for source, first, last, events, accepted in rows]
        return sorted(found)

    def _contacts_added(self, uid: int, at: float) -> dict[int, str]:
        """Contact -> the cause of its latest `ContactAdded`."""
        page = (
            "SELECT e.cause, e.data FROM entries e {} WHERE e.uid = ? AND e.time <= ? AND e.topic = ? AND e.source = coalesce(?, e.source)"
            " ORDER BY e.time, e.id"
        )
        topic = self._words.known(ContactAdded.TOPIC)
        home = self._checkpoints.home(uid)
        rows = self._database.execute(page.format(using("entries_by_user")), (uid, at, topic, home))
        return {fields_of(data).get("uid", 0): cause for cause, data in rows}

    def _was_told(self, contact: Contact, cause: str, at: float) -> bool:
        topic = self._words.known(ContacterAdded.TOPIC)
        told = "SELECT 1 FROM entries WHERE cause = ? AND time <= ? AND stream = ? AND topic = ? AND source = coalesce(?, source)"
        home = self._checkpoints.home(contact.uid)
        return self._database.execute(told, (cause, at, f"user-{contact.uid}", topic, home)).fetchone() is not None

    def _may_be_down(self, home: str, at: float) -> bool:
        """Whether the first thing that this home did after `at` was to restart. The history holds no heartbeats, so a home that was
        down and lost no session leaves no trace."""
        restart = self._database.execute(
            "SELECT p.time FROM presence p JOIN entries e ON e.id = p.id WHERE p.restart AND p.time > ? AND e.source = ?"
            " ORDER BY p.time LIMIT 1",
            (at, self._words.known(home)),
        ).fetchone()
        if restart is None:
            return False
        first = self._log.page(AuditFilter(source=home, since=math.nextafter(at, math.inf)), None, 1, "oldest").rows
        return bool(first) and restart[0] - first[0].time <= DOUBT_S
