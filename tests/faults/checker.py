"""The promises of the system, checked over every message of a run. Rule: the ledger never forgets a message that was accepted.

`Ledger` is the truth the test knows: which sends got a 202. `verify` waits until nothing changes any more and compares it with what the
people's windows showed.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.faults.people import Person

    People = dict[int, Person]

SETTLE_S = 60.0  # a broker that comes back, an outbox in its longest pause, and then everything that waited


@dataclass(frozen=True, slots=True)
class Accepted:
    """A send that got its 202."""

    sender: int
    to: int
    id: str
    at: datetime


class Ledger:
    """Every 202 of a run, in the order in which the test saw them."""

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []
        self.places: dict[tuple[int, str], int] = {}  # (sender, message id) -> place among all that were accepted

    def record(self, accepted: Accepted) -> None:
        """One more 202."""
        self.places[accepted.sender, accepted.id] = len(self.accepted)
        self.accepted.append(accepted)

    async def reached(self, count: int, timeout_s: float = 60.0) -> None:
        """Return after the `count`-th 202."""
        await eventually(lambda: len(self.accepted) >= count, timeout_s)

    async def grown(self, by: int, timeout_s: float = 60.0) -> None:
        """Return after `by` more."""
        await self.reached(len(self.accepted) + by, timeout_s)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was checked."""

    messages: int
    bounced: int
    windows: int
    popups: int
    presences: int
    reconnects: int

    def __str__(self) -> str:
        return (
            f"{self.messages} messages accepted, {self.popups} popups in {self.windows} windows, {self.bounced} bounced, "
            f"{self.reconnects} reconnects, {self.presences} presences: 0 lost, 0 doubled, 0 out of order"
        )


async def verify(ledger: Ledger, people: Sequence["Person"]) -> Verdict:
    """Promises 1 to 4 for every message and window. Raises `AssertionError` that names what was broken."""
    by_uid = {person.uid: person for person in people}
    await settled(lost(ledger, by_uid).look, "accepted, and neither shown nor bounced")
    await settled(unreceipted(ledger, by_uid).look, "shown, but the sender has no receipt")
    await settled(lambda: wrong_presence(people), "presence that is wrong in the end")
    bounced = sum((a.id, "bounced") in by_uid[a.sender].receipts for a in ledger.accepted)
    none_of("shown twice", [problem for person in people for problem in doubled(person)])
    none_of("out of order", [problem for person in people for problem in out_of_order(ledger, person)])
    none_of("shown, but never accepted", invented(ledger, people))
    windows = [window for person in people for window in person.windows]
    return Verdict(
        len(ledger.accepted),
        bounced,
        len(windows),
        sum(len(window.shown) for window in windows),
        sum(len(window.presence) for window in windows if window.open),
        sum(max(0, window.welcomes - 1) for window in windows),
    )


def none_of(what: str, found: Sequence[object]) -> None:
    """Raise `AssertionError` when there is any."""
    assert not found, f"{len(found)} × {what}: {found[:5]}"


async def settled(find: Callable[[], Sequence[object]], what: str, timeout_s: float = SETTLE_S) -> None:
    """Wait until `find` finds nothing; else say what it found last."""
    try:
        await eventually(lambda: not find(), timeout_s)
    except AssertionError:
        left = find()
        raise AssertionError(f"{len(left)} × {what}: {left[:5]}") from None


class Pending:
    """The accepted messages that are not yet shown and receipted. The set shrinks with each check, so that frequent checks are cheap."""

    def __init__(self, ledger: Ledger, is_well: Callable[[Accepted], bool]) -> None:
        self._left = list(ledger.accepted)
        self._is_well = is_well

    def look(self) -> Sequence[Accepted]:
        """What is left."""
        if self._left and not self._is_well(self._left[0]):  # the rest can wait for the first
            return self._left
        return self.all()

    def all(self) -> Sequence[Accepted]:
        """What is left, each of them checked."""
        self._left = [a for a in self._left if not self._is_well(a)]
        return self._left


def lost(ledger: Ledger, people: "People") -> Pending:
    """Accepted messages that no window of the recipient has shown, and whose sender was not told why."""
    return Pending(
        ledger,
        lambda a: (
            any((a.sender, a.id) in window.shown_once for window in people[a.to].windows)
            or any((a.id, "bounced") in window.receipts for window in people[a.sender].windows)
        ),
    )


def unreceipted(ledger: Ledger, people: "People") -> Pending:
    """Messages that were shown and whose sender, who has a window open, has no receipt."""

    def is_well(a: Accepted) -> bool:
        windows = people[a.sender].windows
        told = any((a.id, "delivered") in window.receipts or (a.id, "bounced") in window.receipts for window in windows)
        return told or not any(window.open for window in windows)

    return Pending(ledger, is_well)


def wrong_presence(people: Sequence["Person"]) -> list[str]:
    """Entries of open windows that do not show what is true: online is who has an open window."""
    truth = {person.uid: "online" if any(window.open for window in person.windows) else "offline" for person in people}
    return [
        f"{person.handle} sees {uid} as {status}, who is {truth[uid]}"
        for person in people
        for window in person.windows
        if window.open
        for uid, status in window.presence.items()
        if uid in truth and status != truth[uid]
    ]


def doubled(person: "Person") -> list[str]:
    """Messages that one window showed more than once."""
    return [
        f"{id_} to {person.handle}, {times} times"
        for window in person.windows
        for (_, id_), times in Counter(window.shown).items()
        if times > 1
    ]


def invented(ledger: Ledger, people: Sequence["Person"]) -> list[tuple[int, str]]:
    """Messages that were shown, although no send of them ever ended with a 202."""
    shown = {key for person in people for window in person.windows for key in window.shown}
    return sorted(shown - {(a.sender, a.id) for a in ledger.accepted})


def out_of_order(ledger: Ledger, person: "Person") -> list[str]:
    """Pairs whose messages a window showed in another order than they were accepted."""
    problems = []
    for window in person.windows:
        last: dict[int, int] = {}
        for sender, id_ in window.shown:
            number = ledger.places.get((sender, id_), -1)  # comparable for one pair: each send waits for the 202 of the one before
            if number < last.get(sender, -1):
                problems.append(f"{sender} to {person.uid}: {id_} after {ledger.accepted[last[sender]].id}")
            last[sender] = max(number, last.get(sender, -1))
    return problems
