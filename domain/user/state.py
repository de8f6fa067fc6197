"""A user at home, as the events tell: sessions, status, contacts, contacters, what was sent. Rule: only `domain.user_fold` changes it."""

from typing import Any, NamedTuple

from domain.event import stream_uid
from domain.personal import Personal

REMEMBERED_SENDS = 4_096  # a resent id is recognised among this many later ones: more than any client keeps unsent


class Contact(NamedTuple):
    """One entry of a contact list."""

    uid: int
    handle: str
    name: str
    home: str
    alias: str | None
    notify: bool


class UserState:
    """What a user's events fold into. `since`: when the present status began; None before the first login."""

    __slots__ = (
        "chosen",
        "closed",
        "contacters",
        "contacts",
        "handle",
        "name",
        "note",
        "sent",
        "sessions",
        "since",
        "stream",
        "uid",
        "until",
        "version",
    )

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.version = 0
        self.uid = stream_uid(stream)
        self.handle = ""
        self.name = ""
        self.chosen = "online"
        self.note = ""
        self.until: float | None = None
        self.since: float | None = None
        self.closed = False  # for good
        self.sessions: dict[str, str] = {}  # session id -> client
        self.contacts: dict[int, Contact] = {}
        self.contacters: dict[int, str] = {}  # uid -> home
        self.sent: dict[str, float] = {}  # message id -> accepted at, oldest first

    @property
    def status(self) -> str:
        """The presence that contacters see."""
        return self.chosen if self.sessions else "offline"

    def dump(self) -> dict[str, Any]:
        """Plain data for a snapshot, and `Personal`."""
        return {
            "handle": self.handle,
            "name": Personal(self.uid, self.name),
            "chosen": self.chosen,
            "note": Personal(self.uid, self.note),
            "until": self.until,
            "closed": self.closed,
            "since": self.since,
            "sessions": dict(self.sessions),
            "contacts": [
                [c.uid, c.handle, Personal(c.uid, c.name), c.home, Personal(self.uid, c.alias), c.notify] for c in self.contacts.values()
            ],
            "contacters": dict(self.contacters),
            "sent": dict(self.sent),
        }

    def load(self, data: dict[str, Any]) -> None:
        """The reverse of `dump`."""
        contacts = {c[0]: Contact(*c) for c in data.pop("contacts")}
        for name, value in data.items():
            setattr(self, name, value)
        self.contacts = contacts
