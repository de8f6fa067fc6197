"""A change of a log is found, at the exact position, in the real database file. Each test is one way to tamper."""

from pathlib import Path

import pytest

from domain.errors import Unavailable
from domain.event import Event
from domain.events.every import every_event
from servers.integrity.verify import PRIVATE
from tests.servers.genuine import USERS, Forger, check, found

SENT, SEALED, QUEUED = "user.message_sent", "log.sealed", "mailbox.message_queued"


def everybody_finds(copy: Path, *expected: tuple[object, ...], server: str = "h1") -> None:
    """The log's own seals suffice, and no witness says anything else."""
    for witnesses in ({}, {"copies": True}, {"history": True}, {"copies": True, "history": True}):
        report = check(copy, server=server, **witnesses)
        assert found(report) == list(expected), (witnesses, [str(f) for f in report.findings])
    assert {"its own seals"} <= set().union(*(f.says for f in report.findings))


def others_find(copy: Path, *expected: tuple[object, ...]) -> None:
    """The log's own seals look right; the Global Server's copies and the history each know better."""
    assert found(check(copy)) == []
    for witnesses in ({"copies": True}, {"history": True}):
        report = check(copy, **witnesses)
        assert found(report) == list(expected), (witnesses, [str(f) for f in report.findings])


def test_a_genuine_log_is_honest(genuine):
    for server in ("h1", "global"):
        report = check(genuine, server=server, copies=server == "h1", history=True)
        assert (report.honest, report.more, report.unsealed, report.seals) == (True, 0, 1, 1)
        assert report.events == report.last == report.sealed + 1
        checked = {w.name: w.checked for w in report.witnesses}
        assert checked["its own seals"] == checked["the history's seals"] >= 2
        assert server == "global" or checked["the Global Server's copies"] == checked["its own seals"] >= 4
        assert checked["the history"] == report.events - (USERS if server == "global" else 0)  # passwords are private


def test_a_changed_text(copy, forger):
    position = forger.position(SENT, 7)
    forger.rewrite(position, lambda event: event.update(text="I never said that"))
    everybody_finds(copy, ("changed", position))


def test_a_changed_time(copy, forger):
    position = forger.position(SENT, 7)
    forger.rewrite(position, lambda event: event.update(at=event["at"] - 3600))
    everybody_finds(copy, ("changed", position))


@pytest.mark.parametrize("column", ["topic", "originator_id", "originator_version"])
def test_a_changed_place(copy, forger, column):
    position = forger.position(SENT, 7)
    value = {"topic": QUEUED, "originator_id": "user-99", "originator_version": 999}[column]
    forger.do(f"UPDATE stored_events SET {column} = ? WHERE rowid = ?", value, position)  # noqa: S608 - one of three
    everybody_finds(copy, ("changed", position))


@pytest.mark.parametrize("junk", [None, "text", b"\xc1", b"", 7])
def test_junk_instead_of_an_event(copy, forger, junk):
    position = forger.position(SENT, 7)
    forger.do("UPDATE stored_events SET state = ? WHERE rowid = ?", junk, position)
    forger.do("UPDATE stored_events SET topic = CAST(x'ff' AS TEXT) WHERE rowid = ?", position + 1)
    everybody_finds(copy, ("changed", position, position + 1))


def test_the_first_and_the_last_sealed_event(copy, forger):
    last = check(copy).sealed
    for position in (1, last):
        forger.rewrite(position, lambda event: event.update(cause="x"))
    everybody_finds(copy, ("changed", 1), ("changed", last))


def test_a_removed_event(copy, forger):
    position = forger.position(QUEUED, 5)
    forger.do("DELETE FROM stored_events WHERE rowid = ?", position)
    everybody_finds(copy, ("removed", position))


def test_a_removed_event_whose_gap_is_closed(copy, forger):
    position, last = forger.position(QUEUED, 5), forger.last
    forger.do("DELETE FROM stored_events WHERE rowid = ?", position)
    forger.shift(position + 1, -1)
    assert found(check(copy)) == [("moved", position, last - 2), ("removed", position), ("inserted", last - 1)]
    report = check(copy, history=True)  # it knows the last seal, which no seal covers
    assert found(report) == [("moved", position, last - 1), ("removed", position)]
    assert [f.was for f in report.findings] == [position + 1, None]


def test_two_events_that_changed_places(copy, forger):
    one, other = forger.position(SENT, 3), forger.position(SENT, 4)
    for old, new in ((one, -1), (other, one), (-1, other)):
        forger.do("UPDATE stored_events SET rowid = ? WHERE rowid = ?", new, old)
    everybody_finds(copy, ("moved", one), ("moved", other))


def test_an_inserted_event_before_which_the_others_moved_up(copy, forger):
    position, last = forger.position(SENT, 9), forger.last
    forger.shift(position, 1)
    forger.insert(position)
    report = check(copy, copies=True)
    assert found(report) == [("inserted", position), ("moved", position + 1, last)]


@pytest.mark.parametrize("position", [0, -7])
def test_an_event_before_the_first(copy, forger, position):
    forger.insert(position)
    report = check(copy)
    assert found(report) == [("inserted", position)]


def test_an_end_that_was_cut_off_with_its_seals(copy, forger):
    start = forger.position(SEALED, 2)  # two seals are left: the log looks as it once did
    forger.do("DELETE FROM stored_events WHERE rowid >= ?", start)
    assert found(check(copy)) == []
    assert found(check(copy, history=True)) == [("cut_off", start, forger.last)]
    assert found(check(copy, copies=True)) == [("cut_off", start, forger.last - 1)]  # the last seal's own place is not sealed


def test_an_end_that_was_cut_off_but_for_its_seals(copy, forger):
    start = forger.position(SEALED, 2)
    forger.do("DELETE FROM stored_events WHERE rowid >= ? AND topic != ?", start, SEALED)
    assert {kind for kind, *_ in found(check(copy))} == {"removed"}
    report = check(copy, copies=True, history=True)
    gone = [p for f in report.findings for p in range(f.position, f.to + 1)]
    assert {f.kind for f in report.findings} == {"removed"}
    kept = {row[0] for row in forger.ask("SELECT rowid FROM stored_events")}
    assert gone == [p for p in range(start, forger.last + 1) if p not in kept]


@pytest.mark.parametrize("change", ["digest", "previous", "marks", "last", "gaps"])
def test_a_changed_seal(copy, forger, change):
    position = forger.position(SEALED, 1)
    values = {"digest": "0" * 64, "previous": "0" * 64, "marks": "A" * 160, "last": 41, "gaps": [[21, 21]]}
    forger.rewrite(position, lambda event: event.update({change: values[change]}))
    everybody_finds(copy, ("changed", position))


@pytest.mark.parametrize("change", ["digest", "previous", "marks", "first"])
def test_a_changed_newest_seal_which_no_other_covers(copy, forger, change):
    position = forger.position(SEALED, -1)
    values = {"digest": "0" * 64, "previous": "0" * 64, "first": 1}
    forger.rewrite(position, lambda event: event.update({change: values.get(change, "A" * len(event["marks"]))}))
    assert set(found(check(copy))) == {("seal", position)}
    assert found(check(copy, history=True)) == [("changed", position)]


def test_a_removed_seal(copy, forger):
    position = forger.position(SEALED, 1)
    forger.do("DELETE FROM stored_events WHERE rowid = ?", position)
    everybody_finds(copy, ("removed", position))


def test_a_change_after_which_the_whole_log_was_chained_anew(copy, forger):
    position = forger.position(SENT, 2)
    forger.rewrite(position, lambda event: event.update(text="I never said that"))
    forger.chain_anew()
    seals = [p for (p,) in forger.ask("SELECT rowid FROM stored_events WHERE topic = ? ORDER BY rowid", SEALED) if p > position]
    expected = [("changed", p) for p in sorted([position, *seals])]
    assert found(check(copy)) == []
    assert found(check(copy, history=True)) == expected
    assert found(check(copy, copies=True)) == expected[:-1]  # but for the last seal, which no copy covers


@pytest.mark.parametrize("server", ["h1", "global"])
def test_a_log_that_was_chained_anew_without_the_servers_key(copy, server):
    """On 79ccbf3 no seal was signed: who could write to the log could seal it."""
    assert check(copy, signed=True, server=server).honest
    forger = Forger(copy, server)
    position = forger.position(SENT if server == "h1" else "account.user_registered", 2)
    forger.rewrite(position, lambda event: event.update(cause="another"))
    forger.chain_anew()
    report = check(copy, signed=True, server=server)
    seals = [p for (p,) in forger.ask("SELECT rowid FROM stored_events WHERE topic = ? ORDER BY rowid", SEALED) if p > position]
    assert found(report) == [("seal", p) for p in seals]
    assert all(f"{server} did not sign it" in str(finding) for finding in report.findings)


def test_a_seal_without_a_signature_behind_signed_ones(copy, forger):
    forger.rewrite(forger.position(SEALED, -1), lambda event: event.update(signature=""))
    assert found(check(copy)) == [("seal", forger.position(SEALED, -1))]


def test_a_copy_at_the_global_server_that_the_home_did_not_sign(copy):
    forger = Forger(copy, "global")
    forger.rewrite(forger.position("witness.seal_received", 1), lambda event: event.update(life=5))
    report = check(copy, copies=True, signed=True)
    assert [f.what for f in report.findings] == ["h1 did not sign it"]


def test_a_chain_that_begins_elsewhere(copy, forger):
    """Each seal fits its events and the seal before: but this is the end of another log."""
    forger.chain_anew(previous="0" * 64)
    report = check(copy)
    assert found(report) == [("seal", forger.position(SEALED, 0))]
    assert "does not continue" in str(report.findings[0])


def test_a_removal_after_which_the_whole_log_was_chained_anew(copy, forger):
    position = forger.position(QUEUED, 2)
    forger.do("DELETE FROM stored_events WHERE rowid = ?", position)
    forger.chain_anew()
    for witness in ({"copies": True}, {"history": True}):
        assert found(check(copy, **witness))[0] == ("removed", position)


def test_a_private_event_of_which_no_history_knows(copy):
    forger = Forger(copy, "global")
    position = forger.position("account.credential_changed", 2)
    forger.rewrite(position, lambda event: event.update(password_hash="mine"))
    everybody_finds(copy, ("changed", position), server="global")
    assert {"account.credential_changed"} == PRIVATE


def test_a_private_event_that_was_changed_and_chained_anew_is_found_by_the_seals_in_the_history(copy):
    forger = Forger(copy, "global")
    position = forger.position("account.credential_changed", 2)
    forger.rewrite(position, lambda event: event.update(password_hash="mine"))
    forger.chain_anew()
    report = check(copy, server="global", history=True)
    assert ("changed", position) in found(report)
    assert all(kind == "changed" for kind, *_ in found(report))


def test_copies_that_were_tampered_with_do_not_hide_behind_a_log_that_was_not(copy):
    forger = Forger(copy, "global")
    forger.rewrite(forger.position("witness.seal_received", 1), lambda event: event.update(digest="0" * 64))
    report = check(copy, copies=True)
    assert {f.kind for f in report.findings} == {"seal"}
    assert {who for f in report.findings for who in f.says} == {"the Global Server's copies"}


def test_what_is_no_store_is_not_called_honest(tmp_path):
    (tmp_path / "h1.db").write_bytes(b"not a database" * 100)
    with pytest.raises(Unavailable):
        check(tmp_path)
    (tmp_path / "h1.db").unlink()
    with pytest.raises(Unavailable):
        check(tmp_path)


def test_private_topics_are_those_of_the_events():
    def below(kind: type[Event]) -> list[type[Event]]:
        return [kind, *(each for child in kind.__subclasses__() for each in below(child))]

    stored = {kind for kind in below(Event) if "TOPIC" in vars(kind)}
    assert stored == set(every_event()), "a module of events is missing in the list"
    assert {kind.TOPIC for kind in stored if kind.PRIVATE} == PRIVATE
