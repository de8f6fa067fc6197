"""A history that a test writes by hand, and the audit store that is fed with it. Rule: events are told in the order of the calls."""

from pathlib import Path
from typing import Any

import msgpack

from broker.envelope import EventRecord
from domain.event import Event, in_stream, stored_fields
from domain.events.global_server import UserRegistered
from domain.events.home import ContactAdded, LoggedIn, LoggedOff, MessageQueued, UserAdopted
from domain.registry.registered_home import GLOBAL
from projections.audit.checkpoints import Decode
from projections.audit.feeding import Feeder, Message
from projections.audit.reader import Reader
from servers.audit.decoder import HistoryDecoder
from tests.projections.histories import KEY

T0 = 1_700_000_000.0
ANN, BOB = 1, 2


class World:
    """Two homes and the Global Server, whose logs a test writes by hand: Ann lives at h1 and Bob, her contact, at h2. At `T0` + 100 both
    are online."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._feeder = Feeder(path, HistoryDecoder().decode, clock=lambda: T0, checkpoint_every=2, key=KEY)
        self._offset = 0
        self._versions: dict[tuple[str, str], int] = {}
        self._positions: dict[str, int] = {}
        for uid, handle, home in ((ANN, "ann", "h1"), (BOB, "bob", "h2")):
            self.tells(GLOBAL, f"account-{uid}", registered(uid, handle, home))
            self.tells(home, f"user-{uid}", UserAdopted(at=T0 + 1, cause="r", handle=handle, name=""), logged_in(handle, T0 + 100))
        self.tells("h1", f"user-{ANN}", added(BOB, "bob", "h1", T0 + 110))
        self.reader = Reader(path, HistoryDecoder().decode, key=KEY)

    def loses(self, source: str, stream: str) -> None:
        """An event that its server stored and that never came into the history."""
        self._positions[source] = self._positions.get(source, 0) + 1
        self._versions[source, stream] = self._versions.get((source, stream), 0) + 1

    @property
    def entries(self) -> int:
        """How many events the store has, as it says itself."""
        return self._feeder.reached().entries

    def read_with(self, decode: Decode, *, personal: bool = False) -> Reader:
        """Another reader of the same store. The caller closes it."""
        return Reader(self.path, decode, key=KEY, personal=personal)

    def tells(self, source: str, stream: str, *events: Event, time: float | None = None) -> int:
        """One message of the history, with another `time` outside the stored bytes if one is given. Returns the position of its first."""
        first, version = self._positions.get(source, 0) + 1, self._versions.get((source, stream), 0)
        records = [
            EventRecord(first + number, stream, each.originator_version, each.TOPIC, time or each.at, msgpack.packb(stored_fields(each)))
            for number, each in enumerate(in_stream(events, stream, version))
        ]
        self._positions[source] = first + len(events) - 1
        self._versions[source, stream] = version + len(events)
        self._feeder.feed([Message(self._offset, source, records, b"")])
        self._offset += 1
        return first

    def at(self, moment: float) -> dict[str, Any]:
        """What the audit says of a moment."""
        moments = self.reader.moments
        return {
            "online": [online.person.handle for online in moments.online(moment)],
            "sessions": {uid: sorted(moments.state(uid, moment).user.sessions) for uid in (ANN, BOB)},
            "window": [(shown.handle, shown.status) for shown in moments.window(ANN, moment)],
            "bob": moments.presence(BOB, moment).status,
        }


def registered(uid: int, handle: str, home: str) -> UserRegistered:
    return UserRegistered(at=T0, cause="r", uid=uid, handle=handle, home=home, profile={})


def logged_in(handle: str, at: float) -> LoggedIn:
    more = {"handle": handle, "name": "", "note": "", "client": "test"}
    return LoggedIn(at=at, cause="l", session=handle, status="online", previous="offline", **more)


def logged_off(handle: str, at: float) -> LoggedOff:
    return LoggedOff(at=at, cause="l", session=handle, reason="logoff", handle=handle, status="offline", previous="online", note="")


def added(uid: int, handle: str, home: str, at: float, name: str = "") -> ContactAdded:
    return ContactAdded(at=at, cause="a", uid=uid, handle=handle, name=name, home=home, alias=None, notify=False)


def queued(seq: int, at: float) -> MessageQueued:
    who = {"uid": ANN, "home": "h1", "handle": "ann", "name": ""}
    return MessageQueued(at=at, cause=f"m{seq}", seq=seq, id=f"m{seq}", text="", sent_at=at, in_reply_to=None, urgent=False, **who)
