"""A user's mailbox: what waits, numbered by `seq`, until a client acknowledges it. Rule: only `evolve.py` changes it.

A text that waits is kept once, in the log. The state knows of each event that waits where the log has it, and what the rules ask for.
"""

from dataclasses import dataclass, field
from sys import intern
from typing import Any

from msgspec import Struct

from domain.event import stream_uid
from domain.personal import Personal
from domain.remembered_ids import RememberedIds

MAX_WAITING = 1_000  # unacknowledged messages; beyond that the sender gets a `bounced` receipt
MAX_RECEIPTS = 1_000  # unacknowledged receipts; beyond that the oldest is forgotten: a client that never acks must not grow the mailbox
DONE = -1  # instead of the place of a home
OPEN_MESSAGES = 1_000  # delivered messages that can still be marked done


class WaitingReceipt(Struct, gc=False):
    """A receipt that waits. `version`: of its event in the stream of the mailbox; `position`: in the log, 0 until it is on disk; `size`: in
    bytes, as it is stored."""

    seq: int
    version: int
    position: int = 0
    size: int = 0


class WaitingMessage(Struct, gc=False):
    """A message that waits, with the same fields. `uid` and `home`: the sender's; `at`: when it came; `erased`: the sender has left for
    good, and nobody can read the text any more."""

    seq: int
    version: int
    id: str
    uid: int
    home: str
    at: float
    erased: bool = False
    position: int = 0
    size: int = 0


Waiting = WaitingMessage | WaitingReceipt


def open_ids() -> RememberedIds:
    """Ids with the sender and the place of a home."""
    return RememberedIds("qi")


@dataclass(slots=True)
class MailboxState:
    """What a mailbox's events fold into. `waiting` is ordered by `seq`, `messages` says how many of it are messages. `open`: the ids of
    messages, each with its sender and the place of the sender's home in `homes`, or `DONE`; an id is unique among one sender's messages."""

    stream: str
    version: int = 0
    closed: bool = False  # for good
    last_seq: int = 0
    waiting: dict[int, Waiting] = field(default_factory=dict)
    messages: int = 0
    open: RememberedIds = field(default_factory=open_ids)
    homes: list[str] = field(default_factory=list)  # of senders of open messages, as many as there are

    def __post_init__(self) -> None:
        stream_uid(self.stream)  # nothing may be decided in a stream that no user can have, whatever another server sent

    @property
    def unplaced(self) -> int:
        """The version of the first waiting event whose place in the log is not known; 0 when all are."""
        return next((each.version for each in self.waiting.values() if not each.position), 0)

    def place_of(self, home: str) -> int:
        """Where a home stands in `homes`; it is put there when it is new."""
        if home not in self.homes:
            self.homes.append(home)
        return self.homes.index(home)

    def place_in_open(self, id: str, sender: int) -> int | None:
        """Where a message stands in `open`."""
        for place in self.open.places(id):
            if self.open.numbers(place)[0] == sender:
                return place
        return None

    def to_snapshot(self) -> dict[str, Any]:
        """The whole state as plain data and `Personal` values. Of each sender there is a mark that reads as False once the key is gone."""
        messages = [w for w in self.waiting.values() if isinstance(w, WaitingMessage)]
        receipts = [w for w in self.waiting.values() if isinstance(w, WaitingReceipt)]
        return {
            "last_seq": self.last_seq,
            "messages": self.messages,
            "closed": self.closed,
            "mail": [[m.seq, m.version, m.id, m.uid, m.home, m.at, m.erased, m.position, m.size] for m in messages],
            "receipts": [[r.seq, r.version, r.position, r.size] for r in receipts],
            "senders": [[uid, Personal(uid, True)] for uid in dict.fromkeys(m.uid for m in messages if not m.erased)],
            "open": self.open.to_snapshot(),
            "homes": list(self.homes),
        }

    def from_snapshot(self, data: dict[str, Any]) -> None:
        """Take over the state that `to_snapshot` gave, or the one of before, which held the waiting events themselves."""
        self.last_seq, self.messages = data["last_seq"], data["messages"]
        self.closed = data.get("closed", False)
        if "homes" in data:
            self.homes = [intern(home) for home in data["homes"]]
            self.open.from_snapshot(data["open"])
        else:  # of a version that kept the ids themselves
            for id, sender, home, done in data["open"]:
                self.open.add(id, sender, DONE if done else self.place_of(intern(home)))
        if "waiting" in data:
            self.waiting = {fields["seq"]: _of_event(message, fields) for message, fields in data["waiting"]}
            return
        gone = {uid for uid, present in data["senders"] if not present}
        found: list[Waiting] = [WaitingReceipt(*receipt) for receipt in data["receipts"]]
        for seq, version, id, uid, home, at, erased, position, size in data["mail"]:
            found.append(WaitingMessage(seq, version, id, uid, intern(home), at, erased or uid in gone, position, size))
        self.waiting = {each.seq: each for each in sorted(found, key=_seq)}


def _seq(waiting: Waiting) -> int:
    return waiting.seq


def _of_event(message: bool, fields: dict[str, Any]) -> Waiting:
    """What waits, of the fields of its event. Its place in the log is not among them."""
    seq, version = fields["seq"], fields["originator_version"]
    if not message:
        return WaitingReceipt(seq, version)
    return WaitingMessage(seq, version, fields["id"], fields["uid"], intern(fields["home"]), fields["at"], not fields["text"])
