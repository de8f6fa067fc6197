"""How far each other server has our mail. Rule: one row for each is stored, the position of the last mail that is addressed to it; it is
stored together with the outbox's own position, so that both are of one moment.

What is addressed need not have arrived: where a receiver lacks something, mail is sent again from the log, and until that is done new mail
for this receiver is only addressed. The others do not wait for it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from servers.store.log.positions import MAILED, SETTLED, mailed, settled

FIRST_PAUSE_S = 1.0  # until a receiver that no queue takes mail for, or that has come no further, gets its mail again; it doubles
LONGEST_PAUSE_S = 60.0

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Receiver:
    """One server that gets our mail. `addressed`: the last mail, stored under the name `row`; `sending`: the last mail that the broker was
    given: the receiver may have it before the broker confirms it; `confirmed`: the receiver said that it has committed everything up to
    here; `settled`: everything up to here is committed there, or has bounced; it is stored.

    `behind`: it is sent again what lies above this position, None: it gets each mail at once; `scanned`: the log was read up to here for
    that; `due`: not before this moment; `noted`: what was addressed when the receiver was last looked at.
    """

    row: str
    addressed: int = 0
    sending: int = 0
    confirmed: int = 0
    settled: int = 0
    behind: int | None = None
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
    """All receivers of one server's mail. `wake(delay)`: somebody sends again what is due after that time; `ride(name, position)`: a
    position is stored with a later commit."""

    clock: Callable[[], float]
    wake: Callable[[float], None]
    ride: Callable[[str, int], None]
    known: dict[str, Receiver] = field(default_factory=dict)
    behind: set[str] = field(default_factory=set, init=False)  # to whom mail is being sent again, or cannot be sent
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

    def of(self, server: str) -> Receiver:
        """The receiver of this name."""
        receiver = self.known.get(server)
        if receiver is None:
            receiver = self.known[server] = Receiver(mailed(server))
        return receiver

    def confirm(self, server: str, position: int) -> None:
        """A server said how far it has committed our mail."""
        receiver = self.known.get(server)
        if receiver is not None:
            receiver.confirmed = max(receiver.confirmed, min(position, receiver.addressed))

    def settle(self, server: str, position: int) -> None:
        """Nothing up to `position` will bounce any more."""
        receiver = self.of(server)
        if position > receiver.settled:
            receiver.settled = position
            self.ride(settled(server), position)

    def lacks(self, server: str, position: int, why: str, *, anew: bool = False) -> bool:
        """A server has our mail up to `position` only: send the rest again. At most one sending is under way for a server, and one that
        has brought it no further is repeated with growing pauses, which begin `anew` when it can take now what it could not take before.
        False when nothing is to be done."""
        receiver, now = self.of(server), self.clock()
        if receiver.behind is not None:
            if receiver.due > now + FIRST_PAUSE_S:  # it could not be reached, and now it is heard
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
        receiver.behind = receiver.scanned = position
        receiver.due = max(now, receiver.again_at + FIRST_PAUSE_S)  # nobody may have the log read without an end
        receiver.again_from, receiver.again_at = position, receiver.due
        self.behind.add(server)
        self.again += 1
        level = log.warning if position else log.info  # two servers that never wrote to each other meet at first
        level("mail.sent_again", server=server, after=position, addressed=receiver.addressed, why=why)
        self.wake(receiver.due - now)
        return True

    def unreachable(self, servers: Iterable[str], positions: Mapping[str, int], why: str) -> None:
        """Nothing can be sent to these servers, which have what was sent up to these positions: try again later, from there."""
        now = self.clock()
        for name in servers:
            receiver = self.of(name)
            if receiver.behind is None:
                receiver.behind = receiver.scanned = positions.get(name, receiver.addressed)
                receiver.pause_s = FIRST_PAUSE_S
                self.behind.add(name)
                level = log.warning if receiver.behind else log.info  # two servers that never wrote to each other meet at first
                level("mail.unroutable", server=name, after=receiver.behind, why=why)
            else:
                receiver.pause_s = min(receiver.pause_s * 2, LONGEST_PAUSE_S)
            receiver.due = now + receiver.pause_s
            self.wake(receiver.pause_s)

    def reachable(self, server: str) -> None:
        """A server was heard: what could not be sent to it is sent now."""
        receiver = self.known.get(server)
        if receiver is not None and receiver.behind is not None:
            receiver.due = self.clock()
            self.wake(0.0)

    def all_reachable(self) -> None:
        """What kept mail back may be over: try all receivers now."""
        for server in list(self.behind):
            self.reachable(server)

    def next_due(self) -> str | None:
        """The receiver that is to be sent something again now, the one that has waited longest."""
        now = self.clock()
        due = [(receiver.due, name) for name in self.behind if (receiver := self.known[name]).due <= now]
        return min(due)[1] if due else None

    def caught_up(self, server: str, position: int) -> None:
        """A receiver was sent everything up to `position`, which is addressed to it, too."""
        receiver = self.of(server)
        receiver.behind, receiver.addressed = None, max(receiver.addressed, position)
        self.behind.discard(server)
