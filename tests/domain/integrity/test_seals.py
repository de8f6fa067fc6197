"""Seals: what is hashed, which seal is stored, and what a witness keeps."""

import pytest

from domain.events.integrity import LogRestored, LogSealed, SealReceived
from domain.integrity import chain
from domain.integrity.chain import Seal, before_all, digest, fingerprint, mark, marks, seal
from domain.integrity.commands import SealLog, WitnessSeal
from domain.rules.global_server import RULES
from tests.domain.given import NOW, Story
from tests.support.snapshots import restored

given = Story.of(RULES)
WHEN = {"at": NOW, "cause": "c1"}
PRINTS = [fingerprint("user-1", number, "t", b"data") for number in range(1, 5)]
FIRST = seal(before_all("h1"), 1, [1, 2], PRINTS[:2])
SECOND = seal(FIRST.digest, 3, [3, 6], PRINTS[2:])


def sealed(of, **but):
    fields = {name: getattr(of, name) for name in ("first", "last", "count", "gaps", "previous", "digest", "marks")}
    return LogSealed(server="h1", life=0, **fields, **WHEN, **but)


def received(of, number, follows):
    fields = {name: getattr(of, name) for name in ("first", "last", "count", "gaps", "previous", "digest", "marks")}
    return SealReceived(server="h1", life=0, **fields, number=number, sealed_at=NOW - 1, follows=follows, **WHEN)


def keep(of, number):
    return WitnessSeal(server="h1", seal=of, number=number, sealed_at=NOW - 1, cause="c1")


def test_a_seal_covers_every_position_up_to_its_last_and_names_the_gaps():
    assert (FIRST.first, FIRST.last, FIRST.count, FIRST.gaps) == (1, 2, 2, [])
    assert (SECOND.first, SECOND.last, SECOND.count, SECOND.gaps) == (3, 6, 2, [[4, 5]])
    assert (FIRST.positions(), SECOND.positions()) == ([1, 2], [3, 6])
    assert seal("x", 1, [3, 5, 6], PRINTS[:3]).gaps == [[1, 2], [4, 4]]


def test_what_is_hashed_never_changes():
    """Seals are checked for as long as the log exists, so these values are those of the first version."""
    assert PRINTS[0].hex() == "aa57bc3eb0d9c736842cd8587d2aafd5c3cb178ef7ca5b6de46b575d2fb49fb6"
    assert mark(PRINTS[0]) == "qle8PrDZ"
    assert before_all("h1") == "31f34965e7ae7019731729cf16e720c9e89e9fe72de300068ff13e66b467b417"
    assert digest("p", 1, 2, [1, 2], PRINTS[:2]) == "0a15618acd654dd16a60169fccfe8b6486c5b0e49cdcc708b6a4fde351af2584"


@pytest.mark.parametrize(
    "other", [("user-2", 1, "t", b"data"), ("user-1", 2, "t", b"data"), ("user-1", 1, "u", b"data"), ("user-1", 1, "t", b"dat")]
)
def test_a_fingerprint_tells_events_apart(other):
    assert fingerprint(*other) != PRINTS[0]


def test_a_digest_depends_on_all_that_it_covers():
    whole = digest("p", 1, 2, [1, 2], PRINTS[:2])
    others = [
        digest("q", 1, 2, [1, 2], PRINTS[:2]), digest("p", 0, 2, [1, 2], PRINTS[:2]), digest("p", 1, 3, [1, 2], PRINTS[:2]),
        digest("p", 1, 2, [1, 3], PRINTS[:2]), digest("p", 1, 2, [1, 2], PRINTS[1:3]),
    ]  # fmt: skip
    assert len({whole, *others}) == 6


def test_marks_are_those_of_the_single_events():
    assert marks(PRINTS) == "".join(map(mark, PRINTS))
    assert {len(mark(each)) for each in PRINTS} == {chain.MARK_CHARS}


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": 0}, {"last": 0}, {"last": 1 + chain.MAX_COVERED}, {"count": 3}, {"marks": "A" * 8}, {"gaps": [[2, 2]]}, {"last": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_seal_that_contradicts_itself_is_none(wrong):
    fields = {"first": 1, "last": 2, "count": 2, "gaps": [], "previous": "", "digest": "", "marks": "A" * 16}
    assert Seal(**fields).positions() == [1, 2]
    with pytest.raises(ValueError, match="not a seal"):
        Seal(**fields | wrong).positions()


def test_a_log_is_sealed_where_the_last_seal_ended():
    given().when(SealLog(server="h1", seal=FIRST, cause="c1")).then(sealed(FIRST))
    given(sealed(FIRST)).when(SealLog(server="h1", seal=SECOND, cause="c1")).then(sealed(SECOND))


def test_a_seal_that_another_process_has_stored_first_is_not_stored_again():
    given(sealed(FIRST)).when(SealLog(server="h1", seal=FIRST, cause="c1")).then_nothing()
    given().when(SealLog(server="h1", seal=SECOND, cause="c1")).then_nothing()


def test_a_witness_keeps_every_seal_and_says_whether_it_follows():
    given().when(keep(FIRST, 1)).then(received(FIRST, 1, follows=True))
    given(received(FIRST, 1, follows=True)).when(keep(SECOND, 2)).then(received(SECOND, 2, follows=True))
    given(received(FIRST, 1, follows=True)).when(keep(FIRST, 2)).then(received(FIRST, 2, follows=False))
    given().when(keep(SECOND, 1)).then(received(SECOND, 1, follows=False))
    rewritten = seal(before_all("h2"), 3, [3, 6], PRINTS[2:])
    given(received(FIRST, 1, follows=True)).when(keep(rewritten, 2)).then(received(rewritten, 2, follows=False))


def test_a_snapshot_is_the_state():
    state = given(sealed(FIRST)).state("log-h1")
    assert (state.last, state.digest, state.version) == (2, FIRST.digest, 1)
    assert restored(RULES.new_state("log-h1"), state) == state


def test_of_a_restored_log_only_the_version_counts():
    state = given(LogRestored(server="h1", backed_up=1, told=2, missing=0, **WHEN)).state("restored-h1")
    assert (state.version, state.last, state.digest) == (1, 0, "")
