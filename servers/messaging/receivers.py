"""How far each other server has our mail. Rule: one row for each is stored, the position of the last mail that is addressed to it, and a
second one for whoever was behind once: so far the broker has confirmed.

What is addressed need not have arrived: where a queue does not take a receiver's mail, or the receiver lacks something, it is *behind*: it
is sent again from the log what it lacks, and until that is done new mail for it is only addressed. The others do not wait for it.
"""

from asyncio import Future
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import structlog

from broker.envelope import EventRecord
from runtime.bounds import Bound, Holding
from servers.store.log.positions import MAILED, SETTLED, TAKEN, mailed, settled, taken

FIRST_PAUSE_S = 1.0  # until a receiver that no queue takes mail for, or that has come no further, gets its mail again; it doubles
LONGEST_PAUSE_S = 60.0
UNHEARD_S = float("inf")  # nothing is tried before something is heard: a confirm that is late, or the receiver

Why = Literal["missing", "refused", "slow", "no_card", "no_word", "lacks"]
WORDS: Mapping[Why, str] = {
    "missing": "it has no queue",
    "refused": "its queue refuses mail, because it has a limit or is being lost",
    "slow": "its queue does not confirm",
    "no_card": "its card is not known",
    "no_word": "the word of one of our users is not known",
    "lacks": "it is sent again what it lacks",
}

MOST_WAITING, MOST_WAITING_BYTES = 1_000, 1_000_000  # as much as one mail may hold

WAITING = Bound(
    name="mail_waiting",
    holds="mail that waits until the mail before it is confirmed, in bytes as its events are stored",
    filled_by="users who write to people of one home",
    past="that home falls behind: its mail is read from the log later",
    within=("Waiting.records", "Waiting.words", "Waiting.whom"),
    entries=MOST_WAITING,
    bytes=MOST_WAITING_BYTES,
    per="receiver",
)

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Waiting:
    """Mail to one receiver that begins when the one on its way is confirmed. `size`: bytes of the records; `words`: that go with them;
    `whom`: the users of whom they tell."""

    records: list[EventRecord] = field(default_factory=list)
    size: int = 0
    words: list[bytes] = field(default_factory=list)
    whom: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Receiver:
    """One server that gets our mail. `addressed`: the last mail that the broker has confirmed, or that the row says is sent again; it is
    stored under the name `row`; `sending`: the last mail that the broker was given: the receiver may have it before the broker confirms it;
    `confirmed`: the receiver said that it has committed everything up to here; `settled`: everything up to here is committed there, or has
    bounced; it is stored.

    `flight`: the publication that lacks its confirm, of mail above `after`; `first`: from here on nothing is confirmed that the outbox
    waits for; `looks`, `landings`: how often it was seen without its confirm, and how many confirms there had been at the first look.

    `behind`: it is sent again what lies above this position, None: it gets each mail at once; `why`, `since`: of that; `held`: whether it
    has a row of what the broker has confirmed; `scanned`: the log was read up to here for that; `due`: not before this moment; `noted`:
    what was addressed when the receiver was last looked at.
    """

    name: str
    row: str
    addressed: int = 0
    sending: int = 0
    confirmed: int = 0
    settled: int = 0
    flight: "Future[None] | None" = None
    after: int = 0
    first: int = 0
    looks: int = 0
    landings: int = 0
    waiting: Waiting = field(default_factory=Waiting)
    behind: int | None = None
    why: Why = "lacks"
    since: float = 0.0
    held: bool = False
    scanned: int = 0
    due: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    noted: int = 0
    again_from: int = -1
    again_at: float = -LONGEST_PAUSE_S

    @property
    def last(self) -> int:
        """The last mail that the receiver may have seen."""
        return max(self.addressed, self.sending)


@dataclass(slots=True, eq=False)
class Receivers:
    """All receivers of one server's mail. `wake(delay)`: somebody sends again what is due after that time; `ride(positions)`: positions are
    stored with a later commit."""

    clock: Callable[[], float]
    wake: Callable[[float], None]
    ride: Callable[[Mapping[str, int]], None]
    known: dict[str, Receiver] = field(default_factory=dict)
    behind: set[str] = field(default_factory=set, init=False)  # to whom mail is being sent again, or cannot be sent
    flying: dict[str, Receiver] = field(default_factory=dict, init=False)  # those with mail that the outbox waits for
    again: int = field(default=0, init=False)  # how often mail was sent again

    def load(self, rows: Mapping[str, int]) -> None:
        """Take over what is stored, by the names of the rows."""
        for name, position in rows.items():
            kind, _, server = name.partition(" ")
            receiver = self.of(server)
            if kind == MAILED:
                receiver.addressed = position
            elif kind == SETTLED:
                receiver.settled = receiver.confirmed = position
            elif kind == TAKEN:
                receiver.held, receiver.scanned = True, position

    def go_on(self) -> None:
        """Everything is loaded: whoever was behind still is."""
        for receiver in self.known.values():
            if receiver.held and receiver.scanned < receiver.addressed:
                self._fall_behind(receiver, max(receiver.scanned, receiver.confirmed), "lacks", self.clock())

    def of(self, server: str) -> Receiver:
        """The receiver of this name."""
        receiver = self.known.get(server)
        if receiver is None:
            receiver = self.known[server] = Receiver(server, mailed(server))
        return receiver

    def confirm(self, server: str, position: int) -> None:
        """A server said how far it has committed our mail."""
        receiver = self.known.get(server)
        if receiver is not None:
            receiver.confirmed = max(receiver.confirmed, min(position, receiver.last))

    def holdings(self) -> Iterator[Holding]:
        """The mail in memory that waits."""
        waiting = [receiver.waiting for receiver in self.flying.values()]
        yield WAITING.holding(sum(len(each.records) for each in waiting), sum(each.size for each in waiting))

    def settle(self, server: str, position: int) -> None:
        """Nothing up to `position` will bounce any more."""
        receiver = self.of(server)
        if position > receiver.settled:
            receiver.settled = position
            self.ride({settled(server): position})

    def lacks(self, server: str, position: int, why: str, *, anew: bool = False) -> bool:
        """A server has our mail up to `position` only: send the rest again. At most one sending is under way for a server, and one that
        has brought it no further is repeated with growing pauses, which begin `anew` when it can take now what it could not take before.
        False when nothing is to be done."""
        receiver, now = self.of(server), self.clock()
        if receiver.behind is not None:
            if receiver.due > now + FIRST_PAUSE_S and receiver.flight is None:  # it could not be reached, and now it is heard
                receiver.due = now + FIRST_PAUSE_S
                self.wake(FIRST_PAUSE_S)
            return False
        if position >= receiver.last:
            return False
        if anew or position > receiver.again_from:
            receiver.pause_s = FIRST_PAUSE_S
        elif now < receiver.again_at + receiver.pause_s:
            return False
        else:
            receiver.pause_s = min(receiver.pause_s * 2, LONGEST_PAUSE_S)
        due = max(now, receiver.again_at + FIRST_PAUSE_S)  # nobody may have the log read without an end
        receiver.again_from, receiver.again_at = position, due
        self.again += 1
        level = log.warning if position else log.info  # two servers that never wrote to each other meet at first
        level("mail.sent_again", server=server, after=position, addressed=receiver.addressed, why=why)
        receiver.after = -1  # whether what is on its way arrives says nothing: it may be what could not be opened
        self._fall_behind(receiver, position, "lacks", due)
        return True

    def cannot(self, receiver: Receiver, position: int, why: Why, detail: str) -> None:
        """Nothing can be sent to this receiver, which has what was sent up to this position: try again later, from there."""
        now = self.clock()
        if receiver.behind is None:
            receiver.pause_s = FIRST_PAUSE_S
            level = log.warning if position else log.info  # two servers that never wrote to each other meet at first
            level("mail.unroutable", server=receiver.name, after=position, why=detail, reason=why)
            self._fall_behind(receiver, position, why, now + receiver.pause_s)
            return
        receiver.pause_s = min(receiver.pause_s * 2, LONGEST_PAUSE_S)
        receiver.why, receiver.scanned, receiver.due = why, receiver.behind, now + receiver.pause_s
        self.wake(receiver.pause_s)

    def _fall_behind(self, receiver: Receiver, position: int, why: Why, due: float) -> None:
        """From now on the receiver's own row says from where it is sent its mail; nobody waits for that."""
        receiver.behind = receiver.scanned = position
        receiver.why, receiver.since, receiver.held = why, self.clock(), True
        receiver.due = UNHEARD_S if why == "slow" else due
        records = receiver.waiting.records
        receiver.addressed = max(receiver.last, records[-1].position if records else 0)
        receiver.waiting = Waiting()
        self.behind.add(receiver.name)
        self.flying.pop(receiver.name, None)
        self.ride({receiver.row: receiver.addressed, taken(receiver.name): position})
        if receiver.due < UNHEARD_S:
            self.wake(max(0.0, receiver.due - self.clock()))

    def settled_late(self, receiver: Receiver, *, arrived: bool) -> None:
        """Mail to a receiver that is behind is confirmed, or lost with its connection: it goes on, or is tried again."""
        now, slow = self.clock(), receiver.due == UNHEARD_S
        if arrived and receiver.behind == receiver.after:  # what it lacked, or what was on its way when it fell behind
            receiver.behind, receiver.scanned = receiver.sending, max(receiver.scanned, receiver.sending)
            self.ride({taken(receiver.name): receiver.sending})
        elif receiver.behind is not None:
            receiver.scanned = receiver.behind
        if arrived:
            receiver.why = "lacks"
        if slow:
            receiver.due = now if arrived else now + receiver.pause_s
        self.wake(max(0.0, receiver.due - now))

    def reachable(self, server: str) -> None:
        """A server was heard: what could not be sent to it is sent now."""
        receiver = self.known.get(server)
        if receiver is not None and receiver.behind is not None and receiver.flight is None:
            receiver.due = self.clock()
            self.wake(0.0)

    def all_reachable(self) -> None:
        """What kept mail back may be over: try all receivers now."""
        for server in list(self.behind):
            self.reachable(server)

    def due(self) -> list[Receiver]:
        """The receivers that are to be sent something again now."""
        now, behind = self.clock(), map(self.known.__getitem__, self.behind)
        return [receiver for receiver in behind if receiver.due <= now and receiver.flight is None]

    def caught_up(self, server: str, position: int) -> None:
        """A receiver was given everything up to `position`, which is addressed to it, too."""
        receiver = self.of(server)
        receiver.behind, receiver.addressed = None, max(receiver.addressed, position)
        self.behind.discard(server)
