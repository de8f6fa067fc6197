"""The checker itself must see every broken promise. Rule: every kind of broken promise is shown to it once."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from tests.faults.checker import Accepted, Ledger, doubled, invented, lost, out_of_order, unreceipted, wrong_presence

if TYPE_CHECKING:
    from tests.faults.people import Person

ANN, BOB = 1, 2


@dataclass
class StandInWindow:
    """What a window has written down."""

    shown: list[tuple[int, str]] = field(default_factory=list)
    receipts: set[tuple[str, str]] = field(default_factory=set)
    presence: dict[int, str] = field(default_factory=dict)
    open: bool = True

    @property
    def shown_once(self) -> set[tuple[int, str]]:
        """As in the real one."""
        return set(self.shown)


@dataclass
class StandIn:
    """A person with one window."""

    uid: int
    handle: str
    window: StandInWindow

    @property
    def windows(self) -> list[StandInWindow]:
        """As in the real one."""
        return [self.window]


def run_of(ids: list[str], shown: list[str], *, receipts: list[str] | None = None) -> tuple[Ledger, "dict[int, Person]"]:
    """Ann sent `ids`; Bob's window showed `shown`."""
    ledger = Ledger()
    for id_ in ids:
        ledger.record(Accepted(ANN, BOB, id_, datetime(2024, 1, 1, tzinfo=UTC)))
    delivered = {(id_, "delivered") for id_ in (ids if receipts is None else receipts)}
    ann = StandIn(ANN, "ann", StandInWindow(receipts=delivered, presence={BOB: "online"}))
    bob = StandIn(BOB, "bob", StandInWindow(shown=[(ANN, id_) for id_ in shown], presence={ANN: "online"}))
    return ledger, cast("dict[int, Person]", {ANN: ann, BOB: bob})


def test_a_good_run_has_no_fault() -> None:
    ledger, people = run_of(["a", "b"], ["a", "b"])
    assert not lost(ledger, people).look()
    assert not unreceipted(ledger, people).look()
    assert not doubled(people[BOB])
    assert not out_of_order(ledger, people[BOB])
    assert not invented(ledger, list(people.values()))
    assert not wrong_presence(list(people.values()))


def test_a_lost_message_is_seen() -> None:
    ledger, people = run_of(["a", "b", "c"], ["a", "c"])
    assert [a.id for a in lost(ledger, people).look()] == ["b"]


def test_a_message_that_bounced_is_not_lost() -> None:
    ledger, people = run_of(["a"], [], receipts=[])
    people[ANN].windows[0].receipts.add(("a", "bounced"))
    assert not lost(ledger, people).look()


def test_a_missing_receipt_is_seen() -> None:
    ledger, people = run_of(["a", "b"], ["a", "b"], receipts=["a"])
    assert [a.id for a in unreceipted(ledger, people).look()] == ["b"]


def test_a_doubled_message_is_seen() -> None:
    _, people = run_of(["a", "b"], ["a", "b", "a"])
    assert doubled(people[BOB]) == ["a to bob, 2 times"]


def test_a_wrong_order_is_seen() -> None:
    ledger, people = run_of(["a", "b", "c"], ["a", "c", "b"])
    assert out_of_order(ledger, people[BOB]) == ["1 to 2: b after c"]


def test_a_message_nobody_sent_is_seen() -> None:
    ledger, people = run_of(["a"], ["a", "x"])
    assert invented(ledger, list(people.values())) == [(ANN, "x")]


def test_a_wrong_presence_is_seen() -> None:
    _, people = run_of([], [])
    people[BOB].windows[0].open = False
    assert wrong_presence(list(people.values())) == ["ann sees 2 as online, who is offline"]
