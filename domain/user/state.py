"""A user at home: sessions, status, contacts, contacters and what was sent. Rule: only `evolve.py` changes it."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from domain.event import stream_uid
from domain.personal import Personal
from domain.remembered_ids import RememberedIds

REMEMBERED_SENDS = 4_096  # a repeated id is recognised while at most this many came after it: more than any client keeps unsent


class Contact(NamedTuple):
    """One entry of a contact list."""

    uid: int
    handle: str
    name: str
    home: str
    alias: str | None
    notify: bool


def sent_ids() -> RememberedIds:
    """The ids of messages: when each was accepted, and for whom; that is 0 where a snapshot of an early version did not say it."""
    return RememberedIds("dq")


@dataclass(slots=True)
class UserState:
    """What a user's events fold into. `since`: when the present status began; None before the first login."""

    stream: str
    version: int = 0
    handle: str = ""
    name: str = ""
    chosen: str = "online"
    note: str = ""
    until: float | None = None
    since: float | None = None
    closed: bool = False  # for good
    sessions: dict[str, str] = field(default_factory=dict)  # session id -> client
    contacts: dict[int, Contact] = field(default_factory=dict)
    contacters: dict[int, str] = field(default_factory=dict)  # uid -> home
    sent: RememberedIds = field(default_factory=sent_ids)

    def __post_init__(self) -> None:
        stream_uid(self.stream)  # nothing may be decided in a stream that no user can have, whatever another server sent

    @property
    def uid(self) -> int:
        """Whose state this is."""
        return stream_uid(self.stream)

    @property
    def status(self) -> str:
        """The presence that contacters see."""
        return self.chosen if self.sessions else "offline"

    def to_snapshot(self) -> dict[str, Any]:
        """The whole state as plain data and `Personal` values."""
        uid = self.uid
        return {
            "handle": self.handle,
            "name": Personal(uid, self.name),
            "chosen": self.chosen,
            "note": Personal(uid, self.note),
            "until": self.until,
            "closed": self.closed,
            "since": self.since,
            "sessions": dict(self.sessions),
            "contacts": [
                [c.uid, c.handle, Personal(c.uid, c.name), c.home, Personal(uid, c.alias), c.notify] for c in self.contacts.values()
            ],
            "contacters": dict(self.contacters),
            "sent": self.sent.to_snapshot(),
        }

    def from_snapshot(self, data: dict[str, Any]) -> None:
        """Take over the state that `to_snapshot` gave."""
        contacts = {c[0]: Contact(*c) for c in data.pop("contacts")}
        sent = data.pop("sent")
        for name, value in data.items():
            setattr(self, name, value)
        self.contacts = contacts
        if isinstance(sent, list):
            self.sent.from_snapshot(sent)
        else:  # of a version that kept the ids themselves; an early one did not say for whom a message was
            for id, one in sent.items():
                self.sent.add(id, *((one, 0) if isinstance(one, float) else one))
